"""The child itself, in this process and as one of its own: real files in, a real dataset out."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from fractions import Fraction
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from api.children.preprocessing import converter, pictures, videos
from api.children.preprocessing.converter import Converter, Task
from api.children.preprocessing.places import Places
from api.children.preprocessing.plan import Limits, read_key
from api.children.preprocessing.problems import Broken, Fatal
from api.children.preprocessing.report import Report
from api.children.preprocessing.sizes import Size, fitted
from tests.unit.videos import is_faststart, look, make_image, make_video, rotate

ROOT = Path(__file__).resolve().parents[2]
LIMITS = Limits()


@pytest.fixture
def places(tmp_path: Path) -> Places:
    made = Places(tmp_path / "out")
    made.make()
    return made


def convert(path: Path, places: Places, limits: Limits = LIMITS, **wanted: Any) -> list[dict[str, Any]]:
    given = videos.Wanted(wanted.get("fps", 16), wanted.get("resolution"), wanted.get("clip_seconds"))
    with open(path, "rb") as source:
        return videos.convert_video(source, places, 1, given, limits, lambda: None)


def image(path: Path, places: Places, resolution: Any = None, limits: Limits = LIMITS) -> Image.Image:
    with open(path, "rb") as source:
        pictures.convert_image(source, places, 1, resolution, limits)
    return Image.open(places.media(1, "png"))


class TestVideos:
    def test_plays_anywhere(self, tmp_path: Path, places: Places) -> None:
        (item,) = convert(make_video(tmp_path / "a.mp4", seconds=2, fps=25), places)
        assert item == {"number": 1, "file": "1.mp4", "kind": "video", "width": 64, "height": 48, "frames": 32,
                        "fps": 16, "seconds": 2.0}  # fmt: skip
        seen = look(places.media(1, "mp4"))
        assert (seen.codec, seen.pixels, seen.size, seen.fps) == ("h264", "yuv420p", (64, 48), 16)
        assert seen.seconds == pytest.approx(2.0, abs=0.02) and len(seen.frames) == 32
        assert is_faststart(places.media(1, "mp4"))
        with Image.open(places.first_frame(1)) as first, Image.open(places.thumbnail(1)) as small:
            assert first.size == (64, 48) and small.format == "JPEG"

    @pytest.mark.parametrize("fps", [5, 16, 24, 25, 60])
    def test_any_rate_keeps_the_duration_and_the_order(self, tmp_path: Path, places: Places, fps: int) -> None:
        convert(make_video(tmp_path / "a.mp4", seconds=2, fps=25), places, fps=fps)
        seen = look(places.media(1, "mp4"))
        assert len(seen.frames) == 2 * fps
        shades = seen.brightness()
        assert all(b >= a - 2 for a, b in pairwise(shades)), shades
        assert shades[-1] - shades[0] > 150

    def test_frames_are_shown_when_their_timestamps_say(self, tmp_path: Path, places: Places) -> None:
        """Three frames of 0.1, 1.4 and 0.5 s: a count of frames would make them equally long."""
        convert(make_video(tmp_path / "a.mp4", times=[0, 0.1, 1.5], fps=10), places, fps=10)
        shades = look(places.media(1, "mp4")).brightness()
        assert len(shades) in (16, 20)
        steps = [index for index, (a, b) in enumerate(pairwise(shades), 1) if b - a > 30]
        assert steps == [1, 15]

    def test_shown_upright(self, tmp_path: Path, places: Places) -> None:
        path = make_video(tmp_path / "a.mp4", size=(64, 32))
        rotate(path)
        (item,) = convert(path, places)
        assert (item["width"], item["height"]) == (32, 64)
        frame = look(places.media(1, "mp4")).frames[0]
        assert frame[5, -5].mean() > 230 and frame[5, 5].mean() < 100  # what was top left is top right

    def test_pixels_that_are_not_square(self, tmp_path: Path, places: Places) -> None:
        path = make_video(tmp_path / "a.mkv", size=(64, 64), sar=Fraction(2, 1))
        (item,) = convert(path, places)
        assert (item["width"], item["height"]) == (128, 64)

    @pytest.mark.parametrize("codec, suffix", [("mpeg4", "avi"), ("libvpx", "webm"), ("flv", "flv"), ("wmv2", "wmv"),
                                               ("mjpeg", "mov"), ("libx264", "m4v"), ("ffv1", "mkv")])  # fmt: skip
    def test_containers_and_codecs(self, tmp_path: Path, places: Places, codec: str, suffix: str) -> None:
        path = tmp_path / f"a.{suffix}"
        if codec == "mjpeg":
            make_full_range(path)
        else:
            make_video(path, codec=codec)
        (item,) = convert(path, places)
        assert item["frames"] == 16
        frame = look(places.media(1, "mp4")).frames[0]
        assert frame[5, 5].mean() > 235, "white stays white"

    def test_clips(self, tmp_path: Path, places: Places) -> None:
        items = convert(make_video(tmp_path / "a.mp4", seconds=2.8), places, clip_seconds=1, fps=10)
        assert [item["frames"] for item in items] == [10, 10, 8]
        assert [item["number"] for item in items] == [1, 2, 3]
        assert look(places.media(3, "mp4")).brightness()[0] > look(places.media(1, "mp4")).brightness()[-1]

    def test_a_rest_is_no_clip(self, tmp_path: Path, places: Places) -> None:
        items = convert(make_video(tmp_path / "a.mp4", seconds=2.2), places, clip_seconds=1, fps=10)
        assert len(items) == 2
        assert not places.media(3, "mp4").exists() and not places.first_frame(3).exists()

    def test_sizes(self, tmp_path: Path, places: Places) -> None:
        path = make_video(tmp_path / "a.mkv", size=(130, 66))
        assert [convert(path, places, resolution=r)[0][k] for r in (32, 1000) for k in ("width", "height")] == [
            62, 32, 130, 66]  # fmt: skip
        convert(path, places, resolution=(40, 40))
        assert look(places.media(1, "mp4")).size == (40, 40)


def make_full_range(path: Path) -> None:
    """A camera's MJPEG: white is 255 there and 235 in a video."""
    import av
    import numpy as np

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for _ in range(25):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), 255, np.uint8), "rgb24")))
        container.mux(stream.encode(None))


class TestHostileVideos:
    def test_not_a_video(self, tmp_path: Path, places: Places) -> None:
        (tmp_path / "a.mp4").write_bytes(os.urandom(5000))
        with pytest.raises(Exception, match="Invalid data"):
            convert(tmp_path / "a.mp4", places)

    @pytest.mark.parametrize(
        "text",
        [
            "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{url}\n#EXT-X-ENDLIST\n",
            "ffconcat version 1.0\nfile {file}\n",
        ],
    )
    def test_a_playlist_leads_nowhere(self, tmp_path: Path, places: Places, text: str) -> None:
        import socket

        good = make_video(tmp_path / "good.mp4")
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(0.2)
            url = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
            (tmp_path / "a.mp4").write_text(text.format(url=url, file=good))
            with pytest.raises(Exception, match="Invalid"):
                convert(tmp_path / "a.mp4", places)
            with pytest.raises(TimeoutError):
                server.accept()

    @pytest.mark.parametrize(
        "limits, message",
        [
            (Limits(frame_pixels=1000), "64x48 is larger"),
            (Limits(side=60), "64x48 is larger"),
            (Limits(video_seconds=0.5), "1 s long"),
            (Limits(frames=5), "more than 5 frames"),
        ],
    )
    def test_limits(self, tmp_path: Path, places: Places, limits: Limits, message: str) -> None:
        with pytest.raises(Broken, match=message):
            convert(make_video(tmp_path / "a.mp4"), places, limits)

    def test_a_leap_in_time_is_not_filled_for_hours(self, tmp_path: Path, places: Places) -> None:
        """The header of an MPEG transport stream tells no duration."""
        path = make_video(tmp_path / "a.mkv", times=[0, 0.04, 100_000.0])
        with pytest.raises(Broken, match=r"beyond 21600 s|100000 s long"):
            convert(path, places)

    def test_sound_alone(self, tmp_path: Path, places: Places) -> None:
        import av

        with av.open(str(tmp_path / "a.mp4"), "w") as container:
            stream = container.add_stream("aac", rate=44100)
            for _ in range(5):
                frame = av.AudioFrame(format="fltp", layout="stereo", samples=1024)
                frame.rate = 44100
                for plane in frame.planes:
                    plane.update(bytes(plane.buffer_size))
                container.mux(stream.encode(frame))
        with pytest.raises(Broken, match="no video stream"):
            convert(tmp_path / "a.mp4", places)


class TestImages:
    def test_upright_and_without_metadata(self, tmp_path: Path, places: Places) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned a quarter
        exif[0x010E] = "who took it where"
        make_image(tmp_path / "a.jpg", (60, 40), exif=exif, comment=b"secret", icc_profile=b"profile")
        made = image(tmp_path / "a.jpg", places)
        assert made.format == "PNG" and made.size == (40, 60) and not made.info and not made.getexif()

    def test_transparency_becomes_white(self, tmp_path: Path, places: Places) -> None:
        Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(tmp_path / "a.png")
        made = image(tmp_path / "a.png", places)
        assert made.mode == "RGB" and made.getpixel((0, 0)) == (255, 255, 255)

    def test_sixteen_bits(self, tmp_path: Path, places: Places) -> None:
        Image.new("I;16", (8, 8), 32768).save(tmp_path / "a.png")
        assert image(tmp_path / "a.png", places).getpixel((0, 0)) == (128, 128, 128)

    def test_what_it_is_counts_and_not_its_name(self, tmp_path: Path, places: Places) -> None:
        (tmp_path / "a.png").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
        with pytest.raises(OSError, match="cannot identify") as raised:
            image(tmp_path / "a.png", places)
        assert converter.told(raised.value) == "cannot be decoded: cannot identify image file"

    def test_a_bomb_is_not_unpacked(self, tmp_path: Path, places: Places) -> None:
        def chunk(kind: bytes, data: bytes) -> bytes:
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

        header = struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0)
        body = zlib.compress(b"\0" * 1000)
        bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
        (tmp_path / "a.png").write_bytes(bomb)
        with pytest.raises(Broken, match="30000x30000"):
            image(tmp_path / "a.png", places)

    def test_sizes(self) -> None:
        assert fitted(400, 200, 100) == Size((200, 100), (200, 100))
        assert fitted(400, 200, 1000) == Size((400, 200), (400, 200))
        assert fitted(400, 200, (100, 100)) == Size((200, 100), (100, 100))
        assert fitted(401, 201, None, even=True) == Size((401, 201), (400, 200))
        assert fitted(3, 1, None, even=True) == Size((3, 2), (2, 2))


def hang(connection: Connection, _limits: Limits) -> None:
    connection.send(("ready", None))
    task = connection.recv()
    task.places.media(task.first, "mp4").touch()
    time.sleep(60)


def crash(connection: Connection, limits: Limits) -> None:
    connection.send(("ready", None))
    if connection.recv().name == "bad.mp4":
        os.kill(os.getpid(), signal.SIGSEGV)
    connection.send(("done", ([], 0)))


def dribble(connection: Connection, _limits: Limits) -> None:
    connection.send(("ready", None))
    connection.recv()
    while True:
        connection.send(("beat", None))
        time.sleep(0.02)


class TestConverter:
    def task(self, places: Places, name: str, directory: Path) -> Task:
        return Task(str(directory), name, places, 1, 16, None, None)

    def test_a_file_that_hangs_is_ended(self, tmp_path: Path, places: Places) -> None:
        each = Converter(Limits(silent_seconds=0.3), hang)
        with pytest.raises(Broken, match="hangs"):
            each.convert(self.task(places, "a.mp4", tmp_path))
        assert not places.media(1, "mp4").exists()
        each.close()

    def test_one_that_goes_on_for_ever_too(self, tmp_path: Path, places: Places) -> None:
        each = Converter(Limits(file_seconds=0.3), dribble)
        with pytest.raises(Broken, match="hangs"):
            each.convert(self.task(places, "a.mp4", tmp_path))
        each.close()

    def test_a_crash_costs_one_file(self, tmp_path: Path, places: Places) -> None:
        each = Converter(LIMITS, crash)
        with pytest.raises(Broken, match=r"crashed \(SIGSEGV\)"):
            each.convert(self.task(places, "bad.mp4", tmp_path))
        assert each.convert(self.task(places, "good.mp4", tmp_path)).items == []
        each.close()

    def test_memory_is_bounded(self, tmp_path: Path, places: Places) -> None:
        Image.new("1", (9900, 9900)).save(tmp_path / "a.png")
        each = Converter(Limits(memory=400 << 20))
        with pytest.raises(Broken, match="memory"):
            each.convert(self.task(places, "a.png", tmp_path))
        make_image(tmp_path / "b.png")
        assert each.convert(self.task(places, "b.png", tmp_path)).items[0]["width"] == 64
        each.close()

    def test_links_and_pipes_are_not_opened(self, tmp_path: Path, places: Places) -> None:
        (tmp_path / "l.mp4").symlink_to(make_video(tmp_path / "real.mp4"))
        os.mkfifo(tmp_path / "p.mp4")
        for name, message in (("l.mp4", "is a link"), ("p.mp4", "not a regular file"), ("none.mp4", "No such file")):
            with pytest.raises(Broken, match=message):
                converter._opened(self.task(places, name, tmp_path))

    def test_a_full_disk_is_the_runs_end(self, tmp_path: Path, places: Places) -> None:
        def full(_: Task) -> list[dict[str, Any]]:
            raise OSError(28, "No space left on device")

        assert converter._answer(full, self.task(places, "a", tmp_path)) == (
            "fatal", "cannot write: No space left on device")  # fmt: skip


# ---- as a process


def run(tmp_path: Path, **plan: Any) -> tuple[int, list[str], list[dict[str, Any]]]:
    """Exit code, lines for people, events."""
    (tmp_path / "ds").mkdir(exist_ok=True)
    target = str(tmp_path / "ds" / "cats")
    whole = {"job": "prep_1", "dataset": "cats", "source": str(tmp_path / "src"), "part": str(tmp_path / "ds/.part"),
             "target": target, **plan}  # fmt: skip
    (tmp_path / "plan.json").write_text(json.dumps(whole))
    argv = [sys.executable, "-P", "-m", "api.children.preprocessing", str(tmp_path / "plan.json")]
    done = subprocess.run(argv, env={"PYTHONPATH": str(ROOT), "PATH": os.defpath}, cwd=tmp_path, capture_output=True,
                          text=True, timeout=60)  # fmt: skip
    assert not done.stderr, done.stderr
    lines = done.stdout.splitlines()
    events = [json.loads(line.removeprefix("@event ")) for line in lines if line.startswith("@event ")]
    return done.returncode, [line for line in lines if not line.startswith("@event ")], events


@pytest.fixture
def source(tmp_path: Path) -> Path:
    directory = tmp_path / "src"
    directory.mkdir()
    make_video(directory / "b.mp4")
    make_image(directory / "c.png")
    (directory / "a.mp4").write_bytes(b"no video")
    (directory / "notes.md").write_text("not media")
    return directory


class TestRun:
    def test_a_dataset(self, tmp_path: Path, source: Path) -> None:
        (source / "b.txt").write_text("a cat\non a mat\n")
        code, lines, events = run(tmp_path, captioner="sidecar", prefix="sks")
        dataset = tmp_path / "ds" / "cats"
        assert code == 0, lines
        assert sorted(path.name for path in dataset.iterdir()) == ["1.mp4", "1.txt", "2.png", "2.txt", "meta"]
        assert [(dataset / name).read_text() for name in ("1.txt", "2.txt")] == ["sks a cat on a mat", "sks"]
        manifest = json.loads((dataset / "meta" / "manifest.json").read_text())
        assert manifest["job"] == "prep_1" and [item["source"] for item in manifest["items"]] == ["b.mp4", "c.png"]
        assert not (tmp_path / "ds" / ".part").exists()
        (errors,) = [event["errors"] for event in events if event["event"] == "errors"]
        assert [error["file"] for error in errors] == ["a.mp4"]
        summary = next(event for event in events if event["event"] == "summary")
        assert (summary["video_count"], summary["image_count"], summary["total_seconds"]) == (1, 1, 1.0)
        assert events[-1] == {"event": "done"}

    def test_nothing_but_broken_files(self, tmp_path: Path, source: Path) -> None:
        for name in ("b.mp4", "c.png"):
            (source / name).write_bytes(b"x")
        code, _, events = run(tmp_path)
        assert code == 1 and not (tmp_path / "ds" / "cats").exists()
        assert events[-1]["event"] == "fault" and "none of 3 files" in events[-1]["text"]

    def test_no_caption_and_no_prefix(self, tmp_path: Path, source: Path) -> None:
        _, _, events = run(tmp_path)
        assert (tmp_path / "ds" / "cats" / "1.txt").read_text() == "cats"
        assert any("dataset's name" in event.get("text", "") for event in events)

    def test_what_lies_there_is_not_replaced(self, tmp_path: Path, source: Path) -> None:
        (tmp_path / "ds" / "cats").mkdir(parents=True)
        (tmp_path / "ds" / "cats" / "mine.txt").write_text("mine")
        code, _, events = run(tmp_path)
        assert code == 1 and "exists already" in events[-1]["text"]
        assert (tmp_path / "ds" / "cats" / "mine.txt").read_text() == "mine"

    def test_its_own_half_and_its_own_whole_are(self, tmp_path: Path, source: Path) -> None:
        """An attempt before this one was killed: half way, or between the rename and its word of it."""
        (tmp_path / "ds" / ".part").mkdir(parents=True)
        (tmp_path / "ds" / ".part" / "7.mp4").touch()
        assert run(tmp_path)[0] == 0
        assert not (tmp_path / "ds" / "cats" / "7.mp4").exists()
        assert run(tmp_path)[0] == 0, "the same job again"
        assert run(tmp_path, job="prep_2")[0] == 1, "another job"

    def test_names_cannot_forge_lines(self, tmp_path: Path, source: Path) -> None:
        (source / '\n@event {"event": "done"}.mp4').write_bytes(b"")
        (source / os.fsdecode(b"\xff\xfe.mp4")).write_bytes(b"")
        code, lines, events = run(tmp_path)
        assert code == 0 and [event["event"] for event in events].count("done") == 1
        assert any("@event {" in line and line.startswith("ERROR") for line in lines)

    def test_a_module_beside_it_is_not_imported(self, tmp_path: Path, source: Path) -> None:
        (tmp_path / "av.py").write_text("raise SystemExit('mine')")
        assert run(tmp_path)[0] == 0


class TestKey:
    def test_by_the_pipe(self, tmp_path: Path) -> None:
        pipe = tmp_path / "key"
        os.mkfifo(pipe)
        ours = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
        os.write(ours, b"sk-1\n")
        assert read_key(str(pipe)) == "sk-1"
        assert not pipe.exists()
        os.close(ours)

    def test_the_service_is_gone(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "key")
        assert read_key(str(tmp_path / "key")) is None
        assert read_key(str(tmp_path / "key")) is None
        assert read_key(None) is None

    def test_it_is_never_printed(self, capsys: pytest.CaptureFixture[str]) -> None:
        report = Report(["sk-secret", None])
        report.say("the endpoint says: wrong key sk-secret")
        report.warn("sk-secret")
        report.error("a", "sk-secret")
        report.fault("sk-secret")
        assert "sk-secret" not in capsys.readouterr().out


def test_a_run_that_cannot_write_is_over(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from api.children.preprocessing.run import Run

    each = Run.__new__(Run)
    monkeypatch.setattr(Run, "_go", lambda self: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(Fatal, match="No space left"):
        each.go()
