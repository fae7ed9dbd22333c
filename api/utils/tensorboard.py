"""The scalars of a TensorBoard event file, read on while it is being written."""

from __future__ import annotations

import math
import os
import struct
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from tensorboard.compat.proto import event_pb2  # type: ignore[import-untyped]

LIMIT_BYTES = 4 * 2**20
CHECKED_BYTES = 16 * 2**10  # larger records (images, histograms) are not worth summing byte by byte

_HEADER = struct.Struct("<QI")
_CRC = struct.Struct("<I")
_TENSORS = {1: ("<f", "float_val"), 2: ("<d", "double_val"), 3: ("<i", "int_val"), 9: ("<q", "int64_val")}


class Scalar(NamedTuple):
    """`value` None: NaN or infinite. `wall_time` in Unix seconds."""

    tag: str
    step: int
    value: float | None
    wall_time: float


class Events(NamedTuple):
    scalars: list[Scalar]
    offset: int  # of the first record that was not taken
    corrupt: bool  # it is no record, and so nothing after it can be read either


def read_events(path: Path | str, offset: int = 0, limit_bytes: int = LIMIT_BYTES) -> Events:
    """The scalars from `offset` on, of about `limit_bytes` of records; an unfinished one is left for later.

    All is read when the offset no longer moves. Raises OSError (FileNotFoundError) as `open` does.
    """
    scalars: list[Scalar] = []
    position = offset
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(position)
        while position - offset < limit_bytes:
            header = file.read(_HEADER.size)
            if len(header) < _HEADER.size:
                break
            length, crc = _HEADER.unpack(header)
            if crc != masked_crc32c(header[:8]):
                return Events(scalars, position, True)
            after = position + _HEADER.size + length + _CRC.size
            if after > size:
                break
            found = _record(file, length, limit_bytes)
            if found is None:
                return Events(scalars, position, True)
            scalars += found
            position = after
    return Events(scalars, position, False)


def _record(file: BinaryIO, length: int, limit_bytes: int) -> list[Scalar] | None:
    """The scalars of the record at hand; none of one too large to be any. None: it is broken."""
    if length > limit_bytes:
        file.seek(length + _CRC.size, os.SEEK_CUR)
        return []
    data, crc = file.read(length), file.read(_CRC.size)
    if len(crc) < _CRC.size or (length <= CHECKED_BYTES and _CRC.unpack(crc)[0] != masked_crc32c(data)):
        return None
    try:
        event = event_pb2.Event.FromString(data)
    except DecodeError:
        return None
    found = ((value.tag, _number(value)) for value in event.summary.value)
    return [
        Scalar(tag, event.step, number if math.isfinite(number) else None, event.wall_time)
        for tag, number in found
        if number is not None
    ]


def _number(value: Any) -> float | None:
    """Of a Summary.Value: the old kind has simple_value, the new one a tensor without dimensions."""
    kind = value.WhichOneof("value")
    if kind == "simple_value":
        return float(value.simple_value)
    if kind != "tensor" or value.tensor.tensor_shape.dim or value.tensor.dtype not in _TENSORS:
        return None
    layout, field = _TENSORS[value.tensor.dtype]
    if len(value.tensor.tensor_content) == struct.calcsize(layout):
        return float(struct.unpack(layout, value.tensor.tensor_content)[0])
    numbers = getattr(value.tensor, field)
    return float(numbers[0]) if len(numbers) == 1 else None


def masked_crc32c(data: bytes) -> int:
    """The checksum of a TFRecord."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _crc_table() -> list[int]:
    table = []
    for crc in range(256):
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


_TABLE = _crc_table()
