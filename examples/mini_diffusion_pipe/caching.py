"""Fills the datasets' caches in a process of its own, as diffusion-pipe does.

If that process fails, its traceback is all that happens: the trainer goes on waiting for it. That is
diffusion-pipe's behaviour too, and what watches a training has to cope with it.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from console import bar, log, say
from data import Directory, Key, Picture, encode, group, read_pictures
from model import caption_ids


@dataclass
class Bucket:
    """What one size bucket of one directory holds; `owner[i]` is the image that caption i belongs to."""

    key: Key
    images: np.ndarray  # uint8 [n, 3, height, width]
    words: np.ndarray  # int64 [m, MAX_WORDS]
    owner: np.ndarray  # int64 [m]
    repeats: float


@dataclass(frozen=True)
class CacheMode:
    regenerate: bool = False
    trust: bool = False


class ArrayFile:
    """A cached `.npz` with the fingerprint of its sources; kept in memory if the folder is read-only."""

    unwritable: ClassVar[dict[str, dict[str, np.ndarray]]] = {}

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, np.ndarray]:
        if str(self.path) in self.unwritable:
            return self.unwritable[str(self.path)]
        try:
            with np.load(self.path, allow_pickle=False) as stored:
                return dict(stored)
        except (OSError, ValueError):
            return {}

    def write(self, arrays: dict[str, np.ndarray]) -> None:
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(temporary, "wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
            os.replace(temporary, self.path)
        except OSError as error:
            log(f"The cache stays in memory: {error}", "caching.py:62:write", "WARNING")
            self.unwritable[str(self.path)] = arrays


def cache_datasets(datasets: list[list[Directory]], mode: CacheMode) -> list[list[Bucket]]:
    """Runs the caching process and loads what it made. Waits for ever if it dies."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_fill, args=(datasets, mode, receiver, sender), name="Process-2")
    process.start()
    datasets[:], ArrayFile.unwritable = receiver.recv()  # both ends are open here, so this never sees an end of file
    process.join()
    reading = CacheMode(trust=mode.trust)
    return [[bucket for d in directories for bucket in _load(d, reading)] for directories in datasets]


def _fill(datasets: list[list[Directory]], mode: CacheMode, receiver: Connection, sender: Connection) -> None:
    receiver.close()  # so that the last line fails, and this process ends, if the trainer has gone
    directories = [directory for dataset in datasets for directory in dataset]
    for directory in directories:
        find_pictures(directory, mode)
    for directory in directories:
        _cache(directory, "latents", mode, tuple)
    for directory in directories:
        _cache(directory, "text embeddings", mode, tuple)
    sender.send((datasets, ArrayFile.unwritable))


def find_pictures(directory: Directory, mode: CacheMode) -> None:
    listing = directory.cache / "metadata.json"
    if mode.trust and listing.exists():
        say("Found grouped metadata cache. Directly loading it.")
        directory.buckets = _parse(json.loads(listing.read_text()), directory.path)
    else:
        say("Grouped metadata is not cached. Computing ungrouped metadata and then grouping.")
        say("Intermediate metadata is not cached. Enumerating all files.")
        group(directory, read_pictures(directory))
        _write_listing(directory, listing)
    for key in directory.buckets:
        say(f"Loading grouped metadata with grouping key {(key[0], 1)}")


def _write_listing(directory: Directory, listing: Path) -> None:
    content = [[key, [[p.path.name, p.captions, p.aspect] for p in ps]] for key, ps in directory.buckets.items()]
    temporary = listing.with_name(f".{listing.name}.{os.getpid()}")
    try:
        listing.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(content))
        os.replace(temporary, listing)
    except OSError as error:
        log(f"The cache stays in memory: {error}", "caching.py:111:_write_listing", "WARNING")


def _parse(content: list[Any], folder: Path) -> dict[Key, list[Picture]]:
    return {
        (key[0], key[1], key[2]): [Picture(folder / name, captions, aspect) for name, captions, aspect in pictures]
        for key, pictures in content
    }


def _cache(directory: Directory, kind: str, mode: CacheMode, shown: type) -> list[dict[str, np.ndarray]]:
    """Makes (or finds) the latents or the caption ids of each bucket. `shown` is how keys are printed."""
    say(f"caching {kind}: {directory.path}")
    arrays = []
    for key, pictures in directory.buckets.items():
        say(f"caching {kind}: {shown((key[0], 1))}")
        if kind == "latents":
            say(f"caching latents: {(*key, 1)}")
        name = f"{kind.split(maxsplit=1)[0]}_{key[0]}_{key[1]}x{key[2]}.npz"
        arrays.append(_cached(ArrayFile(directory.cache / name), key, pictures, kind, mode))
    return arrays


def _cached(file: ArrayFile, key: Key, pictures: list[Picture], kind: str, mode: CacheMode) -> dict[str, np.ndarray]:
    say("[CACHE] Initializing")
    stored = {} if mode.regenerate else file.read()
    mark = _fingerprint(key, pictures, kind)
    old = str(stored["fingerprint"]) if stored else None
    if old is not None and (mode.trust or old == mark):
        say(f"[CACHE] Existing cache has fingerprint {old}")
        say(f"[CACHE] Existing cache length: {len(pictures)}")
        return stored
    if old is not None:
        say("[CACHE] Fingerprint changed, deleting existing cache files")
    say(f"[CACHE] Storing new fingerprint: {mark}")
    say("[CACHE] Existing cache length: 0")
    say("[CACHE] Creating new shard: shard_0")
    arrays = {"fingerprint": np.array(mark), **_compute(key, pictures, kind)}
    file.write(arrays)
    return arrays


def _compute(key: Key, pictures: list[Picture], kind: str) -> dict[str, np.ndarray]:
    if kind == "latents":
        return {"images": np.stack([encode(picture, key[1], key[2]) for picture in bar(pictures)])}
    captions = [(i, text) for i, picture in enumerate(pictures) for text in picture.captions]
    words = [caption_ids(text) for _, text in bar(captions)]
    return {
        "words": np.array(words, dtype=np.int64),
        "owner": np.array([i for i, _ in captions], dtype=np.int64),
    }


def _fingerprint(key: Key, pictures: list[Picture], kind: str) -> str:
    parts: list[object] = [key, kind]
    for picture in pictures:
        stat = picture.path.stat()
        parts.append((picture.path.name, stat.st_size, stat.st_mtime_ns, picture.captions))
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _load(directory: Directory, mode: CacheMode) -> list[Bucket]:
    latents = _cache(directory, "latents", mode, list)
    texts = _cache(directory, "text embeddings", mode, list)
    return [
        Bucket(key, pixels["images"], text["words"], text["owner"], directory.repeats)
        for key, pixels, text in zip(directory.buckets, latents, texts, strict=True)
    ]
