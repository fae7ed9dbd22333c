"""100 clips of two seconds at 640x360 into a dataset, against the bare PyAV loop that decodes and encodes them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.report import Row, at_most, ratio_at_most
from benchmarks.service import interleaved, workplace

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = """
import sys, av, numpy as np
with av.open(sys.argv[1], "w") as container:
    stream = container.add_stream("libx264", rate=30)
    stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
    noise = np.random.default_rng(7).integers(0, 40, (360, 640, 3), np.uint8)
    for i in range(60):
        pixels = noise + np.uint8(i * 3)
        pixels[100:200, i * 8 : i * 8 + 80] = 255
        container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
    container.mux(stream.encode(None))
"""
#: the least that gives the same files: no checks, no captions, no pictures, nothing flushed to the disk
BARE = """
import sys, os, av
from fractions import Fraction
source, target = sys.argv[1:]
for name in sorted(os.listdir(source)):
    faststart = {"movflags": "+faststart"}
    with av.open(f"{source}/{name}") as old, av.open(f"{target}/{name}", "w", options=faststart) as new:
        old.streams.video[0].thread_type = "AUTO"
        stream = new.add_stream("libx264", rate=16, options={"preset": "veryfast", "crf": "18"})
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        given = 0
        for frame in old.decode(video=0):
            if frame.time * 16 >= given:
                frame.pts, frame.time_base, frame.pict_type = given, Fraction(1, 16), 0
                new.mux(stream.encode(frame))
                given += 1
        new.mux(stream.encode(None))
"""


def python(*arguments: str) -> str:
    env = {"PATH": os.defpath, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *arguments], env=env, check=True, capture_output=True, text=True).stdout


def bare(home: Path) -> float:
    shutil.rmtree(home / "bare", ignore_errors=True)
    (home / "bare").mkdir()
    began = time.monotonic()
    python("-c", BARE, str(home / "clips"), str(home / "bare"))
    return time.monotonic() - began


def ours(home: Path, peaks: list[list[int]]) -> float:
    shutil.rmtree(home / "set", ignore_errors=True)
    plan = {"job": "bench", "dataset": "set", "source": str(home / "clips"), "part": str(home / ".part"),
            "target": str(home / "set"), "prefix": "sks"}  # fmt: skip
    (home / "plan.json").write_text(json.dumps(plan))
    began = time.monotonic()
    said = python("-P", "-m", "api.children.preprocessing", str(home / "plan.json"))
    seconds = time.monotonic() - began
    events = [json.loads(line.removeprefix("@event ")) for line in said.splitlines() if line.startswith("@event ")]
    peaks.append([event["peak_bytes"] for event in events if event["event"] == "converted"])
    return seconds


def run(quick: bool) -> list[Row]:
    count = 10 if quick else 100
    peaks: list[list[int]] = []
    with workplace() as home:
        (home / "clips").mkdir()
        python("-c", SAMPLE, str(home / "clips" / "000.mp4"))
        for number in range(1, count):
            shutil.copy(home / "clips" / "000.mp4", home / "clips" / f"{number:03}.mp4")
        found = interleaved({"bare": lambda: bare(home), "ours": lambda: ours(home, peaks)}, 1 if quick else 3)
    ratio = min(found["ours"]) / min(found["bare"])
    grown = max(last[-1] - last[min(9, len(last) - 1)] for last in peaks) / 2**20
    loop = "the bare PyAV loop: decode and encode alone"
    return [
        Row(f"{count} clips of 2 s at 640x360 into a dataset", min(found["ours"]), "s", min(found["bare"]), loop, ratio,
            ratio_at_most(1.3)),
        Row("memory that the decoder gains after the tenth of them", grown, "MiB", goal=at_most(16)),
        Row("its memory at most", max(map(max, peaks)) / 2**20, "MiB"),
    ]  # fmt: skip
