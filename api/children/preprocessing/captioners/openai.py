"""Any endpoint that speaks OpenAI's chat completions with pictures: OpenAI, DashScope (Qwen), vLLM, Ollama, ..."""

from __future__ import annotations

import base64
import email.utils
import http.client
import io
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from api.children.preprocessing.captioners.base import CaptionError, Subject

TRIES = 4
LONGEST_WAIT = 60.0  # seconds: what an endpoint may ask us to wait
LONGEST_ANSWER = 1 << 20  # bytes
SIDE = 1024  # pixels of the picture that is sent
AGAIN = (408, 409, 425, 429, 500, 502, 503, 504, 529)

ASK = "Describe this picture as a caption for training an image or video model. Answer with the caption alone. "
METHODS = {
    "tags": "Give tags separated by commas, the most important first.",
    "simple": "Use one short sentence.",
    "detailed": "Use two or three sentences: subject, action, surroundings.",
    "extra": "Use one detailed paragraph: subject, appearance, action, surroundings, light, camera, style.",
    "mixed": "Give a few tags separated by commas, then one sentence.",
    "extra_mixed": "Give the main tags separated by commas, then one detailed paragraph on subject, appearance, "
    "action, surroundings, light, camera and style.",
    "analyze": "Say how the picture is composed: subject, framing, camera, light, colours, style.",
}
REWRITE = (
    "Rewrite this caption of a training picture in clear, natural English: keep every fact, add none, leave out what "
    "is said twice. Answer with the caption alone.\n\n"
)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The key is meant for the endpoint that was configured, and for no other."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


@dataclass(frozen=True)
class Endpoint:
    """One conversation of one message at a time, tried again where that can help."""

    url: str
    model: str
    key: str | None = field(default=None, repr=False)
    timeout: float = 60.0
    sleep: Callable[[float], None] = time.sleep

    def ask(self, content: Any) -> str:
        """The answer's text. Raises CaptionError."""
        body = json.dumps({"model": self.model, "messages": [{"role": "user", "content": content}]}).encode()
        for attempt in range(1, TRIES + 1):
            try:
                return _text(self._post(body))
            except _Retry as problem:
                if attempt == TRIES:
                    raise CaptionError(f"{problem} ({TRIES} tries)") from None
                self.sleep(min(LONGEST_WAIT, problem.wait if problem.wait is not None else 2.0 ** (attempt - 1)))
        raise AssertionError("unreachable")

    def _post(self, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "trainyard"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        request = urllib.request.Request(f"{self.url.rstrip('/')}/chat/completions", body, headers)  # noqa: S310
        opener = urllib.request.build_opener(_NoRedirects)
        try:
            with opener.open(request, timeout=self.timeout) as answer:
                return bytes(answer.read(LONGEST_ANSWER))
        except urllib.error.HTTPError as problem:
            with problem:
                raise _refusal(problem) from None
        except (OSError, http.client.HTTPException) as problem:  # URLError and timeouts among them
            raise _Retry(f"the endpoint cannot be reached: {getattr(problem, 'reason', None) or problem!r}") from None


class _Retry(Exception):
    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


def _refusal(problem: urllib.error.HTTPError) -> Exception:
    told = " ".join(problem.read(4096).decode("utf-8", "replace").split())[:200]
    text = f"the endpoint answered {problem.code}: {told or problem.reason}"
    if problem.code in AGAIN:
        return _Retry(text, _retry_after(problem.headers.get("Retry-After")))
    return CaptionError(text, final=problem.code in (401, 403, 404))


def _retry_after(value: str | None) -> float | None:
    """Seconds, from a number of them or a date."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _text(raw: bytes) -> str:
    try:
        content = json.loads(raw)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        raise CaptionError("the endpoint's answer is no chat completion") from None
    if isinstance(content, list):  # parts, as some servers answer
        content = " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    if not isinstance(content, str) or not content.strip():
        raise CaptionError("the endpoint's answer holds no text")
    return content


@dataclass(frozen=True)
class OpenAI:
    endpoint: Endpoint
    method: str

    def caption(self, subject: Subject) -> str:
        picture = {"type": "image_url", "image_url": {"url": _data_url(subject)}}
        return self.endpoint.ask([{"type": "text", "text": ASK + METHODS[self.method]}, picture])


def rewrite(endpoint: Endpoint, caption: str) -> str:
    return endpoint.ask(REWRITE + caption)


def _data_url(subject: Subject) -> str:
    with Image.open(subject.picture) as opened:
        image = opened.convert("RGB")
    image.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
