"""Images through a real service and a real model: what is seen, and what is refused while others go on."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import struct
import subprocess
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from api.services.engines.ultralytics.engine import FIXED_ENV
from api.services.executors.warm import WarmExecutor
from api.services.infer_process import InferLimits, InferProcess
from api.settings import ROOT
from tests.infer.conftest import PYTHON, Inference, Maker
from tests.unit.test_infer_process import OPTIONS, Seat

pytestmark = [pytest.mark.infer, pytest.mark.timeout(300)]

BARE = """
import json, sys
from pathlib import Path
from api.children.ultralytics_train.surroundings import prepare
kept = prepare({"threads": 1, "weights_dir": sys.argv[1]})
import cv2
from ultralytics import YOLO
result = YOLO(sys.argv[2]).predict(cv2.imread(sys.argv[3]), imgsz=96, conf=0.5, iou=0.5, max_det=20, verbose=False)[0]
print(json.dumps(result.boxes.data.tolist()))
"""


def picture(kind: str = "JPEG", size: tuple[int, int] = (120, 80), seed: int = 0) -> bytes:
    """Noise in large squares, so that something is to be seen on it."""
    chance = random.Random(seed)
    small = Image.frombytes("RGB", (12, 8), bytes(chance.randrange(256) for _ in range(12 * 8 * 3)))
    file = io.BytesIO()
    small.resize(size, Image.Resampling.NEAREST).save(file, kind)
    return file.getvalue()


def test_it_sees_what_ultralytics_sees(inference: Inference, weights: list[Path], tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(picture())
    env = {**os.environ, **FIXED_ENV, "YOLO_CONFIG_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    argv = [PYTHON, "-c", BARE, str(tmp_path), str(weights[0]), str(path)]
    bare = subprocess.run(argv, check=True, capture_output=True, text=True, env=env, timeout=110).stdout
    wanted = json.loads(bare.splitlines()[-1])
    told = inference.image(path.read_bytes(), imgsz="96", conf="0.5", iou="0.5", max_det="20").json()
    assert (told["image_width"], told["image_height"]) == (120, 80)
    seen = [[*one["bbox"].values(), one["confidence"], one["class_id"]] for one in told["detections"]]
    assert len(seen) == len(wanted) > 3
    for ours, theirs in zip(seen, wanted, strict=True):
        assert ours == pytest.approx(theirs, abs=2e-3)
    some = inference.image(path.read_bytes(), imgsz="96", classes="1", conf="0.1").json()["detections"]
    assert {one["class_name"] for one in some} <= {"disc"}


def test_a_picture_is_drawn(inference: Inference) -> None:
    response = inference.post("/infer/model_a?format=image&conf=0.1", {"file": ("x.png", picture("PNG"))})
    assert response.headers["content-type"] == "image/jpeg"
    with Image.open(io.BytesIO(response.content)) as drawn:
        drawn.load()
        assert drawn.format == "JPEG" and drawn.size == (120, 80)


def test_eight_clients_at_once(inference: Inference) -> None:
    alone = [inference.image(picture(seed=seed)).json()["detections"] for seed in range(4)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: inference.image(picture(seed=n % 4)), range(40)))
    assert [each.status_code for each in found] == [200] * 40
    assert [each.json()["detections"] for each in found] == [alone[n % 4] for n in range(40)]


def png_bomb() -> bytes:
    """10,000 x 9,999 white pixels in 100 kB: below the limit of pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    width, height = 10_000, 9_999
    rows = zlib.compress((b"\0" + b"\xff" * (width // 8)) * height, 9)
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def bad_files() -> dict[str, bytes]:
    jpeg, png = picture(size=(600, 400)), picture("PNG", size=(600, 400))
    lying = bytearray(png)
    lying[16:24] = struct.pack(">II", 9000, 9000)  # its data are those of a small one
    return {
        "half.jpg": jpeg[: len(jpeg) // 2],
        "header.jpg": jpeg[:400],
        "half.png": png[: len(png) // 2],
        "lying.png": bytes(lying),
        "gif.jpg": picture("GIF"),
        "page.jpg": b"<html><script>alert(1)</script>",
        "polyglot.jpg": b"GIF89a/*" + jpeg,
        "empty.png": b"",
        "huge.png": png_bomb()[:16] + struct.pack(">II", 60_000, 60_000) + png_bomb()[24:],
        "zip.jpg": b"PK\x03\x04" + b"\0" * 100,
    }


def test_bad_files_are_refused_by_name_while_others_go_on(inference: Inference) -> None:
    assert inference.image(picture()).status_code == 200
    child = inference.child()
    with ThreadPoolExecutor(4) as pool:
        good = [pool.submit(inference.image, picture(seed=n)) for n in range(12)]
        for name, data in bad_files().items():
            response = inference.image(data, name=name)
            assert response.status_code == 422 and f"'{name}'" in response.json()["detail"], (name, response.text)
        assert {each.result().status_code for each in good} == {200}
    files = [("files", (name, data)) for name, data in bad_files().items()]
    files.insert(3, ("files", ("good.jpg", picture())))
    told = inference.post("/infer/batch/run", files, model_ids="model_a,model_b").json()
    assert [row["images"][0]["filename"] for row in told["results"]] == ["good.jpg"] * 2
    assert {error["filename"] for error in told["errors"]} == set(bad_files())
    assert inference.child() == child


def test_mutated_files_do_no_harm(inference: Inference) -> None:
    chance = random.Random(7)
    inference.image(picture())
    child = inference.child()
    for turn in range(60):
        data = bytearray(picture("JPEG" if turn % 2 else "PNG"))
        for _ in range(chance.randint(1, 12)):
            data[chance.randrange(8, len(data))] = chance.randrange(256)
        assert inference.image(bytes(data)).status_code in (200, 422)
    assert inference.child() == child


def test_a_large_image_fits(inference: Inference) -> None:
    """As many pixels as are taken, several at once."""
    bomb = png_bomb()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: inference.image(bomb, name="white.png").status_code, range(4)))
    assert found == [200] * 4


def test_one_model_makes_room_for_another(make_inference: Maker) -> None:
    inference = make_inference(TRAINYARD_INFER_MODELS="1")
    first = {model: inference.image(picture(), model).json()["detections"] for model in ("model_a", "model_b")}
    for model in ("model_a", "model_b", "model_a"):
        assert inference.image(picture(), model).json()["detections"] == first[model]
    assert first["model_a"] != first["model_b"]
    place = inference.service.data / "models" / "model_b" / "weights" / "best.pt"
    place.write_bytes(b"no weights")
    response = inference.image(picture(), "model_b")
    assert response.status_code == 409 and "model_b" in response.json()["detail"]
    place.unlink()
    assert inference.image(picture(), "model_b").status_code == 409
    assert inference.image(picture()).status_code == 200


def test_requests_that_wait_together_run_as_one_batch(weights: list[Path], tmp_path: Path) -> None:
    """As on a GPU; here on the CPU, where batches are one otherwise."""
    process = InferProcess(
        WarmExecutor(ROOT, PYTHON, os.environ["PATH"]),
        Seat(),
        InferLimits(4, 300.0, 4 << 30, 100.0, 600.0, batch=4),
        home=tmp_path / "home",
        weights=tmp_path,
        log_file=tmp_path / "log",
    )

    def look(seed: int) -> tuple[int, object]:
        header = {"op": "detect", "model": "a", "path": str(weights[0]), "options": OPTIONS, "draw": False}
        with process.call(header, picture(seed=seed)) as call:
            found = process.receive(call).header
            return found["batch"], [[round(value, 2) if isinstance(value, float) else value for value in row]
                                    for row in found["rows"]]  # fmt: skip

    try:
        alone = [look(seed) for seed in range(8)]
        with ThreadPoolExecutor(8) as pool:
            together = list(pool.map(look, range(8)))
    finally:
        process.close()
    assert {batch for batch, _ in alone} == {1}
    assert max(batch for batch, _ in together) > 1
    assert [len(rows) for _, rows in together] == [len(rows) for _, rows in alone]  # type: ignore[arg-type]


def test_weights_of_another_make_are_refused(inference: Inference, tmp_path: Path) -> None:
    """A pickle of a stranger's is not run."""

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path}/pwned",)

    place = inference.service.data / "models" / "model_c" / "weights" / "best.pt"
    kept = place.read_bytes()
    place.write_bytes(pickle.dumps({"model": Evil()}))
    try:
        assert inference.image(picture(), "model_c").status_code == 409
    finally:
        place.write_bytes(kept)
    assert not (tmp_path / "pwned").exists()
    assert inference.image(picture(), "model_c").status_code == 200
