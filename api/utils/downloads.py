"""Files sent to clients: opened so that no link leads out of their root, sent so that no thread waits for a reader."""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

_SYS_OPENAT2 = 437
_RESOLVE_NO_MAGICLINKS, _RESOLVE_NO_SYMLINKS, _RESOLVE_BENEATH = 0x02, 0x04, 0x08
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK | os.O_NOFOLLOW  # a fifo must not make us wait
_TRIES = 8  # openat2 says EAGAIN while somebody renames above the file
_NO_OPENAT2 = frozenset({errno.ENOSYS, errno.EPERM})  # an old kernel; an old container's filter
#: what a client may cause by the path it names
_NO_FILE = frozenset(
    {
        errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EXDEV, errno.EACCES, errno.EPERM,
        errno.ENAMETOOLONG, errno.EINVAL, errno.ENXIO, errno.ENODEV,
    }
)  # fmt: skip
_RANGE = re.compile(r"bytes=[ \t]*([0-9]*)-([0-9]*)[ \t]*", re.ASCII | re.IGNORECASE)
_FURTHEST = 10**18  # no file is longer

Headers = list[tuple[str, str]]


class _OpenHow(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


def open_beneath(root: Path, relative: str) -> BinaryIO:
    """Opens a regular file below `root` for reading; no symlink on the way from there is followed.

    Raises FileNotFoundError for all that is no such file, whatever the reason, and other OSErrors for a machine in
    trouble. The root itself may be a symlink.
    """
    missing = FileNotFoundError(errno.ENOENT, "no such file", relative)
    parts = relative.split("/")
    if "\0" in relative or any(part in ("", ".", "..") for part in parts):
        raise missing
    try:
        root_fd = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            descriptor = _openat2(root_fd, os.fsencode(relative))
            if descriptor is None:
                descriptor = _walk(root_fd, parts)
        finally:
            os.close(root_fd)
    except UnicodeEncodeError:
        raise missing from None
    except OSError as problem:
        if problem.errno in _NO_FILE:
            raise missing from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise missing
    return os.fdopen(descriptor, "rb")


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _openat2(root_fd: int, relative: bytes) -> int | None:
    """The descriptor; None where the kernel has no openat2, or will not let us."""
    resolve = _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_MAGICLINKS
    how = _OpenHow(flags=_FLAGS, mode=0, resolve=resolve)
    arguments = (
        ctypes.c_long(_SYS_OPENAT2), ctypes.c_int(root_fd), ctypes.c_char_p(relative),
        ctypes.byref(how), ctypes.c_size_t(ctypes.sizeof(how)),
    )  # fmt: skip
    for _ in range(_TRIES):
        descriptor = int(_libc().syscall(*arguments))
        if descriptor >= 0:
            return descriptor
        if ctypes.get_errno() not in (errno.EAGAIN, errno.EINTR):
            break
    problem = ctypes.get_errno()
    if problem in _NO_OPENAT2:
        return None
    raise OSError(problem, os.strerror(problem))


def _walk(root_fd: int, parts: list[str]) -> int:
    """The same without openat2, a directory at a time."""
    here = os.dup(root_fd)
    try:
        for part in parts[:-1]:
            below = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
            os.close(here)
            here = below
        return os.open(parts[-1], _FLAGS, dir_fd=here)
    finally:
        os.close(here)


def range_response_parts(size: int, range_header: str | None) -> tuple[int, int, int, Headers]:
    """Status (200, 206 or 416), first byte, length and headers of an answer to a Range header.

    What is no single byte range is answered with the whole file, as RFC 9110 allows.
    """
    whole: Headers = [("Accept-Ranges", "bytes"), ("Content-Length", str(size))]
    found = _RANGE.fullmatch(range_header or "")
    if found is None or found.groups() == ("", ""):
        return 200, 0, size, whole
    first, last = (_number(text) for text in found.groups())
    if first is None:
        start, end = max(0, size - (last or 0)), size - 1
    else:
        if last is not None and last < first:
            return 200, 0, size, whole
        start, end = first, min(size - 1, size if last is None else last)
    if start > end:
        return 416, 0, 0, [*whole[:1], ("Content-Length", "0"), ("Content-Range", f"bytes */{size}")]
    length = end - start + 1
    headers: Headers = [
        ("Accept-Ranges", "bytes"),
        ("Content-Length", str(length)),
        ("Content-Range", f"bytes {start}-{end}/{size}"),
    ]
    return 206, start, length, headers


def _number(text: str) -> int | None:
    return None if not text else int(text) if len(text) < 19 else _FURTHEST


def file_response(
    environ: Mapping[str, Any],
    file: BinaryIO,
    size: int,
    range_header: str | None,
    *,
    content_type: str = "application/octet-stream",
    download_name: str | None = None,
) -> tuple[int, Headers, Iterable[bytes]]:
    """Status, headers and body that send an open file, which is closed when the answer is over.

    Under our server the body is a `wsgi.file_wrapper`, sent by its I/O thread: pass it on as it is (in Flask with
    `direct_passthrough=True`). Answers If-Match, If-None-Match and If-Range by a tag of size and time of change.
    """
    tag = f'"{os.fstat(file.fileno()).st_mtime_ns:x}-{size:x}"'
    always: Headers = [("ETag", tag), ("X-Content-Type-Options", "nosniff")]
    refused = _precondition(environ, tag)
    if refused:
        file.close()
        return refused, [*always, *([] if refused == 304 else [("Content-Length", "0")])], ()
    if environ.get("REQUEST_METHOD") != "GET" or environ.get("HTTP_IF_RANGE", tag) != tag:
        range_header = None
    status, start, length, headers = range_response_parts(size, range_header)
    headers += always
    if status != 416:
        headers.append(("Content-Type", content_type))
    if download_name is not None and status != 416:
        headers.append(("Content-Disposition", attachment(download_name)))
    if environ.get("REQUEST_METHOD") == "HEAD" or length == 0:
        file.close()
        return status, headers, ()
    file.seek(start)
    wrapper = environ.get("wsgi.file_wrapper")
    if wrapper is None or not getattr(wrapper, "obeys_content_length", False):
        return status, headers, _Piece(file, length)
    return status, headers, wrapper(file)


def _precondition(environ: Mapping[str, Any], tag: str) -> int | None:
    """412 or 304, where the client's tags say so."""
    must = environ.get("HTTP_IF_MATCH")
    if must is not None and must.strip() != "*" and tag not in _tags(must):
        return 412
    known = environ.get("HTTP_IF_NONE_MATCH")
    if known is not None and (known.strip() == "*" or tag in {one.removeprefix("W/") for one in _tags(known)}):
        return 304 if environ.get("REQUEST_METHOD") in ("GET", "HEAD") else 412
    return None


def _tags(header: str) -> set[str]:
    return {one.strip() for one in header.split(",")}


def attachment(name: str) -> str:
    """Content-Disposition that saves under a name, whatever characters it has (RFC 6266)."""
    plain = re.sub(r'[^\x20-\x7e]|["\\%]', "_", name)
    encoded = quote(name.encode("utf-8", "replace"), safe="")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"


class _Piece:
    """The next `length` bytes of a file, for a server that would send it to its end."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        self._file = file
        self._left = length

    def __iter__(self) -> Iterator[bytes]:
        while self._left and (chunk := self._file.read(min(self._left, 1 << 18))):
            self._left -= len(chunk)
            yield chunk

    def close(self) -> None:
        self._file.close()
