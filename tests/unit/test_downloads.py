"""Nothing outside the root is ever opened, and a range is what RFC 9110 says."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.utils import downloads
from api.utils.downloads import attachment, file_response, open_beneath, range_response_parts

SECRET = b"root:x:0:0"


@pytest.fixture(params=["openat2", "walk"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of opening are tried with everything."""
    if request.param == "walk":
        monkeypatch.setattr(downloads, "_openat2", lambda *_: None)
    return str(request.param)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "weights").mkdir(parents=True)
    (root / "weights" / "best.pt").write_bytes(b"weights")
    (tmp_path / "root2").mkdir()
    (tmp_path / "root2" / "secret").write_bytes(SECRET)
    (tmp_path / "secret").write_bytes(SECRET)
    (root / "leak.pt").symlink_to(tmp_path / "secret")
    (root / "inside.pt").symlink_to("weights/best.pt")
    (root / "leakdir").symlink_to(tmp_path)
    (root / "proc").symlink_to("/proc/self/root")
    os.mkfifo(root / "fifo")
    return root


def test_a_file_is_opened(way: str, root: Path) -> None:
    with open_beneath(root, "weights/best.pt") as file:
        assert file.read() == b"weights"


def test_strange_but_honest_names(way: str, root: Path) -> None:
    for name in ("a b", "ü", "..x", "x..", "%2e%2e", "back\\slash", "new\nline", "-rf", "~"):
        (root / name).write_bytes(name.encode())
        with open_beneath(root, name) as file:
            assert file.read() == name.encode()


@pytest.mark.parametrize(
    "path",
    [
        "../secret", "weights/../../secret", "weights/../weights/best.pt", "/etc/passwd", "//etc/passwd", "./../secret",
        "..", ".", "", "/", "weights", "weights/", "weights//best.pt", "weights/best.pt/", "weights/best.pt/x",
        "leak.pt", "inside.pt", "leakdir/secret", "leakdir/root2/secret", "proc/etc/passwd", "fifo", "missing",
        "../root2/secret", "%2e%2e/secret", "..%2fsecret", "....//secret", "..;/secret", "..\\secret", "x\0y",
        "weights/best.pt\0", "a" * 300, "a/" * 3000 + "b", "\udcff\ud800", "．．/secret",
    ],
)  # fmt: skip
def test_everything_else_is_no_such_file(way: str, root: Path, path: str) -> None:
    with pytest.raises(FileNotFoundError):
        open_beneath(root, path)


def test_sockets_devices_and_a_missing_root(way: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(root)  # the path of a socket is short
        listener.bind("socket")
        with pytest.raises(FileNotFoundError):
            open_beneath(root, "socket")
    with pytest.raises(FileNotFoundError):
        open_beneath(Path("/dev"), "null")
    with pytest.raises(FileNotFoundError):
        open_beneath(root / "gone", "x")


def test_a_machine_in_trouble_is_not_a_missing_file(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(downloads, "_openat2", full)
    with pytest.raises(OSError, match="too many"):
        open_beneath(root, "weights/best.pt")


@given(st.lists(st.sampled_from(["..", ".", "", "leakdir", "proc", "root", "weights", "secret", "leak.pt", "etc"])))
def test_no_combination_leaks(tmp_path_factory: pytest.TempPathFactory, parts: list[str]) -> None:
    base = tmp_path_factory.getbasetemp() / "combinations"
    if not base.exists():
        (base / "root" / "weights").mkdir(parents=True)
        (base / "secret").write_bytes(SECRET)
        (base / "root" / "leakdir").symlink_to("..")
        (base / "root" / "leak.pt").symlink_to("../secret")
    with pytest.raises(FileNotFoundError):
        open_beneath(base / "root", "/".join(parts))


# ---- ranges


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, (200, 0, 100)), ("", (200, 0, 100)), ("bytes=0-", (206, 0, 100)), ("bytes=0-0", (206, 0, 1)),
        ("bytes=10-19", (206, 10, 10)), ("bytes=90-200", (206, 90, 10)), ("bytes=-1", (206, 99, 1)),
        ("bytes=-1000", (206, 0, 100)), ("bytes=100-", (416, 0, 0)), ("bytes=-0", (416, 0, 0)),
        ("bytes=" + "9" * 5000 + "-", (416, 0, 0)), ("bytes=5-2", (200, 0, 100)), ("bytes=-", (200, 0, 100)),
        ("bytes=0-1,5-6", (200, 0, 100)), ("lines=0-1", (200, 0, 100)), ("bytes=a-b", (200, 0, 100)),
        ("bytes=٣-٤", (200, 0, 100)), ("bytes=+1-2", (200, 0, 100)), ("BYTES=1-2", (206, 1, 2)),
    ],
)  # fmt: skip
def test_ranges(header: str | None, expected: tuple[int, int, int]) -> None:
    assert range_response_parts(100, header)[:3] == expected


def test_nothing_of_an_empty_file_can_be_asked_for() -> None:
    assert range_response_parts(0, None)[0] == 200
    for header in ("bytes=0-", "bytes=0-0", "bytes=-5"):
        assert range_response_parts(0, header)[0] == 416


@given(st.integers(0, 10**12), st.integers(0, 10**13) | st.none(), st.integers(0, 10**13) | st.none())
def test_a_range_lies_within_the_file(size: int, first: int | None, last: int | None) -> None:
    text = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    status, start, length, headers = range_response_parts(size, text)
    shown = dict(headers)
    assert int(shown["Content-Length"]) == length
    assert 0 <= start <= start + length <= size
    if status == 206:
        assert shown["Content-Range"] == f"bytes {start}-{start + length - 1}/{size}"
        assert length > 0
    elif status == 416:
        assert shown["Content-Range"] == f"bytes */{size}"


# ---- answers


Ask = Callable[..., tuple[int, dict[str, str], bytes]]


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Ask]:
    (tmp_path / "file").write_bytes(bytes(range(100)))
    opened = []

    def ask(range_header: str | None = None, **environ: str) -> tuple[int, dict[str, str], bytes]:
        file = open_beneath(tmp_path, "file")
        opened.append(file)
        environ = {"REQUEST_METHOD": "GET", **environ}
        status, headers, body = file_response(environ, file, 100, range_header, download_name="f.bin")
        got = b"".join(body)
        if hasattr(body, "close"):
            body.close()
        return status, dict(headers), got

    yield ask
    assert all(file.closed for file in opened)


def test_the_file_or_a_part_of_it(ask: Ask) -> None:
    assert ask()[2] == bytes(range(100))
    status, headers, body = ask("bytes=10-19")
    assert (status, headers["Content-Range"], body) == (206, "bytes 10-19/100", bytes(range(10, 20)))
    assert ask("bytes=200-")[0] == 416


def test_head_has_no_body_and_ignores_ranges(ask: Ask) -> None:
    status, headers, body = ask("bytes=10-19", REQUEST_METHOD="HEAD")
    assert (status, headers["Content-Length"], body) == (200, "100", b"")


def test_tags(ask: Ask) -> None:
    tag = ask()[1]["ETag"]
    assert ask(HTTP_IF_NONE_MATCH=f'"other", W/{tag}')[0] == 304
    assert ask(HTTP_IF_NONE_MATCH='"other"')[0] == 200
    assert ask(HTTP_IF_MATCH='"other"')[0] == 412
    assert ask(HTTP_IF_MATCH=tag)[0] == 200
    assert ask("bytes=1-2", HTTP_IF_RANGE=tag)[0] == 206
    assert ask("bytes=1-2", HTTP_IF_RANGE='"other"')[0] == 200


@given(st.text())
def test_no_file_name_breaks_out_of_its_header(name: str) -> None:
    header = attachment(name)
    assert header.isascii() and header.isprintable()
    plain = header.split('"')
    assert len(plain) == 3 and "\\" not in plain[1]
