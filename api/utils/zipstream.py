"""An archive made while it is sent: nothing of it lies on the disk, and no file of it in memory."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from typing import BinaryIO

_CHUNK = 1 << 18
_WHEN = (1980, 1, 1, 0, 0, 0)  # the same content makes the same archive


class _Pipe(io.RawIOBase):
    """What zipfile writes into; it may not be asked to go back."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._parts.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        data, self._parts = b"".join(self._parts), []
        return data


class ZipStream:
    """Each method yields the next bytes of the archive."""

    def __init__(self) -> None:
        self._pipe = _Pipe()
        self._archive = zipfile.ZipFile(self._pipe, "w", allowZip64=True)

    def add_bytes(self, name: str, content: bytes) -> Iterator[bytes]:
        """Compressed."""
        return self._add(name, io.BytesIO(content), zipfile.ZIP_DEFLATED)

    def add_file(self, name: str, file: BinaryIO) -> Iterator[bytes]:
        """As it is: images are compressed already."""
        return self._add(name, file, zipfile.ZIP_STORED)

    def _add(self, name: str, file: BinaryIO, method: int) -> Iterator[bytes]:
        info = zipfile.ZipInfo(name, _WHEN)
        info.compress_type = method
        info.external_attr = 0o100644 << 16
        with self._archive.open(info, "w", force_zip64=True) as entry:
            while chunk := file.read(_CHUNK):
                entry.write(chunk)
                yield self._pipe.taken()
        yield self._pipe.taken()

    def finish(self) -> Iterator[bytes]:
        self._archive.close()
        yield self._pipe.taken()
