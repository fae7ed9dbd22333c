"""Archives from strangers (facts A18 to A21): refused before anything is unpacked, and only ever as a BadZip."""

from __future__ import annotations

import io
import random
import stat
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from api.utils.zips import BadZip, ZipLimits, open_zip

LIMITS = ZipLimits(files=1000, total=50_000_000)
Make = Callable[[zipfile.ZipFile], None]


def test_a_zip64_directory_whose_numbers_would_fit_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """zipfile writes one from 2 GiB on."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 100)
    path = packed(tmp_path / "a.zip", lambda archive: archive.writestr("x.txt", random.Random(1).randbytes(300)))
    assert b"PK\6\6" in path.read_bytes()
    with open_zip(path, LIMITS) as archive:
        assert len(archive.read("x.txt", 300)) == 300


def packed(path: Path, make: Make) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        make(archive)
    return path


def entry(name: str, *, mode: int = 0, content: bytes = b"x") -> Make:
    def make(archive: zipfile.ZipFile) -> None:
        info = zipfile.ZipInfo("placeholder")
        info.filename = info.orig_filename = name  # past ZipInfo's own cleaning
        info.external_attr = mode << 16
        info.create_system, info.compress_type = 3, zipfile.ZIP_DEFLATED
        archive.writestr(info, content)

    return make


def contents(path: Path, limits: ZipLimits = LIMITS) -> dict[str, bytes]:
    with open_zip(path, limits) as archive:
        return {name: archive.read(name, 10**8) for name in archive.names}


def refused(path: Path, word: str, limits: ZipLimits = LIMITS) -> None:
    with pytest.raises(BadZip, match=word):
        contents(path, limits)


def test_what_is_sound_is_taken(tmp_path: Path) -> None:
    def make(archive: zipfile.ZipFile) -> None:
        archive.mkdir("a")
        archive.writestr("a/é 1.xml", b"<x/>")
        archive.writestr("b.png", b"p" * 100, zipfile.ZIP_STORED)
        archive.writestr("..hidden", b"")

    path = packed(tmp_path / "z", make)
    assert contents(path) == {"a/é 1.xml": b"<x/>", "b.png": b"p" * 100, "..hidden": b""}
    with open_zip(path, LIMITS) as archive:
        assert archive.total == 104
        target = io.BytesIO()
        archive.copy("b.png", target)
        assert target.getvalue() == b"p" * 100
        with pytest.raises(BadZip, match="longer than 10"):
            archive.read("b.png", 10)


@pytest.mark.parametrize(
    "name",
    ["../up", "a/../../up", "/abs", "a\\b", "..\\up", "C:/x", "c:x", "a//b", "./a", "a/.", "..", ".", "//host/x"],
)
def test_names_that_lead_elsewhere(tmp_path: Path, name: str) -> None:
    refused(packed(tmp_path / "z", entry(name)), "unsafe name")


@pytest.mark.parametrize("name", ["a\nb", "a\0b", "a\x1bb", "a\u2028b", "a\x7fb"])
def test_names_that_forge_lines(tmp_path: Path, name: str) -> None:
    refused(packed(tmp_path / "z", entry(name)), "control characters")


@pytest.mark.parametrize("name", ["x" * 256, "é" * 128, "/".join(["d"] * 33), "/".join(["y" * 200] * 6)])
def test_names_that_no_disk_holds(tmp_path: Path, name: str) -> None:
    refused(packed(tmp_path / "z", entry(name)), "too long")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK, stat.S_IFDIR])
def test_what_is_no_plain_file(tmp_path: Path, kind: int) -> None:
    refused(packed(tmp_path / "z", entry("link", mode=kind | 0o777, content=b"/etc/passwd")), "no plain file")


@pytest.mark.parametrize(("first", "second"), [("a", "a"), ("a", "A"), ("é", "e\u0301"), ("straße", "STRASSE")])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_are_one_on_some_disks(tmp_path: Path, first: str, second: str) -> None:
    def make(archive: zipfile.ZipFile) -> None:
        entry(first)(archive)
        entry(second)(archive)

    refused(packed(tmp_path / "z", make), "twice")


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b", "A")])
def test_a_file_where_a_folder_is(tmp_path: Path, names: tuple[str, str]) -> None:
    def make(archive: zipfile.ZipFile) -> None:
        for name in names:
            entry(name)(archive)

    refused(packed(tmp_path / "z", make), "below a file|twice")


def test_bombs(tmp_path: Path) -> None:
    big = packed(tmp_path / "big", entry("zeros", content=b"\0" * 60_000_000))
    refused(big, "more than 50000000 bytes")
    wide = ZipLimits(files=1000, total=10**12)
    refused(packed(tmp_path / "dense", entry("zeros", content=b"\0" * 110_000_000)), "bomb", wide)

    def many(archive: zipfile.ZipFile) -> None:
        for number in range(1001):
            archive.writestr(str(number), b"")

    refused(packed(tmp_path / "many", many), "1001 entries")


def test_a_quarter_of_a_million_entries_are_refused_at_once(tmp_path: Path) -> None:
    """By the archive's end alone: zipfile would read them all first."""
    path = tmp_path / "z"
    name = b"f"
    central = b"".join(
        struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 0, 0, 0, 0, 0, 0, len(name), 0, 0, 0, 0, 0, 0) + name
        for _ in range(60_000)
    )
    path.write_bytes(central + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 60_000, 60_000, len(central), 0, 0))
    began = time.monotonic()
    refused(path, "60000 entries")
    assert time.monotonic() - began < 1


def test_overlapping_entries(tmp_path: Path) -> None:
    """One body that a hundred entries share."""
    path = packed(tmp_path / "z", entry("a", content=b"\0" * 1_000_000))
    raw = path.read_bytes()
    start = raw.index(b"PK\1\2")
    end = raw.index(b"PK\5\6")
    header = raw[start:end]
    names = [b"a", *(bytes([66 + n]) for n in range(20))]
    central = b"".join(header.replace(b"a", name) if name != b"a" else header for name in names)
    tail = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, len(names), len(names), len(central), start, 0)
    path.write_bytes(raw[:start] + central + tail)
    refused(path, "overlaps")


def test_data_that_belongs_to_no_file(tmp_path: Path) -> None:
    raw = packed(tmp_path / "z", entry("a")).read_bytes()
    for changed, word in (
        (b"#!/bin/sh\n" + raw, "no file|before"),
        (raw + b"more", "behind its end"),
        (raw + raw, "no file"),
    ):
        (tmp_path / "y").write_bytes(changed)
        refused(tmp_path / "y", word)


def test_sizes_that_lie(tmp_path: Path) -> None:
    raw = bytearray(packed(tmp_path / "z", entry("a", content=b"\0" * 100_000)).read_bytes())
    at = raw.index(b"PK\1\2") + 24
    for size, word in ((10, "more than its directory|damaged"), (10**6, "less than its directory|damaged")):
        raw[at : at + 4] = struct.pack("<I", size)
        (tmp_path / "y").write_bytes(raw)
        refused(tmp_path / "y", word)


def test_what_is_packed_in_other_ways(tmp_path: Path) -> None:
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(tmp_path / "z", "w", method) as archive:
            archive.writestr("a", b"x" * 100)
        refused(tmp_path / "z", "packed in a way")
    raw = bytearray(packed(tmp_path / "z", entry("a")).read_bytes())
    raw[raw.index(b"PK\1\2") + 8] |= 1
    (tmp_path / "z").write_bytes(raw)
    refused(tmp_path / "z", "encrypted")


def test_what_is_none_or_half_of_one(tmp_path: Path) -> None:
    raw = packed(tmp_path / "z", entry("a", content=random.Random(1).randbytes(5000))).read_bytes()
    for content in (b"", b"PK", b"hello" * 1000, raw[:-30], raw[: len(raw) // 2], raw[100:]):
        (tmp_path / "y").write_bytes(content)
        with pytest.raises(BadZip):
            contents(tmp_path / "y")
    with zipfile.ZipFile(tmp_path / "empty", "w"):
        pass
    refused(tmp_path / "empty", "empty")
    refused(packed(tmp_path / "folder", lambda archive: archive.mkdir("only")), "no file in it")


def test_zip64_is_read(tmp_path: Path) -> None:
    raw = packed(tmp_path / "z", entry("a", content=b"hello")).read_bytes()
    start, end = raw.index(b"PK\1\2"), raw.index(b"PK\5\6")
    for count, word in ((1, ""), (70_000, "70000 entries")):
        far = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, end - start, start)
        locator = struct.pack("<4sIQI", b"PK\6\7", 0, end, 1)
        near = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
        (tmp_path / "y").write_bytes(raw[:end] + far + locator + near)
        if word:
            refused(tmp_path / "y", word)
        else:
            assert contents(tmp_path / "y") == {"a": b"hello"}
    (tmp_path / "y").write_bytes(raw[:end] + near)
    refused(tmp_path / "y", "damaged at its end")


def test_damage_is_never_anything_but_a_bad_zip(tmp_path: Path) -> None:
    def make(archive: zipfile.ZipFile) -> None:
        archive.writestr("a/b.xml", b"<x/>" * 50)
        archive.writestr("c.png", bytes(range(256)))

    raw = packed(tmp_path / "z", make).read_bytes()
    dice = random.Random(7)
    path = tmp_path / "y"
    bad = 0
    for _ in range(800):
        mutant = bytearray(raw)
        for _ in range(dice.randint(1, 4)):
            mutant[dice.randrange(len(mutant))] = dice.randrange(256)
        path.write_bytes(mutant)
        try:
            contents(path)
        except BadZip:
            bad += 1
    assert bad > 200
