"""Log files as lines: any bytes, any pace, any interruption."""

from __future__ import annotations

import itertools
import json
import os
import re
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.utils.logreader import CUT_MARK, LIMITS, Chunk, Cursor, Limits, Line, clean, read, split_span

FIXTURES = sorted((Path(__file__).parent.parent / "fixtures" / "diffusion_pipe").glob("*.log"))
TQDM = b"\r 50%|##   | 5/10 [00:01<00:01,  4.5it/s]"

pieces = st.sampled_from(
    [
        b"\n",
        b"\r",
        b"\r\n",
        b"\r\r\n",
        b"a",
        b"loss=1 ",
        b"  ",
        b"\t",
        b"\x1b[32m",
        b"\x1b[A",
        b"\x1b]0;t\x07",
        b"\x1b]",
        b"\x9b",
        b"\xc2\x9b1m",
        b"\xf0",
        b"\x9f\x98\x80",
        "é█".encode(),
        b"\x00",
        b"\xed\xa0\x80",
        TQDM,
        b"x" * 40,
        TQDM + b"[INFO] step=5",
        b"\r\x1b[K 1/3: 50% \xe2\x94\x81\xe2\x94\x80 2/4 2.2it/s 0.8s<0.9s",
    ]
)
contents = st.lists(pieces | st.binary(max_size=8), max_size=30).map(b"".join)


class Log:
    """A file that grows, and a reader of it that is started anew for each turn."""

    def __init__(self, path: Path | str, limits: Limits = LIMITS) -> None:
        self.path, self.limits = path, limits
        self.cursor = Cursor()
        self.lines: list[Line] = []
        self.parts: dict[int, list[str]] = {}

    def append(self, data: bytes) -> None:
        with open(self.path, "ab") as file:
            file.write(data)

    def turn(self, final: bool = False) -> Chunk:
        fd = os.open(self.path, os.O_RDONLY)
        try:
            chunk = read(fd, self.cursor, final=final, limits=self.limits)
        finally:
            os.close(fd)
        self.lines += chunk.lines
        for number, texts in chunk.parts.items():
            self.parts.setdefault(number, []).extend(texts)
        self.cursor = Cursor(**json.loads(json.dumps(asdict(chunk.cursor))))
        return chunk

    def drain(self, final: bool = False) -> Chunk:
        for _ in range(10_000):
            chunk = self.turn(final)
            if chunk.at_end:
                return chunk
        raise AssertionError("does not advance")

    def bytes(self) -> bytes:
        return Path(self.path).read_bytes()


@pytest.fixture
def log(tmp_path: Path) -> Log:
    (tmp_path / "log").touch()
    return Log(tmp_path / "log")


def expected(content: bytes, limit: int) -> Iterator[Line]:
    """The rules once more, over a whole file."""
    ends = [*re.finditer(rb"\r?\n", content)]
    bounds = [(m.start(), m.end()) for m in ends]
    if content and not content.endswith(b"\n"):
        bounds.append((len(content.removesuffix(b"\r")), len(content)))
    begin = 0
    for number, (end, after) in enumerate(bounds, 1):
        candidates = []
        for match in re.finditer(rb"[^\r]*", content[begin:end]):
            start, size = begin + match.start(), len(match[0])
            text = clean(match[0][:limit]) + (CUT_MARK if size > limit else "")
            candidates.append((start, start + min(size, limit), text, size > limit))
        best = [c for c in candidates if c[2].strip()] or candidates[:1]
        yield Line(number, *best[-1][:3], b"\r" in content[begin:end], best[-1][3])
        begin = after


def chunked(content: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(content), *(cut % (len(content) + 1) for cut in cuts)})
    return [content[a:b] for a, b in itertools.pairwise(edges)]


@settings(max_examples=250, deadline=None)
@given(
    contents,
    st.lists(st.integers(0, 2000), max_size=8),
    st.integers(1, 60),
    st.integers(2, 40),
    st.integers(1, 5),
)
def test_same_lines_whatever_the_turns(content: bytes, cuts: list[int], line: int, more: int, records: int) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        log = Log(f"{folder}/log", Limits(line + more, line, records))
        log.append(b"")
        for data in chunked(content, cuts):
            log.append(data)
            log.turn()
        log.drain(final=True)
    assert log.lines == list(expected(content, line))
    assert log.cursor == Cursor(len(content), len(log.lines))
    for found in log.lines:
        raw = content[found.start : found.end]
        assert split_span(raw, cut=found.cut) == [found.text]
        json.dumps(found.text, ensure_ascii=False).encode()
        assert not re.search(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff]", found.text)
        assert (found.number in log.parts) <= found.bar
        if found.bar and found.text.strip():
            assert log.parts[found.number][-1] == found.text


@settings(max_examples=120, deadline=None)
@given(contents, st.lists(st.integers(0, 2000), max_size=8))
def test_no_segment_with_news_is_lost(content: bytes, cuts: list[int]) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        slow, fast = Log(f"{folder}/log"), Log(f"{folder}/log")
        for data in [b"", *chunked(content, cuts)]:
            slow.append(data)
            slow.turn()
        slow.drain(final=True)
        fast.drain(final=True)
    assert slow.lines == fast.lines
    for line in fast.lines:
        once, often = fast.parts.get(line.number, []), slow.parts.get(line.number, [])
        assert [t for t in often if not t.endswith("]") and "━" not in t] == [
            t for t in once if not t.endswith("]") and "━" not in t
        ]
        assert set(once) <= set(often)


@settings(max_examples=120, deadline=None)
@given(st.lists(st.binary(max_size=12).map(lambda b: re.sub(rb"[\r\n]", b"", b)), min_size=1, max_size=8))
def test_span_gives_its_lines_again(texts: list[bytes]) -> None:
    for end in (b"\n", b"\r\n"):
        assert split_span(end.join(texts)) == [clean(text) for text in texts]


@pytest.mark.parametrize("path", FIXTURES, ids=lambda p: p.stem)
def test_real_logs(path: Path, tmp_path: Path) -> None:
    content = path.read_bytes()
    log = Log(path)
    log.drain(final=True)
    assert log.lines == list(expected(content, LIMITS.line))
    assert len(log.lines) == content.count(b"\n")
    assert all(line.text.isprintable() or "\t" in line.text for line in log.lines)
    slow = Log(tmp_path / "log")
    for at in range(0, len(content), 997):
        slow.append(content[at : at + 997])
        slow.turn()
    slow.drain(final=True)
    assert slow.lines == log.lines


def test_glued_lines_of_a_real_log_are_parts() -> None:
    (path,) = (path for path in FIXTURES if path.stem == "full_run")
    log = Log(path)
    log.drain(final=True)
    glued = [line for line in log.lines if "[CACHE] Creating new shard" in line.text]
    assert glued and all(line.text in log.parts[line.number] for line in glued if line.bar)


def test_bar_is_one_line(log: Log) -> None:
    log.append(b"start\n" + b"".join(b"\rEpoch: %3d%%|#  | %d/100 [00:01<00:02, 5it/s]" % (n, n) for n in range(100)))
    chunk = log.turn()
    assert chunk.open is not None and chunk.open[0] == 2 and chunk.open.bar
    assert chunk.open.text == "Epoch:  99%|#  | 99/100 [00:01<00:02, 5it/s]"
    first, last = "Epoch:   0%|#  | 0/100 [00:01<00:02, 5it/s]", "Epoch:  98%|#  | 98/100 [00:01<00:02, 5it/s]"
    assert chunk.parts == {2: [first, last]}
    log.append(b"\rEpoch: 100%|###| 100/100 [00:01<00:00, 5it/s]\nnext\n")
    chunk = log.turn()
    assert [line.text for line in chunk.lines] == ["Epoch: 100%|###| 100/100 [00:01<00:00, 5it/s]", "next"]
    assert chunk.open is None
    assert chunk.parts == {2: ["Epoch:  99%|#  | 99/100 [00:01<00:02, 5it/s]", chunk.lines[0].text]}
    assert log.bytes()[chunk.lines[0].start : chunk.lines[0].end].decode() == chunk.lines[0].text


@pytest.mark.parametrize(
    "glued",
    [
        b"[2026-11-21 07:32:42,155] [INFO] step=5 loss=0.25",
        b"step 3 loss [0.5]",
        b" loss 0.1 [00:01<00:02]",
        b"x",
        b"WARNING: NaN loss",
    ],
)
def test_glued_segment_is_given(log: Log, glued: bytes) -> None:
    log.append(TQDM * 3 + glued + TQDM * 3 + b"\n")
    chunk = log.turn()
    bar = clean(TQDM).removeprefix("\r")
    assert chunk.parts == {1: [bar, bar + glued.decode(), bar]}
    assert chunk.lines[0].text == bar


@pytest.mark.parametrize(
    "redraw",
    [
        "Map: 1%|  | 1/9 [00:00<?, ? examples/s]",
        "7it [00:01, 5.1it/s, loss=0.5]",
        "9%|▎ | 1.2k/9k [1:00:00<2:00:00]",
        "\x1b[K2/3 0G 5.1: 25% ━━━─── 1/4 1.4it/s 0.4s<2.1s",
        "a: 100% ━━━━ 64/64 16.8Mit/s 0.0s",
        "x: 0% ──── 0/4  0.2s",
        "Load: 0%|  | 0/21 [00:00<?, ?it/s]\x1b[A",
        "50%|# | 1/2 [00:00<?, ?it/s]   ",
    ],
)
def test_redraws_in_a_row_are_one_part(log: Log, redraw: str) -> None:
    log.append(b"".join(b"\r" + redraw.encode() for _ in range(50)) + b"\n")
    assert log.turn().parts == {1: [clean(redraw.encode())]}


def test_text_that_returns_is_no_redraw(log: Log) -> None:
    log.append(b"\rstep 1 [a]\rstep 2 [07:32]\rstep 10 [loss=0.5]\r  \r\x1b[K\n")
    chunk = log.turn()
    assert chunk.parts == {1: ["step 1 [a]", "step 2 [07:32]", "step 10 [loss=0.5]"]}
    assert chunk.lines[0].text == "step 10 [loss=0.5]"  # the bar was wiped: its last state stays


def test_carriage_return_at_the_edge(log: Log) -> None:
    log.append(b"loss=1\r")
    chunk = log.turn()
    assert chunk.open is not None and chunk.open.text == "loss=1" and not chunk.parts
    log.append(b"\n")
    assert log.turn().lines == [Line(1, 0, 6, "loss=1")]
    assert log.parts == {}  # it was no bar: only its text is to be parsed, and once


def test_long_line_is_cut_in_bounded_memory(log: Log) -> None:
    with open(log.path, "wb") as file:
        file.write(b"before\n")
        for _ in range(64):
            file.write(b"A" * 2**20)
    tracemalloc.start()
    chunk = log.drain()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * LIMITS.chunk
    assert chunk.open == Line(2, 7, 7 + LIMITS.line, "A" * LIMITS.line + CUT_MARK, cut=True)
    log.append(b"\nafter\n")
    log.drain()
    assert log.lines == [Line(1, 0, 6, "before"), chunk.open, Line(3, 8 + 2**26, 13 + 2**26, "after")]


@pytest.mark.parametrize(
    "unit",
    [b"\n", b"\r", b"ab\r", b"a\r\n", b"\x1b]\xc2\x9d", b"\x1b[", TQDM, b"1/" * 500 + b"]\r"]
    + [b"% \xe2\x94\x81 " + fill * 500 + b"\r" for fill in (b"1/", b"1", b"1.", b"1 ")],
)
def test_floods_are_bounded(log: Log, unit: bytes) -> None:
    log.append(unit * (3 * 2**20 // len(unit)))
    log.turn()  # warm
    log.cursor, log.limits = Cursor(), Limits(chunk=2**20, records=8192)
    before = time.process_time()
    chunk = log.turn()
    assert time.process_time() - before < 5
    assert not chunk.at_end and len(chunk.lines) + len(chunk.parts.get(1, [])) <= 8193
    tracemalloc.start()
    log.turn()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 * 2**20


def test_truncated_file_starts_anew(log: Log) -> None:
    log.append(b"one\ntwo\nunfinis")
    log.turn()
    os.truncate(log.path, 0)
    log.append(b"new\n")
    chunk = log.turn()
    assert chunk.truncated and chunk.lines == [Line(3, 0, 3, "new")]
    assert not log.turn().truncated


@pytest.mark.parametrize(
    ("rest", "texts"), [(b"", []), (b"end", ["end"]), (b"a\rb", ["b"]), (b"x\r", ["x"]), (b"\r", [""])]
)
def test_final_ends_the_last_line(log: Log, rest: bytes, texts: list[str]) -> None:
    log.append(rest)
    assert not log.turn().lines
    chunk = log.turn(final=True)
    assert [line.text for line in chunk.lines] == texts and chunk.open is None
    assert log.turn(final=True).lines == []


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"\x1b[1;32mok\x1b[0m", "ok"),
        (b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x07", "link"),
        (b"\x1b]0;never ends", "0;never ends"),
        (b"a\tb\x00\x07\x08\x7f", "a\tb"),
        (b"\xc2\x9b31mred\xc2\x85", "red"),
        (b"\xf0\x9f\x98", "\ufffd"),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
        ("läuft … 損失\u2028".encode(), "läuft … 損失\u2028"),
        (b"\x1b(B\x1bM\x1b", ""),
    ],
)
def test_clean(raw: bytes, text: str) -> None:
    assert clean(raw) == text
    assert split_span(raw + b"\n" + raw) == [text, text]


def test_limits_are_checked() -> None:
    with pytest.raises(ValueError, match="whole line"):
        Limits(chunk=10, line=9)


def test_fast_enough(log: Log) -> None:
    """600,000 lines a second are the aim; a busy machine must still see a sixth of that."""
    log.append(b"".join(b"step=%d loss=0.12345 lr=1e-5\n" % n for n in range(100_000)))
    before = time.process_time()
    log.drain()
    assert len(log.lines) / (time.process_time() - before) > 100_000
