"""Scalars out of TensorBoard event files, as they grow.

An event file is a TFRecord file: little-endian length (8 bytes), its masked CRC-32C (4), the record, its masked
CRC-32C (4). A record is a protobuf `tensorflow.Event`; of it we read `wall_time` (1), `step` (2) and in `summary` (5)
each `value` (1) with its `tag` (1) and `simple_value` (2) or scalar `tensor` (8). Read by hand, some forty lines,
because tensorboard's own reader starts at the beginning of a file each time.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHUNK = 1 << 20
LONGEST_RECORD = 64 << 20  # an image or a histogram is no scalar, and is skipped
FLOAT, DOUBLE = 1, 2  # tensorflow.DataType


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value; None where it is no finite number. `wall_time` in Unix seconds."""

    tag: str
    step: int
    value: float | None
    wall_time: float


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_TABLE = _crc_table()


def masked_crc(data: bytes) -> int:
    """TFRecord's masked CRC-32C (Castagnoli)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def read_events(path: Path, offset: int, *, limit: int = CHUNK) -> tuple[list[Scalar], int]:
    """The scalars after a byte offset, of at least one record and about `limit` bytes, and the offset after them.

    A record that is not whole yet is left for the next time; so is one whose length is damaged, for ever.
    """
    with open(path, "rb") as file:
        file.seek(offset)
        data = file.read(limit)
        needed = _length(data)
        if needed is not None and len(data) < needed <= LONGEST_RECORD:
            data += file.read(needed - len(data))
    scalars: list[Scalar] = []
    place = 0
    while (size := _length(data[place : place + 12])) is not None and place + size <= len(data):
        record = data[place + 12 : place + size - 4]
        if len(record) <= LONGEST_RECORD:
            scalars += _scalars(record)
        place += size
    return scalars, offset + place


def _length(head: bytes) -> int | None:
    """Bytes of the record with its frame; None if the head is not whole or is damaged."""
    if len(head) < 12:
        return None
    size, crc = struct.unpack_from("<QI", head)
    return size + 16 if masked_crc(head[:8]) == crc else None


def _scalars(record: bytes) -> Iterator[Scalar]:
    wall_time, step, summaries = 0.0, 0, []
    try:
        for number, value in _fields(record):
            if number == 1 and isinstance(value, bytes):
                wall_time = struct.unpack("<d", value)[0]
            elif number == 2 and isinstance(value, int):
                step = value - (1 << 64) if value >> 63 else value
            elif number == 5 and isinstance(value, bytes):
                summaries.append(value)
        for summary in summaries:
            for number, value in _fields(summary):
                if number == 1 and isinstance(value, bytes):
                    yield from _value(value, step, wall_time)
    except (ValueError, struct.error):
        return  # a record that its own checksum frames but that is no Event: nothing to show of it


def _value(data: bytes, step: int, wall_time: float) -> Iterator[Scalar]:
    tag, found = "", None
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            tag = value.decode("utf-8", "replace")
        elif number == 2 and isinstance(value, bytes) and len(value) == 4:
            found = struct.unpack("<f", value)[0]
        elif number == 8 and isinstance(value, bytes):
            found = _tensor(value)
    if tag and found is not None:
        yield Scalar(tag, step, found if math.isfinite(found) else None, wall_time)


def _tensor(data: bytes) -> float | None:
    """A float or double tensor of one element: in `tensor_content` (4), `float_val` (5) or `double_val` (6)."""
    kind, raw = 0, b""
    for number, value in _fields(data):
        if number == 1 and isinstance(value, int):
            kind = value
        elif number in (4, 5, 6) and isinstance(value, bytes):
            raw = value
    if kind == FLOAT and len(raw) == 4:
        return float(struct.unpack("<f", raw)[0])
    if kind == DOUBLE and len(raw) == 8:
        return float(struct.unpack("<d", raw)[0])
    return None


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, value) of a protobuf message; fixed-width values as their bytes."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        kind = key & 7
        if kind == 0:
            value, place = _varint(data, place)
            yield key >> 3, value
            continue
        if kind == 2:
            size, place = _varint(data, place)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if place + size > len(data):
            raise ValueError("a field reaches beyond its message")
        yield key >> 3, data[place : place + size]
        place += size


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if place >= len(data) or shift > 63:
            raise ValueError("a number without an end")
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, place
        shift += 7
