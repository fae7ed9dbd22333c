"""Reads and writes the safetensors file format (so that the package is not needed)."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64"}
DTYPES = {name: dtype for dtype, name in NAMES.items()}


def save_tensors(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    """Written aside and renamed, so that a reader never sees half a file."""
    header: dict[str, object] = {"__metadata__": {"format": "pt", **metadata}}
    blobs: list[bytes] = []
    offset = 0
    for name, tensor in sorted(tensors.items()):
        blob = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        header[name] = {
            "dtype": NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + len(blob)],
        }
        blobs.append(blob)
        offset += len(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.writelines(blobs)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    raw = path.read_bytes()
    (length,) = struct.unpack_from("<Q", raw)
    header = json.loads(raw[8 : 8 + length])
    metadata: dict[str, str] = header.pop("__metadata__", {})
    data = np.frombuffer(raw, dtype=np.uint8, offset=8 + length)
    tensors = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        piece = torch.from_numpy(data[start:end].copy())
        tensors[name] = piece.view(DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return tensors, metadata
