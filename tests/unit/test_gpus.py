"""GPUs that are lost, hang, say N/A, come and go; and what is said of them."""

from __future__ import annotations

import importlib
import itertools
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from api.models.gpu import GpuHolder, GpuProcess, GpuSnapshot, GpuState, GpuStatus, GpuSummary
from api.services.gpus import status
from api.services.gpus.base import Reading
from api.services.gpus.fake import FakeSource
from api.services.gpus.monitor import GpuMonitor
from api.services.gpus.nvml import NvmlSource, visible_indices
from api.services.machine import MachineMonitor, cpu_count, machine_state

pynvml: Any = importlib.import_module("pynvml")  # has no type hints

MIB = 2**20
NONE: frozenset[int] = frozenset()


class Driver:
    """A module-like `pynvml`. `say[name]` replaces an answer; `say[name, index]` does for one GPU."""

    nvmlMemory_v2 = 0x02000028
    NVML_TEMPERATURE_GPU = 0

    def __init__(self, count: int = 2) -> None:
        self.count = count
        self.say: dict[Any, Any] = {}
        self.inits = self.shutdowns = 0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if not hasattr(type(self), "_" + name):
            raise AttributeError(name)
        return lambda *arguments: self._answer(name, *arguments)

    def _answer(self, name: str, *arguments: Any) -> Any:
        keys = [(name, arguments[0]), name] if arguments else [name]
        found: Any = next((self.say[key] for key in keys if key in self.say), None)
        if found is None:
            return getattr(self, "_" + name)(*arguments)
        if isinstance(found, Exception):
            raise found
        return found(*arguments) if callable(found) else found

    def _nvmlInit(self) -> None:
        self.inits += 1

    def _nvmlShutdown(self) -> None:
        self.shutdowns += 1

    def _nvmlSystemGetDriverVersion(self) -> str:
        return "570.124.06"

    def _nvmlSystemGetCudaDriverVersion(self) -> int:
        return 12080

    def _nvmlDeviceGetCount(self) -> int:
        return self.count

    def _nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def _nvmlDeviceGetUUID(self, handle: int) -> str:
        return f"GPU-{handle}aaa-bbb"

    def _nvmlDeviceGetName(self, handle: int) -> str:
        return "NVIDIA RTX 6000"

    def _nvmlDeviceGetMemoryInfo(self, handle: int, version: int | None = None) -> SimpleNamespace:
        reserved = 0 if version else 500 * MIB
        return SimpleNamespace(total=48000 * MIB, used=2000 * MIB + reserved, free=45500 * MIB)

    def _nvmlDeviceGetUtilizationRates(self, handle: int) -> SimpleNamespace:
        return SimpleNamespace(gpu=97, memory=40)

    def _nvmlDeviceGetTemperature(self, handle: int, sensor: int) -> int:
        return 61

    def _nvmlDeviceGetPowerUsage(self, handle: int) -> int:
        return 231_480

    def _nvmlDeviceGetEnforcedPowerLimit(self, handle: int) -> int:
        return 300_000

    def _nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> list[SimpleNamespace]:
        return [SimpleNamespace(pid=4312, usedGpuMemory=1800 * MIB)]

    def _nvmlDeviceGetGraphicsRunningProcesses(self, handle: int) -> list[SimpleNamespace]:
        return [SimpleNamespace(pid=77, usedGpuMemory=90 * MIB)]

    def _nvmlSystemGetProcessName(self, pid: int) -> str:
        return "/usr/bin/python"


def error(name: str) -> Exception:
    """The real library's exception: NVML_ERROR_<name>."""
    found: Exception = pynvml.NVMLError(getattr(pynvml, "NVML_ERROR_" + name))
    return found


@pytest.fixture
def driver() -> Driver:
    return Driver()


@pytest.fixture
def source(driver: Driver) -> NvmlSource:
    return NvmlSource(nvml=driver)


class TestNvml:
    def test_a_gpu_in_full(self, source: NvmlSource) -> None:
        source.open()
        reading = source.read()
        assert (reading.driver_version, reading.cuda_version) == ("570.124.06", "12.8")
        assert reading.gpus[1] == GpuState(
            index=1,
            uuid="GPU-1aaa-bbb",
            name="NVIDIA RTX 6000",
            memory_total_mb=48000,
            memory_used_mb=2000,
            memory_free_mb=45500,
            utilization_percent=97,
            temperature_c=61,
            power_w=231.5,
            power_limit_w=300.0,
            processes=(GpuProcess(77, "python", 90), GpuProcess(4312, "python", 1800)),
        )
        assert reading.gpus[1].memory_utilization == 4.2

    def test_eight(self, driver: Driver, source: NvmlSource) -> None:
        driver.count = 8
        assert [gpu.index for gpu in source.read().gpus] == list(range(8))
        assert driver.inits == 1

    @pytest.mark.parametrize("name", ["GPU_IS_LOST", "UNKNOWN", "RESET_REQUIRED", "IRQ_ISSUE"])
    def test_a_lost_gpu_keeps_its_identity_and_spares_the_others(
        self, driver: Driver, source: NvmlSource, name: str
    ) -> None:
        before = source.read()
        driver.say["nvmlDeviceGetHandleByIndex", 0] = error(name)
        after = source.read()
        assert after.gpus[0] == GpuState(0, "GPU-0aaa-bbb", "NVIDIA RTX 6000", 48000, lost=True)
        assert after.gpus[1] == before.gpus[1]
        del driver.say["nvmlDeviceGetHandleByIndex", 0]
        assert source.read() == before

    def test_a_loss_and_a_return_are_logged_once(
        self, driver: Driver, source: NvmlSource, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        source.read()
        driver.say["nvmlDeviceGetHandleByIndex", 0] = error("GPU_IS_LOST")
        driver.say["nvmlDeviceGetMemoryInfo", 1] = error("UNKNOWN")
        for _ in range(3):
            source.read()
        driver.say.clear()
        source.read()
        assert caplog.messages == [
            "GPU driver 570.124.06, CUDA 12.8",
            "GPU 0 is lost: GPU is lost",
            "GPU 1 is lost: nvmlDeviceGetMemoryInfo: Unknown Error",
            "GPU 0 answers again",
            "GPU 1 answers again",
        ]

    @pytest.mark.parametrize(
        ("function", "name"),
        [
            ("nvmlDeviceGetMemoryInfo", "GPU_IS_LOST"),
            ("nvmlDeviceGetMemoryInfo", "UNKNOWN"),
            ("nvmlDeviceGetTemperature", "GPU_IS_LOST"),
            ("nvmlDeviceGetComputeRunningProcesses", "GPU_IS_LOST"),
        ],
    )
    def test_lost_in_the_middle(self, driver: Driver, source: NvmlSource, function: str, name: str) -> None:
        driver.say[function, 1] = error(name)
        assert [gpu.lost for gpu in source.read().gpus] == [False, True]

    def test_lost_before_it_was_ever_seen(self, driver: Driver, source: NvmlSource) -> None:
        driver.say["nvmlDeviceGetHandleByIndex", 1] = error("GPU_IS_LOST")
        assert source.read().gpus[1] == GpuState(1, lost=True)

    @pytest.mark.parametrize(
        "answer",
        [
            error("NOT_SUPPORTED"),
            error("FUNCTION_NOT_FOUND"),
            error("NO_PERMISSION"),
            pynvml.NVMLLibraryMismatchError("old driver"),
            UnicodeDecodeError("utf-8", b"\xff", 0, 1, "garbled"),
            "[N/A]",
            "[Unknown Error]",
            2**64 - 1,
            float("nan"),
            True,
        ],
        ids=repr,
    )
    @pytest.mark.parametrize(
        ("function", "fields"),
        [
            ("nvmlDeviceGetMemoryInfo", ("memory_total_mb", "memory_used_mb", "memory_free_mb")),
            ("nvmlDeviceGetUtilizationRates", ("utilization_percent",)),
            ("nvmlDeviceGetTemperature", ("temperature_c",)),
            ("nvmlDeviceGetPowerUsage", ("power_w",)),
            ("nvmlDeviceGetEnforcedPowerLimit", ("power_limit_w",)),
        ],
    )
    def test_what_the_driver_does_not_say_is_none(
        self, driver: Driver, source: NvmlSource, function: str, fields: tuple[str, ...], answer: object
    ) -> None:
        whole = source.read().gpus[0]
        driver.say[function] = answer
        found = source.read().gpus[0]
        assert found == replace(whole, **dict.fromkeys(fields))  # type: ignore[arg-type]

    def test_an_unknown_error_of_one_field_is_not_a_lost_gpu(self, driver: Driver, source: NvmlSource) -> None:
        driver.say["nvmlDeviceGetPowerUsage"] = error("UNKNOWN")
        assert [(gpu.power_w, gpu.lost) for gpu in source.read().gpus] == [(None, False)] * 2

    def test_memory_of_an_old_driver(self, driver: Driver, source: NvmlSource) -> None:
        version_1 = SimpleNamespace(total=8000 * MIB, used=600 * MIB, free=7400 * MIB)

        def memory(handle: int, version: int | None = None) -> SimpleNamespace:
            if version:
                raise error("FUNCTION_NOT_FOUND")
            return version_1

        driver.say["nvmlDeviceGetMemoryInfo"] = memory
        assert source.read().gpus[0].memory_used_mb == 600

    def test_names_in_bytes_and_processes_without_names_or_sizes(self, driver: Driver, source: NvmlSource) -> None:
        driver.say["nvmlDeviceGetName"] = b"Tesla \xff"
        driver.say["nvmlSystemGetProcessName"] = error("NOT_FOUND")
        driver.say["nvmlDeviceGetComputeRunningProcesses"] = [SimpleNamespace(pid=9, usedGpuMemory=None)]
        driver.say["nvmlDeviceGetGraphicsRunningProcesses"] = error("NOT_SUPPORTED")
        gpu = source.read().gpus[0]
        assert gpu.name == "Tesla \N{REPLACEMENT CHARACTER}"
        assert gpu.processes == (GpuProcess(9, None, None),)

    def test_a_process_in_both_lists_is_one(self, driver: Driver, source: NvmlSource) -> None:
        driver.say["nvmlDeviceGetGraphicsRunningProcesses"] = [SimpleNamespace(pid=4312, usedGpuMemory=1900 * MIB)]
        assert source.read().gpus[0].processes == (GpuProcess(4312, "python", 1900),)

    def test_one_more_gpu(self, driver: Driver, source: NvmlSource) -> None:
        source.read()
        driver.count = 3
        assert [gpu.lost for gpu in source.read().gpus] == [False] * 3

    def test_one_gpu_less_is_a_lost_one(self, driver: Driver, source: NvmlSource) -> None:
        source.read()
        driver.count = 1
        assert [(gpu.uuid, gpu.lost) for gpu in source.read().gpus] == [
            ("GPU-0aaa-bbb", False),
            ("GPU-1aaa-bbb", True),
        ]

    def test_gpus_without_uuids_are_told_apart_by_number(self, driver: Driver, source: NvmlSource) -> None:
        driver.say["nvmlDeviceGetUUID"] = error("NOT_SUPPORTED")
        source.read()
        driver.count = 1
        assert [(gpu.uuid, gpu.lost) for gpu in source.read().gpus] == [(None, False), (None, True)]

    def test_renumbered_gpus_are_not_shown_twice(
        self, driver: Driver, source: NvmlSource, caplog: pytest.LogCaptureFixture
    ) -> None:
        source.read()
        driver.count = 1
        driver.say["nvmlDeviceGetUUID"] = "GPU-1aaa-bbb"  # 0 vanished, 1 took its number
        assert [(gpu.index, gpu.uuid, gpu.lost) for gpu in source.read().gpus] == [(0, "GPU-1aaa-bbb", False)]
        assert "GPU 0 was GPU-0aaa-bbb and is now GPU-1aaa-bbb" in caplog.text

    def test_a_gpu_that_we_may_not_open_is_not_counted(self, driver: Driver, source: NvmlSource) -> None:
        driver.say["nvmlDeviceGetHandleByIndex", 0] = error("NO_PERMISSION")
        assert [(gpu.index, gpu.uuid) for gpu in source.read().gpus] == [(0, "GPU-1aaa-bbb")]

    def test_a_driver_that_stops_answering_and_comes_back(self, driver: Driver, source: NvmlSource) -> None:
        before = source.read()
        driver.say["nvmlDeviceGetCount"] = error("UNKNOWN")
        assert [gpu.lost for gpu in source.read().gpus] == [True, True]
        assert driver.shutdowns == 1
        del driver.say["nvmlDeviceGetCount"]
        assert source.read() == before
        assert driver.inits == 2

    def test_a_driver_that_is_loaded_later(self, driver: Driver) -> None:
        source = NvmlSource(nvml=driver, retry=3)
        driver.say["nvmlInit"] = error("DRIVER_NOT_LOADED")
        source.open()
        assert source.read() == Reading()
        del driver.say["nvmlInit"]
        assert [len(source.read().gpus) for _ in range(4)] == [0, 0, 2, 2]

    def test_no_driver_on_this_machine(self) -> None:
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError:
            source = NvmlSource()
            source.open()
            assert source.read() == Reading()
            source.close()
        else:
            pynvml.nvmlShutdown()
            pytest.skip("this machine has a driver")

    def test_the_library_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "pynvml", None)
        assert NvmlSource().read() == Reading()

    def test_only_visible_gpus_with_their_own_numbers(self, driver: Driver) -> None:
        driver.count = 4
        assert [gpu.index for gpu in NvmlSource("3,GPU-1", nvml=driver).read().gpus] == [1, 3]

    def test_a_lost_gpu_stays_visible(self, driver: Driver) -> None:
        source = NvmlSource("GPU-1,GPU-0", nvml=driver)
        source.read()
        driver.say["nvmlDeviceGetHandleByIndex", 1] = error("GPU_IS_LOST")
        assert [gpu.lost for gpu in source.read().gpus] == [False, True]

    def test_nothing_is_imported_before_open(self) -> None:
        code = (
            "import sys, api.services.gpus.monitor as m, api.services.gpus.nvml as n;"
            "m.GpuMonitor(n.NvmlSource()); sys.exit('pynvml' in sys.modules)"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("visible", "chosen"),
    [
        (None, {0, 1, 2}),
        ("", set()),
        ("-1", set()),
        ("NoDevFiles", set()),
        ("0", {0}),
        ("2, 0", {0, 2}),
        ("1,1", {1}),
        ("1,9,0", {1}),  # ends before what does not exist, as CUDA does
        ("0,-1,1", {0}),
        ("GPU-b", {1}),
        ("GPU-bb1,0", {0, 1}),
        ("GPU-", set()),  # ambiguous
        ("MIG-bb1", set()),
        ("²", set()),
    ],
)
def test_visible(visible: str | None, chosen: set[int]) -> None:
    assert visible_indices(visible, {0: "GPU-aa1", 1: "GPU-bb1", 2: None}) == chosen


class Clock:
    def __init__(self, now: float = 100.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gpus() -> Iterator[FakeSource]:
    source = FakeSource(2)
    yield source
    source.resume()


def wait_for(condition: Callable[[], bool]) -> None:
    """For the few tests with a real thread; ends as soon as it can."""
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.002)


class TestMonitor:
    def make(self, source: FakeSource, clock: Clock, **options: Any) -> GpuMonitor:
        return GpuMonitor(source, clock, wall=lambda: 1_700_000_000.0 + clock.now, **options)

    def turns(self, monitor: GpuMonitor, clock: Clock, count: int) -> None:
        for _ in range(count):
            clock.now += 1
            monitor.turn(clock.now)

    def test_nothing_is_known_before_the_first_turn(self, gpus: FakeSource, clock: Clock) -> None:
        assert self.make(gpus, clock).snapshot() == GpuSnapshot(stale=True)

    def test_a_turn(self, gpus: FakeSource, clock: Clock) -> None:
        monitor = self.make(gpus, clock)
        monitor.turn(clock.now)
        snapshot = monitor.snapshot()
        assert (snapshot.taken_at, snapshot.stale) == (1_700_000_100.0, False)
        assert (snapshot.driver_version, len(snapshot.gpus)) == ("000.00", 2)
        assert snapshot.get(1) == snapshot.gpus[1]
        assert snapshot.get(2) is None

    def test_no_driver_is_an_answer(self, clock: Clock) -> None:
        monitor = self.make(FakeSource(0), clock)
        monitor.turn(clock.now)
        assert monitor.snapshot() == GpuSnapshot(1_700_000_100.0)

    def test_an_old_answer_is_stale(self, gpus: FakeSource, clock: Clock) -> None:
        monitor = self.make(gpus, clock)
        monitor.turn(clock.now)
        clock.now += 5
        assert not monitor.snapshot().stale
        clock.now += 0.1
        assert monitor.snapshot().stale
        assert status.free_gpus(monitor.snapshot(), {}, NONE) == ()
        monitor.turn(clock.now)
        assert not monitor.snapshot().stale

    def test_errors_are_logged_once_and_the_loop_goes_on(
        self, gpus: FakeSource, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        monitor = self.make(gpus, clock)
        monitor.turn(clock.now)
        gpus.fail(OSError("broken"))
        self.turns(monitor, clock, 7)
        assert monitor.last_turn_age() == 0
        assert monitor.snapshot().stale
        assert [record.levelno for record in caplog.records] == [logging.ERROR]
        gpus.fail(None)
        self.turns(monitor, clock, 1)
        assert not monitor.snapshot().stale
        gpus.fail(OSError("broken"))
        self.turns(monitor, clock, 1)
        assert len(caplog.records) == 2

    def test_the_age_of_the_last_turn(self, gpus: FakeSource, clock: Clock) -> None:
        monitor = self.make(gpus, clock)
        clock.now += 3
        assert monitor.last_turn_age() == 3
        monitor.turn(clock.now)
        clock.now += 31
        assert monitor.last_turn_age() == 31

    def test_a_minute_of_history(self, gpus: FakeSource, clock: Clock) -> None:
        monitor = self.make(gpus, clock)
        for second in range(100):
            gpus.set(1, utilization_percent=second)
            self.turns(monitor, clock, 1)
        points = monitor.history(1)
        assert [point.utilization_percent for point in points] == list(range(40, 100))
        assert points[-1].at == monitor.snapshot().taken_at
        assert monitor.history(7) == ()

    def test_slow_turns_do_not_keep_more_than_a_minute(self, gpus: FakeSource, clock: Clock) -> None:
        monitor = self.make(gpus, clock)
        for _ in range(10):
            clock.now += 20
            monitor.turn(clock.now)
        assert len(monitor.history(0)) == 3

    def test_history_of_lost_vanished_and_exchanged_gpus(self, gpus: FakeSource, clock: Clock) -> None:
        monitor = self.make(gpus, clock)
        self.turns(monitor, clock, 30)
        gpus.lose(0)
        gpus.resize(1)
        self.turns(monitor, clock, 40)
        assert len(monitor.history(0)) == 20  # what is left of the last minute
        assert monitor.history(1) == ()
        gpus.recover(0)
        gpus.set(0, uuid="GPU-another")
        self.turns(monitor, clock, 1)
        assert len(monitor.history(0)) == 1

    def test_a_wall_clock_set_back_keeps_no_future(self, gpus: FakeSource, clock: Clock) -> None:
        times = itertools.chain([9000.0, 9001.0], itertools.count(1000.0))
        monitor = GpuMonitor(gpus, clock, wall=lambda: next(times))
        self.turns(monitor, clock, 4)
        assert [point.at for point in monitor.history(0)] == [1000.0, 1001.0]

    def test_other_samplers_take_their_turn_and_may_fail(
        self, gpus: FakeSource, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        called: list[float] = []

        def broken(now: float) -> None:
            raise ValueError(now)

        monitor = self.make(gpus, clock, also=(broken, called.append))
        monitor.turn(100.0)
        assert called == [100.0]
        assert not monitor.snapshot().stale
        assert "ValueError" in caplog.text


class TestThread:
    def test_the_first_request_is_right_and_stop_ends_it(self, gpus: FakeSource) -> None:
        monitor = GpuMonitor(gpus, interval=0.001)
        monitor.start()
        assert len(monitor.snapshot().gpus) == 2
        gpus.resize(5)
        wait_for(lambda: len(monitor.snapshot().gpus) == 5)
        monitor.stop()
        reads = gpus.reads
        assert not [t for t in threading.enumerate() if t.name == "gpu-monitor"]
        assert gpus.reads == reads
        with pytest.raises(RuntimeError, match="started before"):
            monitor.start()

    def test_a_source_that_does_not_open_is_no_end(
        self, gpus: FakeSource, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def refuse() -> None:
            raise OSError("no")

        monkeypatch.setattr(gpus, "open", refuse)
        monitor = GpuMonitor(gpus)
        monitor.start()
        assert len(monitor.snapshot().gpus) == 2
        monitor.stop()

    def test_a_hang_blocks_nobody_and_heals(self, gpus: FakeSource) -> None:
        clock = Clock()
        monitor = GpuMonitor(gpus, clock, interval=0.001)
        monitor.start()
        gpus.hang()
        reads = gpus.reads
        wait_for(lambda: gpus.reads > reads)
        clock.now += 40
        begun = time.monotonic()
        snapshot = monitor.snapshot()
        assert (len(snapshot.gpus), snapshot.stale) == (2, True)
        assert set(status.statuses(snapshot, {}, NONE).values()) == {GpuStatus.UNKNOWN}
        assert len(monitor.history(0)) > 0
        assert monitor.last_turn_age() >= 40
        assert time.monotonic() - begun < 0.5
        gpus.resume()
        wait_for(lambda: not monitor.snapshot().stale)
        monitor.stop()

    def test_a_hang_at_start_is_waited_for_two_seconds_and_not_more(
        self, gpus: FakeSource, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr("api.services.gpus.monitor.FIRST_ANSWER_SECONDS", 0.05)
        never = threading.Event()
        monkeypatch.setattr(gpus, "open", never.wait)
        monitor = GpuMonitor(gpus)
        monitor.start()
        assert monitor.snapshot() == GpuSnapshot(stale=True)
        assert "did not answer" in caplog.text
        never.set()
        wait_for(lambda: not monitor.snapshot().stale)
        monitor.stop()


GPU = GpuState(2, "GPU-2", "Some GPU", 24576, 0, 24576)
TRAINING, PREPARING = GpuHolder("task_1", "diffusion_pipe"), GpuHolder("prep_1", "preprocessing")


def used(*processes: GpuProcess, memory: int | None = None) -> GpuState:
    taken = sum(process.memory_mb or 0 for process in processes) if memory is None else memory
    return replace(GPU, memory_used_mb=taken, memory_free_mb=24576 - taken, processes=processes)


OURS, THEIRS = GpuProcess(10, "python", 20000), GpuProcess(4312, "python", 18432)


class TestStatus:
    @pytest.mark.parametrize(
        ("state", "holder", "stale", "expected", "words"),
        [
            (GPU, None, False, "available", None),
            (GPU, TRAINING, False, "training", "GPU 2 by job task_1 (diffusion_pipe)"),
            (GPU, PREPARING, False, "preprocessing", "GPU 2 by job prep_1 (preprocessing)"),
            (used(THEIRS), TRAINING, False, "training", "GPU 2 by job task_1 (diffusion_pipe)"),
            (used(OURS), TRAINING, False, "training", "GPU 2 by job task_1 (diffusion_pipe)"),
            (used(OURS), None, False, "available", None),
            (used(THEIRS), None, False, "busy", "GPU 2 by pid 4312 (python), not ours, 18 GB"),
            (used(OURS, THEIRS), None, False, "busy", "GPU 2 by pid 4312 (python), not ours, 18 GB"),
            (used(GpuProcess(5, "Xorg", 1000)), None, False, "available", None),
            (
                used(GpuProcess(5, None, 1001)),
                None,
                False,
                "busy",
                "GPU 2 by pid 5 (unknown), not ours, 1.0 GB",
            ),
            (used(GpuProcess(5, "a", 900), GpuProcess(6, "b", 900)), None, False, "available", None),
            (
                used(THEIRS, GpuProcess(7, "java", 2048)),
                None,
                False,
                "busy",
                "GPU 2 by pid 4312 (python), not ours, 18 GB and pid 7 (java), not ours, 2.0 GB",
            ),
            # sizes that the driver does not tell: the rest of the used memory is theirs, or ours
            (used(GpuProcess(5, "x"), memory=300), None, False, "available", None),
            (
                used(GpuProcess(5, "x"), memory=3072),
                None,
                False,
                "busy",
                "GPU 2 by pid 5 (x), not ours, 3.0 GB",
            ),
            (used(GpuProcess(10, "python"), memory=3072), None, False, "available", None),
            # another container's process: memory is gone, and nobody listed has it
            (
                used(memory=12288),
                None,
                False,
                "busy",
                "GPU 2 by a process that the driver does not show, 12 GB",
            ),
            (used(memory=900), None, False, "available", None),
            (GpuState(2, "GPU-2"), None, False, "available", None),  # a driver that tells nothing
            (GPU.as_lost(), None, False, "unknown", "GPU 2 is unknown: it fell off the bus"),
            (GPU.as_lost(), TRAINING, False, "unknown", "GPU 2 is unknown: it fell off the bus"),
            (GPU, None, True, "unknown", "GPU 2 is unknown: the driver does not answer"),
            (GPU, TRAINING, True, "unknown", "GPU 2 is unknown: the driver does not answer"),
        ],
    )
    def test_table(
        self, state: GpuState, holder: GpuHolder | None, stale: bool, expected: str, words: str | None
    ) -> None:
        ours = frozenset({10})
        assert status.status_of(state, holder, ours, stale) == expected
        assert status.why_busy(state, holder, ours, stale) == words

    def test_foreign_lists_the_small_ones_too(self) -> None:
        xorg = GpuProcess(5, "Xorg", 40)
        assert status.foreign(used(OURS, xorg, THEIRS), {10}) == (xorg, THEIRS)

    def test_the_emptiest_gpu_comes_first(self) -> None:
        source = FakeSource(8)
        for index, memory in enumerate([500, 0, 300, 0, 200]):
            source.occupy(index, 5, memory)
        source.set(5, memory_used_mb=None, memory_free_mb=None)
        source.occupy(6, 4312, 18432)
        source.lose(7)
        snapshot = GpuSnapshot(gpus=source.read().gpus)
        leases = {1: TRAINING}
        assert status.free_gpus(snapshot, leases, NONE) == (3, 4, 2, 0, 5)
        assert status.why_all_busy(snapshot, leases, NONE) == (
            "GPU 1 by job task_1 (diffusion_pipe); GPU 6 by pid 4312 (python), not ours, 18 GB; "
            "GPU 7 is unknown: it fell off the bus"
        )
        available = 4 * 24576 - 1000
        assert status.summary(snapshot, leases, NONE) == GpuSummary(8, 5, 2, 8 * 24576, available)

    def test_of_no_gpu_or_no_answer(self) -> None:
        assert status.summary(GpuSnapshot(), {}, NONE) == GpuSummary()
        assert status.why_all_busy(GpuSnapshot(), {}, NONE) == ""
        stale = GpuSnapshot(gpus=(GPU,), stale=True)
        assert status.summary(stale, {2: TRAINING}, NONE) == GpuSummary(1, 0, 0, 24576, 0)

    @pytest.mark.parametrize(
        ("free", "expected"),
        [
            (None, ()),
            (4095, ()),
            (4096, ("yolo", "ocr", "captioning")),
            (16000, ("yolo", "ocr", "captioning", "lora-sdxl")),
            (24210, ("yolo", "ocr", "captioning", "lora-sdxl", "lora-video")),
            (81000, ("yolo", "ocr", "captioning", "lora-sdxl", "lora-video", "full-finetune")),
        ],
    )
    def test_recommended_for(self, free: int | None, expected: tuple[str, ...]) -> None:
        assert status.recommended_for(free) == expected


class TestFakeSource:
    def test_processes_come_and_go(self) -> None:
        source = FakeSource(1)
        source.occupy(0, 5, 3000)
        source.occupy(0, 5, 4000)
        source.occupy(0, 6, 100, "java")
        gpu = source.read().gpus[0]
        assert (gpu.memory_used_mb, gpu.memory_free_mb, len(gpu.processes)) == (4100, 20476, 2)
        source.release(0, 5)
        assert source.read().gpus[0].memory_used_mb == 100

    def test_no_gpu_is_no_driver(self) -> None:
        assert FakeSource(0).read() == Reading()


class TestMachine:
    def cgroup(self, folder: Path, **files: str) -> Path:
        for name, text in files.items():
            (folder / name.replace("__", ".")).write_text(text)
        return folder

    def test_this_machine(self, tmp_path: Path) -> None:
        state = machine_state(tmp_path / "not" / "there")
        assert state.cpu_count >= 1
        assert state.cpu_usage is None
        assert 0 < state.memory_available <= state.memory_total
        assert 0 < state.disk_free <= state.disk_total

    @pytest.mark.parametrize(
        ("limit", "cores"), [("100000 100000", 1), ("max 100000", None), ("1000 100000", 1), ("", None)]
    )
    def test_cores_of_a_cgroup(self, tmp_path: Path, limit: str, cores: int | None) -> None:
        group = self.cgroup(tmp_path, cpu__max=limit)
        assert cpu_count(group) == (cores or cpu_count(tmp_path / "none"))

    def test_memory_of_the_tightest_cgroup(self, tmp_path: Path) -> None:
        inner = tmp_path / "inner"
        inner.mkdir()
        mib = {"memory__current": str(40 * MIB), "memory__stat": f"anon 1\ninactive_file {10 * MIB}\n"}
        self.cgroup(tmp_path, cgroup__controllers="cpu memory", memory__max=str(100 * MIB), **mib)
        self.cgroup(inner, memory__max="max\n")
        state = machine_state(tmp_path, cgroup=inner)
        assert (state.memory_total, state.memory_used, state.memory_available) == (
            100 * MIB,
            30 * MIB,
            70 * MIB,
        )

    def test_cpu_usage_needs_two_turns_and_gets_old(self, tmp_path: Path) -> None:
        clock = Clock()
        group = self.cgroup(tmp_path, cpu__max="50000 100000", cpu__stat="usage_usec 1000000\nuser_usec 1\n")
        sampler = MachineMonitor(tmp_path, clock, group)
        sampler.turn(clock.now)
        assert sampler.state().cpu_usage is None
        clock.now += 2
        self.cgroup(tmp_path, cpu__stat="usage_usec 1250000\n")
        sampler.turn(clock.now)
        assert sampler.state().cpu_usage == 25.0  # a quarter of a second out of two seconds of half a core
        sampler.turn(clock.now)  # no time passed
        assert sampler.state().cpu_usage == 25.0
        clock.now += 6
        assert sampler.state().cpu_usage is None

    def test_cpu_usage_of_the_host(self, tmp_path: Path) -> None:
        sampler = MachineMonitor(tmp_path, Clock(), tmp_path)

        def measured() -> bool:
            sampler.turn(100.0)
            return sampler.state().cpu_usage is not None

        wait_for(measured)
        assert 0 <= (sampler.state().cpu_usage or 0) <= 100
