"""From log and event files into the store: exactly once through any failure, every line in one span."""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select
from tensorboard.compat.proto import event_pb2  # type: ignore[import-untyped]

from api.models.events import Axis, Level, LineType
from api.models.job import Attempt, Job, JobStatus, Phase
from api.models.progress import Progress
from api.models.workspace import Workspace
from api.services import ingest as ingest_module
from api.services.engines.base import Engine
from api.services.engines.diffusion_pipe import output
from api.services.history import History, LogLine
from api.services.ingest import Ingestor
from api.services.store import events as feed
from api.services.store import jobs as store
from api.services.store import logs, metrics, schema
from api.services.store.database import Database
from api.services.store.logs import SpanFilter
from api.services.workspaces import Workspaces
from api.utils.tensorboard import masked_crc32c
from tests.unit.toys import START, Clock, ToyEngine, add_job

relaxed = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class PowerCut(Exception):
    """What a test lets a transaction fail with."""


class Flaky:
    """A database whose transactions fail where a test says: at the end, after everything was written."""

    def __init__(self, db: Database, fails: Iterator[bool]) -> None:
        self._db = db
        self._fails = fails
        self.read = db.read

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Connection]:
        with self._db.write(durable=durable) as connection:
            yield connection
            if next(self._fails, False):
                raise PowerCut


class Bench:
    """One running job, its log and its reader."""

    numbers = count(1)

    def __init__(self, db: Database, directory: Path, engine: ToyEngine | None = None, **params: Any) -> None:
        base = directory / str(next(self.numbers))
        self.db, self.clock = db, Clock()
        self.engine: Engine = engine or ToyEngine()
        self.workspaces = Workspaces(base / "data", base / "configs", base / "logs", base / "out")
        self.workspaces.prepare()
        with db.write(durable=False) as connection:
            job = add_job(connection, params=params)
            self.job: Job = store.transition(connection, job, JobStatus.RUNNING, START)
        self.attempt = Attempt(self.job.id, 1, 1, str(base / "out" / self.job.id))
        self.workspace: Workspace = self.workspaces.of(self.attempt)
        self.workspace.output_dir.mkdir(parents=True)
        self.log = self.workspace.log
        self.log.touch()
        self.reader = self.ingestor()

    def ingestor(self, db: Any = None) -> Ingestor:
        return Ingestor(db or self.db, self.engine, self.job, self.attempt, self.workspace)

    def write(self, data: str | bytes) -> None:
        with self.log.open("ab") as file:
            file.write(data if isinstance(data, bytes) else data.encode())

    def read(self, data: str | bytes = b"", *, final: bool = False) -> None:
        """More output, and turns until all is read."""
        self.write(data)
        while self.reader.turn(self.clock.tick(), final=final).behind:
            pass

    def now(self) -> Job:
        with self.db.read() as connection:
            return store.get(connection, self.job.id)

    def spans(self) -> list[logs.Span]:
        with self.db.read() as connection:
            return logs.after_line(connection, self.job.seq, SpanFilter(), 0, 10_000)

    def lines(self, wanted: SpanFilter | None = None) -> list[LogLine]:
        history = History(self.db, self.workspaces)
        return history.tail(self.job, wanted or SpanFilter(), 10_000).lines

    def points(self, name: str = "loss") -> list[tuple[int, float | None]]:
        with self.db.read() as connection:
            parts = metrics.segments(connection, self.job, 1, Axis.STEP, name)
            return [(p.x, p.value) for p in metrics.last_points(connection, parts, 100_000, None).points]

    def kept(self) -> dict[str, Any]:
        """Everything that ingestion leaves, but for times."""
        with self.db.read() as connection:
            extras = store.extras(connection, self.job.seq)
            progress = {k: v for k, v in self.now().progress.items() if not k.endswith(("_at", "since", "seconds"))}
            sums = connection.execute(
                select(schema.metric_epochs).join(schema.metric_series)
                .where(schema.metric_series.c.job_seq == self.job.seq)
            ).all()  # fmt: skip
        return {
            "lines": [(x.number, x.text, x.level, x.type, x.start, x.end, x.epoch, x.step) for x in self.lines()],
            "points": self.points(), "progress": progress, "warnings": self.now().warnings,
            "position": extras.log_position, "total": extras.total_lines,
            "epochs": [(row.epoch, row.total, row.points, row.last_x) for row in sums],
            "tail": self.reader.tail(),
        }  # fmt: skip


@pytest.fixture
def bench(db: Database, tmp_path: Path) -> Bench:
    return Bench(db, tmp_path)


# ---- exactly once

pieces = st.sampled_from([
    b"plain line\n", b"epoch 1/3\n", b"epoch 2/3\r\n", b"epoch 3/3\n", b"step=1 loss=0.5\n", b"step=2 loss=nan\n",
    b"step=3 loss=7\n", b"step=4 loss=2\n", b"step=5\n", b"BOOM: it broke\n", b"OOPS: a little\n", b"WARN: careful\n",
    b"WARN: \xff\xfe\n", b"\n", b"\r\n", b" 10%|#  | 1/10 [00:01<00:09]\r", b" 20%|## | 2/10 [00:02<00:08]\r", b"\r",
    b"step=6 loss=1\r", b"saving: state-4\n", b"eval: x\n", b"DONE\n", b"\xf0\x9f", b"\x98\x80\n", b"no end",
    b"\x1b[31mred\x1b[0m\n", b"<long>", b"\x00\n",
])  # fmt: skip


def joined(parts: list[bytes]) -> bytes:
    return b"".join(parts).replace(b"<long>", b"A" * 70_000)


@given(
    st.lists(pieces, max_size=25),
    st.lists(st.tuples(st.integers(0, 1000), st.booleans()), max_size=6),
    st.lists(st.booleans(), max_size=12),
)
@relaxed
def test_failures_leave_no_trace(
    db: Database, tmp_path: Path, parts: list[bytes], cuts: list[tuple[int, bool]], fails: list[bool]
) -> None:
    """Read at once, or in any turns with faults and restarts (at some of `cuts`, in thousandths): it is the same."""
    whole, broken = Bench(db, tmp_path), Bench(db, tmp_path)
    raw = joined(parts)
    whole.read(raw, final=True)
    failing = iter(fails)
    broken.reader = broken.ingestor(Flaky(db, failing))
    start, highest = 0, (0, 0)
    for end, restart in sorted((share * len(raw) // 1000, restart) for share, restart in [*cuts, (1000, True)]):
        broken.write(raw[start:end])
        highest = turns(broken, final=False, highest=highest)
        start = end
        if restart:
            broken.reader = broken.ingestor(Flaky(db, failing))
    turns(broken, final=True, highest=highest)
    assert broken.kept() == whole.kept()


def turns(bench: Bench, *, final: bool, highest: tuple[int, int]) -> tuple[int, int]:
    """Until all is read, however often it fails; what is kept never goes back."""
    while True:
        try:
            if not bench.reader.turn(bench.clock.tick(), final=final).behind:
                return highest
        except PowerCut:
            bench.reader.reset()
        progress = bench.now().progress
        reached = (progress.get("epoch", 0), progress.get("step", 0))
        assert reached[0] >= highest[0] and reached[1] >= highest[1]
        highest = reached


@given(st.lists(pieces, max_size=25), st.integers(0, 2000))
@relaxed
def test_every_line_is_in_one_span(db: Database, tmp_path: Path, parts: list[bytes], cut: int) -> None:
    bench, raw = Bench(db, tmp_path), joined(parts)
    for data, final in ((raw[:cut], False), (raw[cut:], False), (b"", True)):
        bench.read(data, final=final)
        spans = bench.spans()
        assert [n for s in spans for n in range(s.first_line, s.last_line + 1)] == list(
            range(1, sum(s.line_count for s in spans) + 1)
        )
        assert all(a.byte_end <= b.byte_start for a, b in pairwise(spans))
        with db.read() as connection:
            assert store.extras(connection, bench.job.seq).total_lines == sum(s.line_count for s in spans)
        assert [line.number for line in bench.lines()] == list(range(1, len(bench.lines()) + 1))


def test_a_second_reader_goes_on_where_the_first_stopped(bench: Bench) -> None:
    bench.read("epoch 1/2\nstep=1 loss=1\nBOOM: x\nhalf of a li")
    first = bench.reader
    bench.reader = bench.ingestor()
    assert bench.reader.progress == first.progress and bench.reader.progress.fatal_since == bench.clock.now
    assert bench.reader.tail() == first.tail() == ("epoch 1/2", "step=1 loss=1", "BOOM: x")
    bench.read("ne\nstep=2 loss=0.5\n")
    assert [line.text for line in bench.lines()][3:] == ["half of a line", "step=2 loss=0.5"]
    assert bench.points() == [(1, 1.0), (2, 0.5)]


def test_the_tail_is_of_this_attempt(bench: Bench) -> None:
    bench.read("of the first attempt\n")
    bench.attempt = Attempt(bench.job.id, 2, 1, bench.attempt.output_dir)
    bench.reader = bench.ingestor()
    assert bench.reader.tail() == ()
    bench.read("".join(f"line {n}\n" for n in range(80)))
    assert bench.reader.tail() == bench.ingestor().tail() == tuple(f"line {n}" for n in range(30, 80))


# ---- lines


def test_filters_of_lines(bench: Bench) -> None:
    bench.read("a\nb\nWARN: c\neval: d\nBOOM: e\nf\n")
    texts = lambda **wanted: [line.text for line in bench.lines(SpanFilter(**wanted))]  # noqa: E731
    assert texts() == ["a", "b", "WARN: c", "eval: d", "BOOM: e", "f"]
    assert texts(level=Level.WARNING) == ["WARN: c", "BOOM: e"]
    assert texts(level=Level.ERROR) == ["BOOM: e"]
    assert texts(type=LineType.EVAL) == ["eval: d"] and texts(type=LineType.SYSTEM) == ["WARN: c"]
    then = bench.clock.now
    bench.read("g\n")
    assert texts(since=bench.clock.now) == ["g"] and texts(until=then)[-1] == "f"
    assert [(s.first_line, s.line_count) for s in bench.spans()] == [(1, 2), (3, 1), (4, 1), (5, 1), (6, 1), (7, 1)]


def test_lines_know_their_step_and_bytes(bench: Bench) -> None:
    bench.read("epoch 2\r\nstep=5 loss=1\r\nx\r\n")
    found = [(x.epoch, x.step, x.start, x.end) for x in bench.lines()]
    assert found == [(2, None, 0, 7), (2, 5, 9, 22), (2, 5, 24, 25)]


class DeepSpeedLines(ToyEngine):
    parse = staticmethod(output.parse)  # type: ignore[assignment]


def test_a_line_of_learning_rates_is_of_the_step_that_it_names(db: Database, tmp_path: Path) -> None:
    """DeepSpeed prints it before the line with the loss."""
    bench = Bench(db, tmp_path, DeepSpeedLines())
    for step in (1, 2):
        bench.read(f"[Rank 0] step={step}, skipped=0, lr=[0.1], mom=[0.0]\n")
        bench.read(f"steps: {step} loss: 1.5 iter time (s): 0.1 samples/sec: 5.1\n")
    assert [line.step for line in bench.lines()] == [1, 1, 2, 2]


def test_a_bar_is_one_line_that_replaces_itself(bench: Bench) -> None:
    for percent in (10, 20, 30):
        bench.read(f"\r{percent}%|# | {percent}/100 [00:01<00:09]")
        assert [line.number for line in bench.lines()] == [1]
        assert bench.lines()[0].text.startswith(f"{percent}%")
    assert bench.reader.turn(bench.clock.tick()).written is False
    bench.read("\nnext\n")
    assert [line.text[:4] for line in bench.lines()] == ["30%|", "next"]


def test_a_log_that_was_cut(bench: Bench) -> None:
    bench.read("one\ntwo\n")
    os.truncate(bench.log, 0)
    bench.read()
    bench.read("3\nstep=9 loss=1\n")
    bench.read("4\n")
    assert len(bench.now().warnings) == 1 and "cut from outside" in bench.now().warnings[0]
    assert bench.points() == [(9, 1.0)]
    assert [(s.first_line, s.byte_start) for s in bench.spans()][-3:] == [(3, 0), (4, 2), (5, 16)]


def test_a_log_that_was_deleted(bench: Bench) -> None:
    bench.read("step=1 loss=1\n")
    bench.log.unlink()
    bench.read()
    bench.read(final=True) if bench.log.exists() else bench.reader.turn(bench.clock.tick(), final=True)
    assert bench.points() == [(1, 1.0)] and len(bench.now().warnings) <= 1
    bench.reader = bench.ingestor()
    assert bench.reader.turn(bench.clock.tick(), final=True).behind is False


# ---- what lines add up to


def test_totals_are_known_before_the_first_line(db: Database, tmp_path: Path) -> None:
    bench = Bench(db, tmp_path, epochs=4, steps=40)
    bench.read()
    progress = Progress.from_dict(bench.now().progress)
    assert (progress.phase, progress.total_epochs, progress.total_steps) == (Phase.STARTING, 4, 40)
    assert bench.reader.turn(bench.clock.tick()).written is False


def test_faults_are_few_and_the_newest(bench: Bench) -> None:
    bench.read("".join(f"BOOM: {n}\n" for n in range(30)))
    assert bench.reader.progress.faults == tuple(f"BOOM: {n}" for n in range(25, 30))
    assert bench.now().progress["faults"] == list(bench.reader.progress.faults)


@pytest.mark.parametrize(
    ("output", "fatal"),
    [
        ("BOOM: x\n", True), ("OOPS: x\n", False), ("BOOM: x\nOOPS: y\n", True), ("step=1\nBOOM: x\n", True),
        ("BOOM: x\nstep=1\n", False), ("BOOM: x\nstep=1\nBOOM: y\n", True), ("BOOM: x\nplain\n", True),
    ],
)  # fmt: skip
def test_a_step_after_a_traceback_shows_that_it_was_caught(bench: Bench, output: str, fatal: bool) -> None:
    bench.read(output)
    assert (bench.reader.progress.fatal_since == bench.clock.now) is fatal
    bench.read("step=9\n")
    assert bench.reader.progress.fatal_since is None and bench.ingestor().progress.fatal_since is None


def test_warnings_are_said_once_and_are_bounded(bench: Bench) -> None:
    bench.read("WARN: a\nWARN: b\nWARN: a\n")
    bench.read("WARN: b\nWARN: c\n")
    assert bench.now().warnings == ("a", "b", "c")
    bench.read("".join(f"WARN: {n}\n" for n in range(200)))
    assert len(bench.now().warnings) == ingest_module.WARNINGS


def test_how_long_a_save_took(bench: Bench) -> None:
    bench.read("saving: state-5\n")
    assert bench.reader.progress.phase is Phase.SAVING
    bench.clock.tick(8.5)
    bench.read("step=6 loss=1\n")
    progress = bench.reader.progress
    assert (progress.phase, progress.saving_since, progress.last_save_seconds) == (Phase.TRAINING, None, 9.5)


def test_a_turn_without_news_writes_nothing(bench: Bench) -> None:
    bench.read("step=1 loss=1\n")
    before = bench.now()
    assert bench.reader.turn(bench.clock.tick(10)).written is False
    assert bench.now() == before


def test_one_event_of_each_kind_a_turn(bench: Bench) -> None:
    bench.read("epoch 1/2\n" + "".join(f"step={n} loss={n}\n" for n in range(1, 300)))
    with bench.db.read() as connection:
        found = {e.kind: e.data for e in feed.since(connection, 0, job_seq=bench.job.seq) if e.kind != "status"}
    assert len(found) == 3 and found["progress"]["current_step"] == 299
    assert len(found["log"]["lines"]) == ingest_module.LIVE_LINES
    assert (len(found["metric"]["points"]), found["metric"]["left_out"]) == (ingest_module.LIVE_POINTS, 99)
    assert found["log"]["lines"][-1] == {"line_number": 300, "message": "step=299 loss=299"}


# ---- TensorBoard


def scalars(path: Path, rows: Sequence[tuple[str, int, float]]) -> bytes:
    made = [
        event_pb2.Event(wall_time=START, step=s, summary={"value": [{"tag": t, "simple_value": v}]}) for t, s, v in rows
    ]
    return b"".join(record(event.SerializeToString()) for event in made)


def record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc32c(length)) + data + struct.pack("<I", masked_crc32c(data))


def test_event_files_and_their_offsets_are_one_transaction(bench: Bench) -> None:
    path = bench.workspace.output_dir / "events.1"
    raw = scalars(path, [("grad", 1, 0.5), ("grad", 2, math.nan), ("grad", 3, 2.0)])
    path.write_bytes(raw[:-5])  # the last one is still being written
    bench.reader = bench.ingestor(Flaky(bench.db, iter([True, False, True])))
    with pytest.raises(PowerCut):
        bench.reader.turn(bench.clock.tick())
    assert bench.points("grad") == [] and offsets(bench) == {}
    bench.reader.reset()
    bench.reader._looked_at_files = 0.0
    bench.read()
    assert bench.points("grad") == [(1, 0.5), (2, None)]
    path.write_bytes(raw)
    bench.clock.tick(ingest_module.FILES_EVERY)
    with pytest.raises(PowerCut):
        bench.reader.turn(bench.clock.now)
    bench.reader = bench.ingestor()
    bench.read(final=True)
    assert bench.points("grad") == [(1, 0.5), (2, None), (3, 2.0)] and offsets(bench) == {str(path): len(raw)}


def offsets(bench: Bench) -> dict[str, int]:
    with bench.db.read() as connection:
        return logs.file_offsets(connection, bench.job.seq)


def test_the_end_reads_event_files_whatever_the_clock(bench: Bench) -> None:
    bench.read("x\n")
    path = bench.workspace.output_dir / "events.1"
    path.write_bytes(scalars(path, [("grad", 1, 0.5)]))
    assert bench.reader.turn(bench.clock.now, final=True).behind is True
    assert bench.reader.turn(bench.clock.now, final=True).behind is False
    assert bench.points("grad") == [(1, 0.5)]


def test_event_files_that_cannot_be_read(bench: Bench) -> None:
    output = bench.workspace.output_dir
    (output / "events.1").mkdir()
    (output / "events.2").write_bytes(b"\xff" * 40)
    (output / "events.3").symlink_to(output / "nowhere")
    bench.read("step=1 loss=1\n")
    bench.clock.tick(10)
    bench.read("step=2 loss=1\n", final=True)
    assert len(bench.now().warnings) == 2 and bench.points() == [(1, 1.0), (2, 1.0)]
