"""Services for the tests of this directory; what they said is shown with a test that fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.harness import Service

Maker = Callable[..., Service]
_live: list[Service] = []


@pytest.fixture
def make_service(tmp_path: Path) -> Iterator[Maker]:
    """Services of this test alone; not started."""
    made: list[Service] = []

    def make(**options: Any) -> Service:
        home = tmp_path / f"service{len(made)}"
        home.mkdir()
        made.append(Service(home, **options))
        _live.append(made[-1])
        return made[-1]

    yield make
    for service in made:
        _live.remove(service)
        service.close()


@pytest.fixture
def service(make_service: Maker) -> Service:
    """A started one of this test alone, with the fake trainer."""
    return make_service().start()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A started one for the tests of a module, which leave it running."""
    one = Service(tmp_path_factory.mktemp("shared"))
    _live.append(one)
    try:
        yield one.start()
    finally:
        _live.remove(one)
        one.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.failed:
        for service in _live:
            report.sections.append((f"stderr of the service at {service.home}", service.errors()))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The real trainer needs seconds to start: the normal run keeps what proves the fake one true."""
    kept = ("test_when_it_ends", "test_the_next_end", "test_a_resumed_one")
    for item in items:
        callspec = getattr(item, "callspec", None)
        if callspec is not None and callspec.params.get("lab") == "mini" and not item.name.startswith(kept):
            item.add_marker(pytest.mark.slow)
