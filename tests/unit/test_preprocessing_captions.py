"""Captioners of the child. The endpoint is a real HTTP server of ours that speaks OpenAI's chat completions."""

from __future__ import annotations

import base64
import email.utils
import io
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from api.children.preprocessing.captioners import CaptionError, Endpoint, Subject
from api.children.preprocessing.captioners.detector import Detector, listed
from api.children.preprocessing.captioners.florence2 import PROMPTS, text_of
from api.children.preprocessing.captioners.openai import METHODS, OpenAI, rewrite
from api.children.preprocessing.captioners.plain import Nothing, Sidecar
from api.children.preprocessing.captions import Captions, tidy
from api.children.preprocessing.places import Places
from api.children.preprocessing.plan import Plan
from api.children.preprocessing.report import Report
from api.services.engines.preprocessing import captioners as service_side
from tests.unit.videos import make_image

KEY = "sk-secret"
GOOD = {"choices": [{"message": {"content": "a red square"}}]}
Reply = tuple[int, dict[str, str], Any]


@dataclass
class Server:
    """Answers each request with the next of `replies`, and the last one for ever."""

    url: str
    replies: list[Reply | Callable[[], Reply]] = field(default_factory=lambda: [(200, {}, GOOD)])
    seen: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)

    def next(self) -> Reply:
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        return reply() if callable(reply) else reply


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            made.seen.append((self.path, dict(self.headers), body))
            status, headers, answer = made.next()
            data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    http.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that did not wait
    made = Server(f"http://127.0.0.1:{http.server_port}/v1")
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    return Subject(make_image(tmp_path / "1.png", (2000, 1000)), tmp_path / "b.mp4")


def endpoint(server: Server, waits: list[float] | None = None, **more: Any) -> Endpoint:
    return Endpoint(server.url, "qwen-vl", **{"key": KEY, "sleep": (waits if waits is not None else []).append, **more})


class TestOpenAI:
    @pytest.mark.parametrize("method", METHODS)
    def test_what_is_asked(self, server: Server, subject: Subject, method: str) -> None:
        assert OpenAI(endpoint(server), method).caption(subject) == "a red square"
        ((path, headers, body),) = server.seen
        assert path == "/v1/chat/completions" and headers["Authorization"] == f"Bearer {KEY}"
        words, picture = body["messages"][0]["content"]
        assert body["model"] == "qwen-vl" and METHODS[method] in words["text"]
        kind, _, data = picture["image_url"]["url"].partition(",")
        assert kind == "data:image/jpeg;base64"
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            assert image.size == (1024, 512)

    def test_without_a_key(self, server: Server) -> None:
        endpoint(server, key=None).ask("x")
        assert "Authorization" not in server.seen[0][1]

    def test_rewriting(self, server: Server) -> None:
        assert rewrite(endpoint(server), "2 cat, dog") == "a red square"
        assert server.seen[0][2]["messages"][0]["content"].endswith("2 cat, dog")

    def test_it_waits_as_long_as_it_is_told(self, server: Server) -> None:
        waits: list[float] = []
        date = email.utils.formatdate(time.time() + 30, usegmt=True)
        server.replies = [
            (429, {"Retry-After": "7"}, {}),
            (429, {"Retry-After": date}, {}),
            (503, {"Retry-After": "86400"}, {}),
            (200, {}, GOOD),
        ]
        assert endpoint(server, waits).ask("x") == "a red square"
        assert waits[0] == 7 and 25 < waits[1] <= 30 and waits[2] == 60

    def test_it_gives_up(self, server: Server) -> None:
        waits: list[float] = []
        server.replies = [(500, {}, {"error": "broken"})]
        with pytest.raises(CaptionError, match=r"answered 500: .*broken.*\(4 tries\)") as told:
            endpoint(server, waits).ask("x")
        assert waits == [1, 2, 4] and not told.value.final and len(server.seen) == 4

    def test_silence(self, server: Server) -> None:
        gate = threading.Event()

        def late() -> Reply:
            gate.wait(5)
            return 200, {}, GOOD

        server.replies = [late]
        with pytest.raises(CaptionError, match=r"cannot be reached: .*timed out"):
            endpoint(server, timeout=0.05).ask("x")
        gate.set()

    def test_nobody_there(self) -> None:
        with pytest.raises(CaptionError, match=r"cannot be reached: .*refused"):
            Endpoint("http://127.0.0.1:9", "m", sleep=lambda _: None).ask("x")

    @pytest.mark.parametrize("code, final", [(401, True), (403, True), (404, True), (400, False), (422, False)])
    def test_refusals_are_not_repeated(self, server: Server, code: int, final: bool) -> None:
        server.replies = [(code, {}, {"error": "no"})]
        with pytest.raises(CaptionError, match=str(code)) as told:
            endpoint(server).ask("x")
        assert told.value.final is final and len(server.seen) == 1

    @pytest.mark.parametrize(
        "answer",
        [b"<html>", b"", b"[]", b"null", {}, {"choices": []}, {"choices": [{"message": {}}]}, {"choices": [{"message": {
            "content": "  "}}]}, {"choices": [{"message": {"content": 7}}]}, b"[" * 100_000, b"\xff" * 10],
    )  # fmt: skip
    def test_answers_that_are_none(self, server: Server, answer: Any) -> None:
        server.replies = [(200, {}, answer)]
        with pytest.raises(CaptionError, match=r"no chat completion|no text"):
            endpoint(server).ask("x")

    def test_an_answer_in_parts(self, server: Server) -> None:
        server.replies = [(200, {}, {"choices": [{"message": {"content": [{"type": "text", "text": "a dog"}]}}]})]
        assert endpoint(server).ask("x") == "a dog"

    def test_a_cut_answer_is_asked_for_again(self, server: Server) -> None:
        server.replies = [(200, {"Content-Length": "999"}, b"{"), (200, {}, GOOD)]
        with pytest.raises(CaptionError):  # an early end reads like an answer that is none
            endpoint(server, timeout=0.2).ask("x")

    def test_the_key_follows_no_redirect(self, server: Server) -> None:
        server.replies = [(307, {"Location": f"{server.url}/elsewhere"}, {})]
        with pytest.raises(CaptionError, match="307"):
            endpoint(server).ask("x")
        assert len(server.seen) == 1


class TestPlain:
    def test_sidecar(self, tmp_path: Path) -> None:
        subject = Subject(tmp_path / "1.png", tmp_path / "b.mp4")
        assert Sidecar().caption(subject) == "" and Nothing().caption(subject) == ""
        (tmp_path / "b.txt").write_bytes("\ufeffa câline cat\xff".encode())
        assert Sidecar().caption(subject) == "a câline cat\xff"

    def test_a_sidecar_that_leads_elsewhere(self, tmp_path: Path) -> None:
        (tmp_path / "b.txt").symlink_to("/etc/passwd")
        with pytest.raises(CaptionError):
            Sidecar().caption(Subject(tmp_path / "1.png", tmp_path / "b.mp4"))

    def test_one_line(self) -> None:
        assert tidy(" a\ncat\t\x00on \u2028a  mat ") == "a cat on a mat"
        assert len(tidy("x" * 20_000)) == 10_000


class TestDetector:
    def test_words(self) -> None:
        assert listed(["dog", "cat", "cat"]) == "2 cat, dog"
        assert listed([]) == ""

    def test_without_ultralytics(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "ultralytics", None)
        with pytest.raises(CaptionError, match="needs ultralytics") as told:
            Detector("/models/best.pt")
        assert told.value.final

    def test_what_it_finds(self, monkeypatch: pytest.MonkeyPatch, subject: Subject) -> None:
        """ultralytics is not installed here: this holds our use of its interface, and no more."""

        class Model:
            def __init__(self, weights: str) -> None:
                assert weights == "/models/best.pt"

            def predict(self, path: str, **_: Any) -> list[Any]:
                return [SimpleNamespace(names={0: "cat", 2: "dog"}, boxes=SimpleNamespace(cls=[0.0, 2.0, 0.0]))]

        monkeypatch.setitem(sys.modules, "ultralytics", SimpleNamespace(YOLO=Model))
        assert Detector("/models/best.pt").caption(subject) == "2 cat, dog"


def test_florences_own_words() -> None:
    assert text_of("<MORE_DETAILED_CAPTION>A  red\nsquare.", "<MORE_DETAILED_CAPTION>") == "A red square."


def test_both_sides_know_the_same_methods() -> None:
    assert set(service_side.METHODS) == set(METHODS) == set(PROMPTS)


# ---- what becomes of an item's caption


@dataclass
class Desk:
    """Captions of a run, and what it said."""

    captions: Captions
    out: pytest.CaptureFixture[str]
    places: Places
    source: Path
    text: str = ""

    def of(self, number: int = 1) -> str:
        made = {"number": number, "kind": "image", "width": 8, "height": 8}
        make_image(self.places.media(number, "png"), (8, 8))
        return self.captions.of(made, self.places, self.source)

    def warnings(self) -> list[str]:
        self.text += self.out.readouterr().out
        lines = (line for line in self.text.splitlines() if line.startswith("@event "))
        events = [json.loads(line.removeprefix("@event ")) for line in lines]
        return [event["text"] for event in events if event["event"] == "warning"]


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Desk]:
    def make(key: str | None = KEY, **plan: Any) -> Desk:
        places = Places(tmp_path)
        whole = Plan("prep_1", "cats", str(tmp_path), "", "", **plan)
        return Desk(Captions(whole, Report([key]), key), capsys, places, tmp_path / "b.mp4")

    return make


class TestCaptions:
    def test_prefix_and_caption(self, server: Server, desk: Callable[..., Desk]) -> None:
        each = desk(captioner="openai", openai_url=server.url, openai_model="m", prefix="sks")
        assert each.of() == "sks a red square" and not each.warnings()

    def test_a_wrong_key_is_tried_once_and_never_shown(self, server: Server, desk: Callable[..., Desk]) -> None:
        server.replies = [(401, {}, {"error": f"Incorrect API key provided: {KEY}"})]
        each = desk(captioner="openai", openai_url=server.url, openai_model="m", prefix="sks")
        assert [each.of(1), each.of(2)] == ["sks", "sks"] and len(server.seen) == 1
        (told,) = each.warnings()
        assert "not asked any more" in told and "***" in told and KEY not in each.text

    def test_three_failures_in_a_row_are_enough(self, server: Server, desk: Callable[..., Desk]) -> None:
        bad: Reply = (400, {}, {})
        server.replies = [bad, bad, (200, {}, GOOD), bad, bad, bad, (200, {}, GOOD)]
        each = desk(captioner="openai", openai_url=server.url, openai_model="m")
        assert [each.of(number) for number in range(1, 9)] == ["cats"] * 2 + ["a red square"] + ["cats"] * 5
        assert len(server.seen) == 6

    def test_a_captioner_that_is_not_there(self, desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "ultralytics", None)
        each = desk(captioner="detector", detector_weights="/models/best.pt", prefix="sks")
        assert each.of() == "sks" and "needs ultralytics" in each.warnings()[0]

    def test_the_key_is_gone(self, server: Server, desk: Callable[..., Desk]) -> None:
        each = desk(None, captioner="openai", openai_url=server.url, openai_model="m", key_lost=True)
        assert each.of() == "a red square"
        assert "qwen_api_key" in each.warnings()[0] and "Authorization" not in server.seen[0][1]

    def test_optimizing_without_an_endpoint(self, desk: Callable[..., Desk]) -> None:
        each = desk(captioner="none", optimize=True, prefix="sks")
        assert each.of() == "sks" and "use_qwen_optimize" in each.warnings()[0]

    def test_a_models_words_are_rewritten_and_a_persons_kept(
        self, server: Server, desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        class Model:
            def __init__(self, _: str) -> None: ...

            def predict(self, *_: Any, **__: Any) -> list[Any]:
                return [SimpleNamespace(names={0: "cat"}, boxes=SimpleNamespace(cls=[0.0]))]

        monkeypatch.setitem(sys.modules, "ultralytics", SimpleNamespace(YOLO=Model))
        wanted = {"openai_url": server.url, "openai_model": "m", "optimize": True}
        assert desk(captioner="detector", **wanted).of() == "a red square"
        (tmp_path / "b.txt").write_text("my own words")
        assert desk(captioner="sidecar", **wanted).of() == "my own words"
        server.replies = [(400, {}, {})]
        assert desk(captioner="detector", **wanted).of() == "cat"
