"""`python -m api.children.yolo_infer <descriptor of a socket>`, started by api.services.infer_process."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from api.utils.framing import receive

_PR_SET_PDEATHSIG = 1
MOST_FILE = 16 << 30  # bytes of a result
GPU_BATCH = 8


def confine(parent: int) -> None:
    """No core dump, no endless file, and no life after the service's."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_FILE, MOST_FILE))
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the service is gone")


def limit_memory(more: int) -> None:
    """Address space beyond what the libraries have mapped by now. Not with a GPU: CUDA maps more than there is."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + more, used + more))


def usable_gpu() -> bool:
    """Whether CUDA does anything here. Its context is made now: it belongs to what the process begins with."""
    import torch

    if not torch.cuda.is_available():
        return False
    try:
        torch.zeros(1, device="cuda").cpu()
    except Exception:  # noqa: BLE001  (a GPU in exclusive use, a full one, a driver that is too old: then it is the CPU)
        traceback.print_exc()
        return False
    return True


def main() -> None:
    sock = socket.socket(fileno=int(sys.argv[1]))
    first = receive(sock)
    if first is None:
        return
    given: dict[str, Any] = first.header
    confine(given["parent"])
    os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(given["pixels"])  # read when cv2 is imported

    from api.children.ultralytics_train.surroundings import prepare

    operators = prepare(given)  # noqa: F841  (must be kept)
    import cv2

    from api.children.yolo_infer.cache import Models
    from api.children.yolo_infer.desk import Desk
    from api.children.yolo_infer.predictor import Predictor

    cv2.setNumThreads(1)
    has_gpu = given["gpu"] and usable_gpu()
    if not has_gpu:
        limit_memory(given["memory"])
    models = Models(given["models"], given["memory"] // 2, given["idle"])
    batch = given["batch"] or (GPU_BATCH if has_gpu else 1)
    predictor = Predictor(models, "0" if has_gpu else "cpu", batch, given["seconds"])
    desk = Desk(sock, predictor, given["video_seconds"])
    desk.say(event="ready", gpu=has_gpu, batch=batch)
    threading.Thread(target=desk.read, name="socket", daemon=True).start()
    predictor.run()


if __name__ == "__main__":
    main()
