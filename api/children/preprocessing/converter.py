"""Decoding in a process of its own: a file that hangs, crashes or devours the decoder costs that process only."""

from __future__ import annotations

import errno
import multiprocessing
import os
import re
import resource
import signal
import stat
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, BinaryIO, NamedTuple

from api.children.preprocessing.places import Places
from api.children.preprocessing.plan import Limits
from api.children.preprocessing.problems import HOPELESS, Broken, Fatal
from api.children.preprocessing.sizes import Resolution

VIDEOS = frozenset((".mp4", ".avi", ".mov", ".mkv", ".flv", ".wmv", ".m4v", ".webm"))
IMAGES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"))
_OBJECT = re.compile(r" <[^<>]{0,500}>")  # Python's name for an open file, in Pillow's messages
BEAT = 1.0  # seconds between two signs of life


class Task(NamedTuple):
    """One source file, and the number of the first item that it becomes."""

    directory: str
    name: str
    places: Places
    first: int
    fps: int
    resolution: Resolution
    clip_seconds: float | None


class Converted(NamedTuple):
    items: list[dict[str, Any]]
    peak_bytes: int  # of the converting process, so far


class Converter:
    """Gives files to the process, and ends it when a file hangs; the next file gets a new one."""

    def __init__(self, limits: Limits, serve: Callable[[Connection, Limits], None] | None = None) -> None:
        self._limits = limits
        self._serve = serve or serve_files
        self._process: Any = None
        self._connection: Any = None

    def convert(self, task: Task) -> Converted:
        """Raises Broken or Fatal; then nothing of its items is left."""
        self._ensure()
        end = time.monotonic() + self._limits.file_seconds
        try:
            self._send(task)
            while True:
                kind, value = self._receive(min(self._limits.silent_seconds, end - time.monotonic()))
                if kind == "done":
                    return Converted(*value)
                if kind == "broken":
                    raise Broken(value)
                if kind == "fatal":
                    raise Fatal(value)
        except Broken:
            self._clear(task)
            raise

    def _clear(self, task: Task) -> None:
        number = task.first
        while task.places.media(number, "mp4").exists() or task.places.media(number, "png").exists():
            task.places.remove(number)
            number += 1
        task.places.remove(number)

    def _ensure(self) -> None:
        if self._process is not None and self._process.is_alive():
            return
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=self._serve, args=(theirs, self._limits), daemon=True)
        self._process.start()
        theirs.close()
        try:
            self._receive(self._limits.start_seconds)
        except Broken as problem:
            raise Fatal(f"the converting process does not start: it {problem}") from None

    def _send(self, task: Task) -> None:
        try:
            self._connection.send(task)
        except OSError:
            raise Broken(f"cannot be converted: {self._end()}") from None

    def _receive(self, patience: float) -> tuple[str, Any]:
        try:
            if not self._connection.poll(max(0.0, patience)):
                self._end()
                raise Broken("hangs: the decoder gave nothing for too long and was ended")
            message: tuple[str, Any] = self._connection.recv()
            return message
        except (EOFError, OSError):
            raise Broken(f"cannot be converted: {self._end()}") from None

    def _end(self) -> str:
        """No process is left; how it ended."""
        process, self._process = self._process, None
        self._connection.close()
        process.join(0.5)
        if process.is_alive():
            process.kill()
            process.join()
        code = process.exitcode
        process.close()
        return f"the decoder crashed ({signal.Signals(-code).name})" if code < 0 else f"the decoder ended ({code})"

    def close(self) -> None:
        if self._process is not None:
            self._end()


def serve_files(connection: Connection, limits: Limits) -> None:
    """The process: one task after the other, until nobody asks any more."""
    _confine(limits)
    import av.logging

    from api.children.preprocessing import pictures, videos

    av.logging.set_level(av.logging.PANIC)  # what a file is broken by is said once, by us
    last = 0.0

    def beat() -> None:
        nonlocal last
        if time.monotonic() - last > BEAT:
            last = time.monotonic()
            connection.send(("beat", None))

    def convert(task: Task) -> list[dict[str, Any]]:
        with _opened(task) as source:
            if os.path.splitext(task.name)[1].lower() in IMAGES:
                return [pictures.convert_image(source, task.places, task.first, task.resolution, limits)]
            wanted = videos.Wanted(task.fps, task.resolution, task.clip_seconds)
            return videos.convert_video(source, task.places, task.first, wanted, limits, beat)

    connection.send(("ready", None))
    while True:
        try:
            task: Task = connection.recv()
        except EOFError:
            return
        connection.send(_answer(convert, task))


def _answer(convert: Callable[[Task], list[dict[str, Any]]], task: Task) -> tuple[str, Any]:
    try:
        items = convert(task)
    except Broken as problem:
        return "broken", str(problem)
    except MemoryError:
        return "broken", "needs more memory than a file may have"
    except Exception as problem:  # noqa: BLE001  (strangers' bytes: a decoder raises what it likes)
        if getattr(problem, "errno", None) in HOPELESS:
            return "fatal", f"cannot write: {os.strerror(problem.errno)}"  # type: ignore[attr-defined]
        return "broken", told(problem)
    return "done", (items, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def told(problem: Exception) -> str:
    text = getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
    return f"cannot be decoded: {_OBJECT.sub('', text)}"


def _confine(limits: Limits) -> None:
    """No CUDA and no torch in here, so that a bound on the address space is one on memory."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for what, most in ((resource.RLIMIT_AS, limits.memory), (resource.RLIMIT_FSIZE, limits.output)):
        hard = resource.getrlimit(what)[1]
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (bound, bound))


def _opened(task: Task) -> BinaryIO:
    """A regular file of the directory itself: a link could lead anywhere."""
    directory = os.open(task.directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(task.name, flags, dir_fd=directory)
    except OSError as problem:
        reason = "is a link; links are not followed" if problem.errno == errno.ELOOP else problem.strerror
        raise Broken(str(reason)) from None
    finally:
        os.close(directory)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Broken("is not a regular file")
    return os.fdopen(descriptor, "rb", buffering=1 << 20)
