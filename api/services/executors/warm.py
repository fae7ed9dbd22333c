"""A child that stays and answers many: spoken to over a private socket, gone with the service.

One thread a child starts it, reads what it says and waits for its end. The kernel ends the child with that thread
(PR_SET_PDEATHSIG, which the child asks for), and so with the service, however that ends.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from api.utils.framing import Message, Torn, receive, send

log = logging.getLogger(__name__)


class Gone(Exception):
    """The child cannot be told anything any more."""


class WarmChild:
    """`heard`: the monotonic time of its last word, or of its start."""

    def __init__(self, sock: socket.socket, on_message: Callable[[Message], None], on_end: Callable[[], None]) -> None:
        self._sock = sock
        self._on_message = on_message
        self._on_end = on_end
        self._sending = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = threading.Event()
        self.heard = time.monotonic()

    @property
    def pid(self) -> int | None:
        """None where it could not be started."""
        return None if self._process is None else self._process.pid

    def send(self, header: Mapping[str, Any], payload: bytes | memoryview = b"") -> None:
        """Raises Gone."""
        with self._sending:
            try:
                send(self._sock, header, payload)
            except OSError as problem:  # it has ended, or reads no more: half a message may be out
                self.kill()
                raise Gone from problem

    def rss(self) -> int:
        """Bytes of memory; 0 once it has ended."""
        try:
            fields = Path(f"/proc/{self.pid}/statm").read_text().split()
        except (FileNotFoundError, ProcessLookupError):
            return 0
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    def kill(self) -> None:
        """At once, with all that it started; `on_end` is called when it is gone."""
        process = self._process
        if process is not None and process.returncode is None:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def join(self, seconds: float) -> bool:
        return self._ended.wait(seconds)

    def _live(self, argv: list[str], env: Mapping[str, str], cwd: Path, log_file: Path, theirs: socket.socket,
              started: threading.Event) -> None:  # fmt: skip
        try:
            with theirs, open(log_file, "wb") as output:
                self._process = subprocess.Popen(
                    [*argv, str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=cwd,
                    env=dict(env),
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
        except OSError:
            log.exception("%s cannot be started", argv)
        finally:
            started.set()
        try:
            if self._process is not None:
                self._read()
                self.kill()
                code = self._process.wait()
                log.info("process %d has ended with %d", self._process.pid, code)
        finally:
            self._sock.close()
            try:
                self._on_end()
            finally:
                self._ended.set()

    def _read(self) -> None:
        try:
            while (message := receive(self._sock)) is not None:
                self.heard = time.monotonic()
                self._on_message(message)
        except (OSError, Torn, ValueError) as problem:
            log.warning("process %s is not understood: %s", self.pid, problem)


class WarmExecutor:
    """Runs `python -m <module> <descriptor>` of this project. `path`: where it looks for programs."""

    def __init__(self, root: Path, python: str, path: str, library_path: str = "") -> None:
        self._root = root
        self._python = python
        self._env = {"PATH": path, "PYTHONPATH": str(root), "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"}
        if library_path:
            self._env["LD_LIBRARY_PATH"] = library_path

    def start(
        self,
        module: str,
        env: Mapping[str, str],
        *,
        log_file: Path,
        send_seconds: float,
        on_message: Callable[[Message], None],
        on_end: Callable[[], None],
    ) -> WarmChild:
        """Both are called by the child's own thread, `on_end` once, also where it could not be started. Raises Gone
        where there can be no such thread."""
        ours, theirs = socket.socketpair()
        whole = int(send_seconds)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", whole, int((send_seconds % 1) * 1e6)))
        child, started = WarmChild(ours, on_message, on_end), threading.Event()
        arguments = (
            [self._python, "-P", "-m", module], {**self._env, **env}, self._root, log_file, theirs, started,
        )  # fmt: skip
        try:
            threading.Thread(target=child._live, args=arguments, name="warm-child", daemon=True).start()
        except RuntimeError as problem:  # there can be no more threads
            ours.close()
            theirs.close()
            raise Gone from problem
        started.wait()
        return child
