"""Trainers that print too much, too long, too strangely, and logs that are taken away (facts F26-F32); hung ones."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from tests.acceptance.harness import TERMINAL, Service, losses, wait_for

Maker = Callable[..., Service]
MOST_MEMORY = 250 * 2**20
ANSWER_SECONDS = 2.0  # on a machine whose cores the flood and the tests share


@pytest.fixture(scope="module")
def stall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One that gives up on a hung trainer after two seconds."""
    service = Service(tmp_path_factory.mktemp("stall"), environ={"TRAINYARD_STALL_SECONDS": "2"})
    try:
        yield service.start()
    finally:
        service.close()


def lines_in(service: Service, job: str) -> int:
    with open(service.log_file(job), "rb") as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))


def last_lines(service: Service, job: str, tail: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = service.get(f"/{job}/logs", params={"tail": tail})["logs"]
    return found


def flood(service: Service, deadline: float, **x: Any) -> str:
    """Until its end; meanwhile the service answers, and its memory stays bounded."""
    job = service.submit(epochs=1, **x)
    process, peak, slowest = psutil.Process(service.pid), 0, 0.0

    def ended() -> bool:
        nonlocal peak, slowest
        began = time.monotonic()
        assert service.call("GET", "/healthz").code == 200
        status = service.status(job)
        slowest = max(slowest, time.monotonic() - began)
        peak = max(peak, process.memory_info().rss)
        return status in TERMINAL

    wait_for(ended, deadline, "the end of the flood", every=0.05)
    print(f"peak {peak >> 20} MiB, slowest answers {slowest:.3f} s")
    assert peak < MOST_MEMORY
    assert slowest < ANSWER_SECONDS
    assert service.status(job) == "completed"
    return job


def check_flood(service: Service, job: str, lines: int) -> None:
    total = lines_in(service, job)
    page = service.get(f"/{job}/logs", params={"tail": 1})
    assert page["total_lines"] == total > lines
    assert page["logs"][0]["message"] == "TRAINING COMPLETE!" and page["logs"][0]["line_number"] == total
    assert service.points(job) == losses(8)
    found = service.get(f"/{job}/logs/search", params={"keyword": f"flood {lines - 1} of"})
    assert found["total_matches"] == 1
    assert found["results"][0]["line_number"] == lines + 2  # two lines came before the flood


class TestFloods:
    def test_300_000_lines(self, shared: Service) -> None:
        job = flood(shared, 60, flood_lines=300_000)
        check_flood(shared, job, 300_000)

    @pytest.mark.slow
    @pytest.mark.timeout(300)
    def test_ten_seconds_at_full_speed(self, shared: Service) -> None:
        began = time.monotonic()
        job = flood(shared, 240, flood_seconds=10)
        texts = {line["message"]: line["line_number"] for line in last_lines(shared, job, 60)}
        count = int(next(text for text in texts if text.startswith("flood over after ")).split()[-2])
        print(f"{count} lines in 10 s, read in {time.monotonic() - began:.1f} s")
        assert count > 500_000
        assert texts[f"flood {count - 1} of a child that prints as fast as it can"] == count + 2
        page = shared.get(f"/{job}/logs", params={"tail": 1})
        assert page["total_lines"] == lines_in(shared, job) == texts["TRAINING COMPLETE!"]
        assert shared.points(job) == losses(8)
        shared.call("DELETE", f"/{job}", params={"files": "true"}).expect(200)  # a gigabyte or two
        assert not shared.log_file(job).exists()

    def test_a_progress_bar_of_20_mb_is_one_line(self, shared: Service) -> None:
        job = flood(shared, 60, bar_bytes=20_000_000)
        page = last_lines(shared, job, 10_000)
        assert [line["line_number"] for line in page] == list(range(1, len(page) + 1))
        assert len(page) == lines_in(shared, job) < 40
        at = next(i for i, line in enumerate(page) if line["message"] == "after the bar")
        assert page[at - 1]["message"].startswith("100%|##########| 1000000/1000000")
        assert shared.points(job) == losses(8)

    def test_a_line_of_10_mb_is_cut_and_marked(self, shared: Service) -> None:
        job = flood(shared, 60, line_bytes=10_000_000)
        page = last_lines(shared, job, 10_000)
        at = next(i for i, line in enumerate(page) if line["message"] == "after the long line")
        long = page[at - 1]
        assert long["message"].startswith("A" * 65_536) and len(long["message"]) < 65_600
        assert "cut" in long["message"][65_536:]
        assert len(page) == lines_in(shared, job)
        assert shared.points(job) == losses(8)
        assert [line["message"] for line in shared.log_pages(job, 3)] == [line["message"] for line in page]

    def test_bytes_that_are_no_text(self, shared: Service) -> None:
        raw = shared.home / "raw"
        raw.write_bytes(
            b"\xf0\x28\x8c\x28 broken\n" b"nul \x00 here\n" b"\x1b[31mred\x1b[0m\n" b"caf\xc3\xa9 \xe2\x9c\x93\n"
            b"latin \xe9\n" b"\xed\xa0\x80 half a pair\n" b"c1 \xc2\x9b31mx\n" b"u2028 \xe2\x80\xa8 in a line\n"
            b"50%\r\revent: done\rdata: {}\n" b"\xff" * 3 + b"\n"
        )  # fmt: skip
        job = shared.submit(epochs=1, raw_file=str(raw))
        shared.wait_status(job, "completed")
        page = last_lines(shared, job, 10_000)
        texts = [line["message"] for line in page]
        assert [line["line_number"] for line in page] == list(range(1, len(page) + 1))
        assert "red" in texts and "café ✓" in texts and "latin \ufffd" in texts
        assert any(text.endswith(" broken") for text in texts)
        assert "nul  here" in texts
        assert "data: {}" in texts
        assert not any(c in text for text in texts for c in "\x00\x1b\r\n\x9b")
        assert shared.points(job) == losses(8)
        with shared.stream(f"/{job}/logs/stream") as events:
            seen = []
            for event in events:
                seen.append(event)
                if event.kind == "end":
                    break
        assert [e.data["message"] for e in seen[:-1]] == texts[-50:]
        assert {e.kind for e in seen} == {"message", "end"}  # no line has forged an event


class TestLogsThatAreTakenAway:
    def test_truncated(self, shared: Service) -> None:
        job = shared.submit(epochs=12, steps_per_second=60)
        shared.wait_step(job, 20)
        before = len(shared.points(job))
        os.truncate(shared.log_file(job), 0)
        detail = shared.wait_status(job, "completed")
        assert any("cut from outside" in warning for warning in detail["warnings"])
        points = shared.points(job)
        assert points[:before] == losses(before)
        assert len({step for step, _ in points}) == len(points) and points[-1] == losses(96)[-1]
        assert last_lines(shared, job, 1)[0]["message"] == "TRAINING COMPLETE!"
        wanted = shared.log_file(job).read_text().splitlines()
        assert [line["message"] for line in last_lines(shared, job, 10_000)][-len(wanted) :] == wanted

    def test_deleted(self, shared: Service) -> None:
        """What was printed goes on being read; a note says what was done."""
        job = shared.submit(epochs=12, steps_per_second=60)
        shared.wait_step(job, 20)
        shared.log_file(job).unlink()
        detail = shared.wait_status(job, "completed")
        assert shared.points(job) == losses(96)
        assert any("deleted" in warning for warning in detail["warnings"])

    def test_deleted_under_a_service_that_is_killed(self, make_service: Maker) -> None:
        service = make_service().start()
        job = service.submit(epochs=60, steps_per_second=40)  # far longer than a restart takes on a busy machine
        service.wait_step(job, 10)
        service.log_file(job).unlink()
        service.wait_step(job, 20)
        service.restart()
        service.wait_step(job, 60)
        service.wait_status(job, "completed")
        assert service.points(job) == losses(480)


class TestHungOnes:
    def test_a_hang_is_remembered_over_a_restart(self, make_service: Maker) -> None:
        service = make_service(environ={"TRAINYARD_STALL_SECONDS": "3"}).start()
        job = service.submit(epochs=10, hang_after_traceback=5)
        service.wait_step(job, 5)
        wait_for(lambda: service.get(f"/{job}/logs/search", params={"keyword": "OutOfMemory"})["total_matches"])
        service.restart()
        detail = service.wait_status(job, "failed", deadline=30)
        assert detail["failure"]["kind"] == "cuda_oom"
        assert service.points(job) == losses(5)

    def test_a_hang_after_the_final_traceback_is_ended(self, stall: Service) -> None:
        job = stall.submit(epochs=10, hang_after_traceback=5)
        began = time.monotonic()
        detail = stall.wait_status(job, "failed", deadline=40)
        assert time.monotonic() - began > 2
        assert detail["failure"]["kind"] == "cuda_oom"
        assert "CUDA out of memory" in detail["failure"]["line"]
        assert detail["attempts"][0]["reason"] == "timed_out"
        assert stall.points(job) == losses(5)
        assert stall.processes() == []

    def test_one_that_works_on_after_a_caught_traceback_is_left_alone(self, stall: Service) -> None:
        job = stall.submit(epochs=2, burn_cpu_after_traceback=5, burn_seconds=6)
        detail = stall.wait_status(job, "completed", deadline=40)
        assert stall.points(job) == losses(16)
        assert detail["attempts"][0]["exit_code"] == 0
