"""Event files as they are really written, cut anywhere, and broken."""

from __future__ import annotations

import math
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.compat.proto import event_pb2  # type: ignore[import-untyped]
from torch.utils.tensorboard import SummaryWriter

from api.utils import tensorboard
from api.utils.tensorboard import Events, Scalar, masked_crc32c, read_events

TIME = 1_700_000_000.5
LARGE = 2**53 + 1


def record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc32c(length)) + data + struct.pack("<I", masked_crc32c(data))


def event(step: int = 1, **value: Any) -> bytes:
    summary = {"value": [{"tag": "t", **value}]}
    return record(event_pb2.Event(wall_time=TIME, step=step, summary=summary).SerializeToString())


def everything(path: Path, limit_bytes: int = tensorboard.LIMIT_BYTES) -> Events:
    scalars: list[Scalar] = []
    offset = 0
    while True:
        events = read_events(path, offset, limit_bytes)
        scalars += events.scalars
        if events.offset == offset:
            return Events(scalars, offset, events.corrupt)
        offset = events.offset


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, list[Scalar]]:
    """A file of torch's writer with scalars of both styles among other things, and what is to be found."""
    folder = tmp_path_factory.mktemp("events")
    rows = [
        ("train/loss", 1, 0.5),
        ("train/grad_norm", LARGE, 1e-7),
        ("verlust ä", 0, -3.0),
        ("nan", 3, math.nan),
    ]
    rows += [("inf", 4, math.inf), ("epoch", -1, 2.0)]
    with SummaryWriter(str(folder)) as writer:
        for new_style in (False, True):
            for tag, step, value in rows:
                writer.add_scalar(tag, value, step, walltime=TIME, new_style=new_style)
            writer.add_text("text", "words", 1)
            writer.add_scalar("double", 0.1, 5, walltime=TIME, new_style=new_style, double_precision=True)
    (path,) = folder.iterdir()
    found = [Scalar(t, s, struct.unpack("f", struct.pack("f", v))[0], TIME) for t, s, v in rows]
    found = [s if s.value is not None and math.isfinite(s.value) else s._replace(value=None) for s in found]
    old = Scalar("double", 5, struct.unpack("f", struct.pack("f", 0.1))[0], TIME)
    return path.read_bytes(), [*found, old, *found, old._replace(value=0.1)]


@pytest.fixture
def file(tmp_path: Path) -> Callable[[bytes], Path]:
    path = tmp_path / "events.out.tfevents.1"

    def write(data: bytes) -> Path:
        path.write_bytes(data)
        return path

    return write


def test_what_torch_writes(written: tuple[bytes, list[Scalar]], file: Callable[[bytes], Path]) -> None:
    data, scalars = written
    assert everything(file(data)) == Events(scalars, len(data), False)
    assert everything(file(data), limit_bytes=100) == Events(scalars, len(data), False)


def test_cut_at_every_byte(written: tuple[bytes, list[Scalar]], file: Callable[[bytes], Path]) -> None:
    data, scalars = written
    for cut in range(len(data)):
        first = read_events(file(data[:cut]))
        assert first.offset <= cut and not first.corrupt
        assert first.scalars == scalars[: len(first.scalars)]
        second = read_events(file(data), first.offset)
        assert (first.scalars + second.scalars, second.offset) == (scalars, len(data))


def test_any_broken_byte_is_noticed(written: tuple[bytes, list[Scalar]], file: Callable[[bytes], Path]) -> None:
    data, scalars = written
    for at in range(len(data)):
        events = read_events(file(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]))
        assert events.corrupt and events.offset <= at
        assert events.scalars == scalars[: len(events.scalars)]


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes, framed: bool) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(record(data) if framed else data)
    read_events(path)


@pytest.mark.parametrize(
    ("tensor", "value"),
    [
        ({"dtype": 1, "tensor_content": struct.pack("<f", 0.5)}, 0.5),
        ({"dtype": 2, "tensor_content": struct.pack("<d", 0.1)}, 0.1),
        ({"dtype": 2, "double_val": [0.1]}, 0.1),
        ({"dtype": 3, "int_val": [7]}, 7.0),
        ({"dtype": 9, "int64_val": [LARGE]}, float(LARGE)),
        ({"dtype": 2, "double_val": [math.nan]}, None),
    ],
)
def test_tensors(file: Callable[[bytes], Path], tensor: dict[str, Any], value: float | None) -> None:
    assert read_events(file(event(tensor=tensor))).scalars == [Scalar("t", 1, value, TIME)]


@pytest.mark.parametrize(
    "value",
    [
        {"tensor": {"dtype": 1, "float_val": [1.0, 2.0]}},
        {"tensor": {"dtype": 1, "tensor_shape": {"dim": [{"size": 1}]}, "float_val": [1.0]}},
        {"tensor": {"dtype": 7, "string_val": [b"text"]}},
        {"tensor": {"dtype": 1}},
        {"image": {"height": 1}},
        {},
    ],
)
def test_what_is_no_scalar(file: Callable[[bytes], Path], value: dict[str, Any]) -> None:
    data = event(**value)
    assert read_events(file(data)) == Events([], len(data), False)


def test_a_record_too_large_is_passed_over(file: Callable[[bytes], Path]) -> None:
    image = event(image={"encoded_image_string": b"x" * 10_000})
    path = file(image + event(2, simple_value=1.0))
    assert everything(path, limit_bytes=1000).scalars == [Scalar("t", 2, 1.0, TIME)]
    assert read_events(file(image[:-1]), 0, 1000) == Events([], 0, False)


def test_a_valid_frame_around_nonsense_is_corrupt(file: Callable[[bytes], Path]) -> None:
    good = event(simple_value=1.0)
    events = read_events(file(good + record(b"\xff\xff\xff")))
    assert events == Events([Scalar("t", 1, 1.0, TIME)], len(good), True)


def test_zeros_after_a_crash_are_corrupt(file: Callable[[bytes], Path]) -> None:
    assert read_events(file(bytes(4096))) == Events([], 0, True)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_events(tmp_path / "none")


def test_the_checksum_is_the_one_of_the_standard() -> None:
    masked = masked_crc32c(b"123456789")
    crc = (masked - 0xA282EAD8) & 0xFFFFFFFF
    assert (crc >> 17 | crc << 15) & 0xFFFFFFFF == 0xE3069283


def test_import_is_light() -> None:
    code = "import sys, api.utils.tensorboard; print({'numpy', 'torch', 'tensorflow'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
