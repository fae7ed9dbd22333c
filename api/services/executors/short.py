"""Children that a request waits for: seconds to minutes long, gone with the service, never restarted.

What they get comes on standard input; what they make lies in files. A crash of one is an answer, not an accident.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

LONGEST_ERROR = 4000  # bytes of its last words that are kept


@dataclass(frozen=True, slots=True)
class Ended:
    """`code` is negative for a signal; `timed_out`: it was ended because its time was up."""

    code: int
    error: str
    timed_out: bool = False


class ShortExecutor:
    """Runs `python -m <module>` of this project, in a session of its own."""

    def __init__(self, root: Path, path: str = os.defpath, *, python: str = sys.executable) -> None:
        self._python = python
        self._env: Mapping[str, str] = {"PATH": path, "PYTHONPATH": str(root), "LANG": "C.UTF-8"}
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._closed = False

    def run(self, module: str, given: bytes, *, cwd: Path, seconds: float) -> Ended:
        """Waits for its end, at most `seconds`; then it is killed with all of its session."""
        with TemporaryFile() as errors:
            with self._lock:
                if self._closed:
                    return Ended(-signal.SIGKILL, "the service ends")
                child = subprocess.Popen(
                    [self._python, "-P", "-m", module],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    cwd=cwd,
                    env=dict(self._env),
                    start_new_session=True,
                )
                self._running.add(child)
            timed_out = False
            try:
                child.communicate(given, timeout=seconds)
            except subprocess.TimeoutExpired:
                timed_out = True
            finally:
                with self._lock:
                    self._running.discard(child)
                _kill(child)
                child.wait()
            errors.seek(max(0, os.fstat(errors.fileno()).st_size - LONGEST_ERROR))
            return Ended(child.returncode, errors.read().decode("utf-8", "replace").strip(), timed_out)

    def close(self) -> None:
        """Ends what runs; nothing is started any more."""
        with self._lock:
            self._closed = True
            for child in self._running:
                _kill(child)


def _kill(child: subprocess.Popen[bytes]) -> None:
    """It and what it started. Its group is its own until it has been waited for."""
    if child.returncode is None:
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
