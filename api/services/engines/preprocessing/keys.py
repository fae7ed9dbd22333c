"""Keys of requests. They are in our memory and in a pipe's, never on a disk, in an argument or in an environment."""

from __future__ import annotations

import os
import threading
from pathlib import Path


class Keys:
    """A key reaches the child by a named pipe that holds it from before the launch until the child reads it. The pipe
    is empty once we are gone: a child that comes later finds no key, and says so."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: dict[str, str] = {}
        self._pipes: dict[str, int] = {}  # our end, open for as long as the child may still come

    def remember(self, job_id: str, key: str) -> None:
        with self._lock:
            self._keys[job_id] = key

    def of(self, job_id: str) -> str | None:
        with self._lock:
            return self._keys.get(job_id)

    def known(self) -> list[str]:
        with self._lock:
            return [*self._keys]

    def hand_over(self, job_id: str, key: str, pipe: Path) -> None:
        pipe.unlink(missing_ok=True)
        os.mkfifo(pipe, 0o600)
        descriptor = os.open(pipe, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)  # both ends, so that nobody waits
        os.write(descriptor, key.encode("ascii") + b"\n")
        with self._lock:
            before = self._pipes.pop(job_id, None)
            self._pipes[job_id] = descriptor
        if before is not None:
            os.close(before)

    def forget(self, job_id: str) -> None:
        with self._lock:
            self._keys.pop(job_id, None)
            descriptor = self._pipes.pop(job_id, None)
        if descriptor is not None:
            os.close(descriptor)
