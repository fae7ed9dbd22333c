"""A log as whole lines with true byte offsets."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.utils import wholelines
from api.utils.logreader import CUT_MARK, LIMITS

TEXT = "eins\nzwölf\r\n\n10%\r50%\r100%\n\x1b[31mrot\x1b[0m\nhalf".encode()
LINES = ["eins", "zwölf", "", "100%", "rot"]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    path.write_bytes(TEXT)
    return path


def after(path: Path, offset: int, most: int = 50, final: bool = False) -> tuple[list[str], int]:
    with wholelines.open_log(str(path)) as file:
        found, end = wholelines.after(file, offset, most, final=final)
    return [text for text, _ in found], end


def last(path: Path, most: int, final: bool = False) -> list[str]:
    with wholelines.open_log(str(path)) as file:
        total, end = wholelines.count(file, final=final)
        return list(wholelines.between(file, max(0, total - most), end))


def test_from_line_to_line(log: Path) -> None:
    found, end = after(log, 0)
    assert found == LINES and TEXT[end:] == b"half"
    assert after(log, end) == ([], end)
    offset, one_by_one = 0, []
    for _ in LINES:
        line, following = after(log, offset, most=1)
        assert TEXT[offset:following].count(b"\n") == 1 and TEXT[offset:following].endswith(b"\n")
        one_by_one += line
        offset = following
    assert one_by_one == LINES


def test_half_a_line_is_one_only_when_nobody_writes(log: Path) -> None:
    assert after(log, 0, final=True) == ([*LINES, "half"], len(TEXT))
    assert after(log, len(TEXT), final=True) == ([], len(TEXT))
    with open(log, "ab") as file:
        file.write(b" a line\n")
    assert after(log, after(log, 0, most=5)[1]) == (["half a line"], len(TEXT) + 8)


def test_an_offset_inside_a_line_is_that_of_the_next(log: Path) -> None:
    assert after(log, 2)[0] == LINES[1:]
    assert after(log, 5)[0] == LINES[1:] and after(log, 4)[0] == LINES[1:]
    assert after(log, 7)[0] == LINES[2:]  # inside a character


def test_an_offset_beyond_the_end_is_the_end(log: Path) -> None:
    assert after(log, 10**6) == ([], len(TEXT))
    log.write_bytes(b"")
    assert after(log, 10**6) == ([], 0)


def test_the_last_ones(log: Path) -> None:
    assert last(log, 2) == LINES[-2:] and last(log, 99) == LINES and last(log, 0) == []
    assert last(log, 2, final=True) == ["rot", "half"] and last(log, 99, final=True) == [*LINES, "half"]


def test_what_is_written_meanwhile_is_not_among_the_counted(log: Path) -> None:
    with wholelines.open_log(str(log)) as file:
        total, end = wholelines.count(file, final=False)
        with open(log, "ab") as more:
            more.write(b" more\nand more\n")
        assert len(list(wholelines.between(file, 0, end))) == total == len(LINES)


def test_many_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wholelines, "BLOCK", 7)
    path = tmp_path / "log"
    path.write_text("".join(f"line {number}\n" for number in range(100)) + "rest")
    assert last(path, 3) == ["line 97", "line 98", "line 99"]
    assert last(path, 1, final=True) == ["rest"]
    assert after(path, 3, most=2)[0] == ["line 1", "line 2"]


def test_an_overlong_line_is_cut_and_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"a\n" + b"x" * (3 * LIMITS.line) + b"\nb\n" + b"y" * (2 * LIMITS.line))
    found, end = after(path, 0)
    assert found == ["a", "x" * LIMITS.line + CUT_MARK, "b"] and end == 3 * LIMITS.line + 5
    assert after(path, end) == ([], end)
    assert after(path, end, final=True) == (["y" * LIMITS.line + CUT_MARK], end + 2 * LIMITS.line)
    assert last(path, 2) == found[1:]


def test_no_log_yet(tmp_path: Path) -> None:
    assert after(tmp_path / "none", 0) == ([], 0) and last(tmp_path / "none", 5) == []
