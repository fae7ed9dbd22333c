"""What inference is compared with: ultralytics used by hand in one process. Commands on stdin, seconds on stdout."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from api.children.ultralytics_train.surroundings import prepare


def main() -> None:
    given = json.loads(sys.argv[1])
    kept = prepare({"threads": 1, "weights_dir": given["home"]})  # noqa: F841  (must be kept)
    import av
    import cv2
    import numpy as np
    from ultralytics import YOLO

    cv2.setNumThreads(1)
    data = Path(given["image"]).read_bytes()
    asked: dict[str, Any] = {"imgsz": given["imgsz"], "verbose": False}

    def look(model: Any) -> None:
        model.predict(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), **asked)

    def film(model: Any) -> None:
        with (
            av.open(given["video"]) as source,
            av.open(given["film"], "w", options={"movflags": "+faststart"}) as target,
        ):
            reader = source.streams.video[0]
            reader.thread_type = "AUTO"
            writer = target.add_stream("libx264", rate=25, options={"preset": "veryfast", "crf": "23"})
            writer.width, writer.height, writer.pix_fmt = reader.width, reader.height, "yuv420p"
            for frame in source.decode(reader):
                drawn = model.predict(frame.to_ndarray(format="bgr24"), **asked)[0].plot()
                target.mux(writer.encode(av.VideoFrame.from_ndarray(drawn, format="bgr24")))
            target.mux(writer.encode(None))

    warm = YOLO(given["weights"])
    look(warm)
    print("ready", flush=True)
    for line in sys.stdin:
        command, _, count = line.strip().partition(" ")
        began = time.perf_counter()
        if command == "look":
            for _ in range(int(count)):
                look(warm)
        elif command == "cold":
            look(YOLO(given["weights"]))
        elif command == "film":
            film(warm)
        print(time.perf_counter() - began, flush=True)


main()
