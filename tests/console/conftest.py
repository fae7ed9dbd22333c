"""A real Chromium before a real service. A test fails on any console error and on any request that leaves the machine."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, Request, expect, sync_playwright

from tests.acceptance.harness import Service

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
PATIENCE = 15_000  # ms for anything to come true, on a machine that does more than this
expect.set_options(timeout=PATIENCE)
#: what a browser itself says about a service that is away, or an answer that a test provokes
REFUSED = re.compile(r"Failed to load resource|net::ERR_")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.console)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert program, "no Chromium: apt-get install chromium (make test-console does it where it is root)"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield running
        running.close()


def gpu_service(home: Path, gpus: int = 8, **environ: str) -> Service:
    """Not started; GPUs that are not there, and the fake trainer."""
    return Service(home, entry="tests/console/serve.py", environ={"TRAINYARD_TEST_GPUS": str(gpus), **environ})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """For the tests of a module, which leave it running."""
    service = gpu_service(tmp_path_factory.mktemp("console"))
    yield service.start()
    service.close()


@dataclass
class Visit:
    """A page of its own profile, and what went wrong on it."""

    page: Page
    url: str
    problems: list[str] = field(default_factory=list)
    received: int = 0  # bytes of bodies
    permitted: re.Pattern[str] | None = None  # console errors that the test provokes

    def __post_init__(self) -> None:
        self.page.on("console", lambda said: said.type == "error" and self.problems.append(said.text))
        self.page.on("pageerror", lambda error: self.problems.append(f"uncaught: {error}"))
        self.page.on("request", self._leaving)
        self.page.on("response", self._weigh)

    def _leaving(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.netloc != urlsplit(self.url).netloc:
            self.problems.append(f"a request leaves the machine: {request.url}")

    def _weigh(self, response: Any) -> None:
        self.received += int(response.headers.get("content-length", 0))

    def go(self, place: str = "/") -> Page:
        self.page.goto(f"{self.url}/#{place}")
        return self.page

    def check(self) -> None:
        found = [text for text in self.problems if self.permitted is None or not self.permitted.search(text)]
        assert not found, found

    def axe(self) -> list[str]:
        """Serious and critical findings of axe-core."""
        self.page.evaluate(f"() => {{ {AXE} }}")
        run = "() => axe.run(document, {resultTypes: ['violations']})"
        return [
            f"{found['id']}: {node['html'][:200]} {node['any'][0]['message'] if node['any'] else ''}"
            for found in self.page.evaluate(run)["violations"]
            if found["impact"] in ("serious", "critical")
            for node in found["nodes"]
        ]


def field_of(page: Page, path: str) -> Locator:
    """A form's field by its dotted path: the same word may stand in several places."""
    return page.locator(f'[id="field-{path}"]')


Visitor = Callable[..., Visit]


@pytest.fixture
def visit(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Visitor]:
    """`visit(url, **context)`: a new profile; checked at the end of the test."""
    visits: list[Visit] = []

    def make(url: str, **options: Any) -> Visit:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 860}, "locale": "en-GB", **options})
        context.set_default_timeout(PATIENCE)
        visits.append(Visit(context.new_page(), url))
        return visits[-1]

    yield make
    for one in visits:
        one.page.context.close()
    for one in visits:
        one.check()
