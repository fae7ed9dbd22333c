"""Weights judged from outside: their archive and the names in their pickle, none of which is called."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from api.children.yolo_weights.refusal import Refused, shown

#: what checkpoints of YOLO detectors are made of, beside torch's own list of plain things (tensors, OrderedDict)
ALLOWED = re.compile(
    r"torch\.nn\.modules\.[a-z_]+\.[A-Z]\w*"
    r"|ultralytics\.nn\.modules\.[a-z_]+\.[A-Z]\w*"
    r"|ultralytics\.nn\.tasks\.\w*Model"
    r"|ultralytics\.(?:yolo\.)?utils\.IterableSimpleNamespace"
    r"|ultralytics\.utils\.(?:loss|tal)\.(?:[A-Z]|v\d)\w*"
    r"|numpy\.dtype|numpy\._?core\.multiarray\.scalar"
    r"|pathlib\.(?:_local\.)?(?:Posix|Windows)Path",
    re.ASCII,
)
#: fetches weights from the internet when it is made
_DENIED = frozenset({"ultralytics.nn.modules.block.TorchVision"})


def judge(path: Path) -> None:
    """Raises Refused."""
    _judge_archive(path)
    from torch.serialization import get_unsafe_globals_in_checkpoint  # since 2.6; the restricted loader needs it too

    try:
        needed = get_unsafe_globals_in_checkpoint(path)
    except Exception as problem:  # noqa: BLE001  # hostile opcodes end in any kind of exception; all of them are refused
        raise Refused(f"is no checkpoint of torch: {shown(problem)}") from None
    for name in sorted(needed):
        if not ALLOWED.fullmatch(name) or name in _DENIED:
            raise Refused(f"names {shown(name)}, which is no part of a YOLO model: nothing of it was loaded")


def _judge_archive(path: Path) -> None:
    """torch stores without compressing; what unpacks to more than it is long is a bomb."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except Exception as problem:  # noqa: BLE001  # as above: zipfile raises half a dozen kinds
        raise Refused(f"is no checkpoint of torch (a zip since version 1.6): {shown(problem)}") from None
    names = [entry.filename for entry in entries]
    if any("/code/" in name or name.endswith("/constants.pkl") for name in names):
        raise Refused("is a TorchScript archive, not an ultralytics checkpoint: upload the .pt it was exported from")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise Refused("is compressed inside, which torch's own files never are")
    if sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise Refused("says that it holds more than it is long")
    if not any(name.endswith("/data.pkl") for name in names):
        raise Refused("is no checkpoint of torch: it has no data.pkl")
