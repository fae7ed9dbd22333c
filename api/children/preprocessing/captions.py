"""From a captioner's words to the text that stands beside an item: never none, and never a reason to lose the item."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

from api.children.preprocessing.captioners import Captioner, CaptionError, Endpoint, Subject, build
from api.children.preprocessing.captioners.openai import rewrite
from api.children.preprocessing.places import Places
from api.children.preprocessing.plan import Plan
from api.children.preprocessing.report import Report

LONGEST = 10_000  # characters
PATIENCE = 3  # items in a row without an answer, after which nobody is asked any more
#: whose words are made by a small model; an endpoint's own and a person's are left as they are
REWRITTEN = ("florence2", "detector")


class Captions:
    def __init__(self, plan: Plan, report: Report, key: str | None) -> None:
        self._report = report
        self._prefix = tidy(plan.prefix)
        self._name = plan.dataset
        endpoint = None
        if plan.openai_url and plan.openai_model:
            endpoint = Endpoint(plan.openai_url, plan.openai_model, key, plan.openai_timeout)
        if plan.key_lost:
            report.warn("qwen_api_key was kept in memory only and is gone, since the service or the job was started "
                        "again: going on without it")  # fmt: skip
        self._captioner: Captioner | None = self._built(plan, endpoint)
        self._optimizer: Callable[[str], str] | None = None
        if plan.optimize and endpoint is None:
            report.warn("use_qwen_optimize: no endpoint is configured (TRAINYARD_OPENAI_BASE_URL), captions stay as "
                        "they are")  # fmt: skip
        elif plan.optimize and endpoint is not None and plan.captioner in REWRITTEN:
            self._optimizer = lambda caption: rewrite(endpoint, caption)
        self._silent = {"captioner": 0, "use_qwen_optimize": 0}

    def _built(self, plan: Plan, endpoint: Endpoint | None) -> Captioner | None:
        try:
            return build(plan, endpoint)
        except CaptionError as problem:
            self._report.warn(f"captioner {plan.captioner}: {problem}; items get the prefix alone")
            return None

    def of(self, item: dict[str, Any], places: Places, source: Path) -> str:
        number = item["number"]
        picture = places.media(number, "png") if item["kind"] == "image" else places.first_frame(number)
        caption = tidy(self._captioned(Subject(picture, source), number))
        if caption and self._optimizer is not None:
            caption = tidy(self._optimized(caption, number)) or caption
        whole = f"{self._prefix} {caption}".strip()
        if not whole:
            self._report.warn("items without caption and prefix get the dataset's name, since diffusion-pipe passes "
                              "over items without one")  # fmt: skip
        return whole or self._name

    def _captioned(self, subject: Subject, number: int) -> str:
        if self._captioner is None:
            return ""
        captioner = self._captioner
        text, gone = self._asked("captioner", lambda: captioner.caption(subject), number)
        if gone:
            self._captioner = None
        return text

    def _optimized(self, caption: str, number: int) -> str:
        optimizer = self._optimizer
        assert optimizer is not None
        text, gone = self._asked("use_qwen_optimize", lambda: optimizer(caption), number)
        if gone:
            self._optimizer = None
        return text

    def _asked(self, who: str, ask: Callable[[], str], number: int) -> tuple[str, bool]:
        """The text, and whether there is no use in asking again."""
        try:
            text = ask()
        except CaptionError as problem:
            self._silent[who] += 1
            gone = problem.final or self._silent[who] >= PATIENCE
            self._report.say(f"WARNING {who}: item {number}: {problem}")
            self._report.warn(f"{who}: {problem}; " + ("not asked any more" if gone else "some items are without"))
            return "", gone
        self._silent[who] = 0
        return text, False


def tidy(text: str) -> str:
    """One line, without control characters."""
    kept = "".join(" " if unicodedata.category(char) in ("Cc", "Zl", "Zp") else char for char in text)
    return " ".join(kept.split())[:LONGEST].strip()
