"""The stream that a screen shows: the whole state first, then what changes, to each what they may see."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from api.models.accounts import Actor, Role
from tests.dialects.conftest import Site


@contextmanager
def live(site: Site, who: Actor) -> Iterator[Iterator[tuple[str, Any]]]:
    """Kind and data of each event."""
    overrides = {"trainyard.actor": who}
    response = site.client.get("/api/v1/system/live", buffered=False, environ_overrides=overrides)
    assert response.status_code == 200 and response.mimetype == "text/event-stream"

    def events() -> Iterator[tuple[str, Any]]:
        for chunk in response.response:
            lines = dict(line.split(": ", 1) for line in bytes(chunk).decode().splitlines() if ": " in line)  # type: ignore[arg-type]
            if "event" in lines:
                yield lines["event"], json.loads(lines["data"])

    try:
        yield events()
    finally:
        response.close()


def test_the_state_comes_first_and_after_each_change(site: Site) -> None:
    site.gpus(2)
    with live(site, site.operator) as events:
        kind, state = next(events)
        assert kind == "state"
        assert [gpu["gpu_id"] for gpu in state["gpus"]] == [0, 1] and set(state["trails"]) == {"0", "1"}
        assert state["running"] == state["ended"] == state["queue"]["jobs"] == []
        task = site.data("POST", "/start", site.request(description="Cats"), code=201)["task_id"]
        kind, state = next(each for each in events if each[0] == "state")
        assert [(job["task_id"], job["name"]) for job in state["queue"]["jobs"]] == [(task, "Cats")]
        site.data("DELETE", f"/{task}")
        kind, state = next(each for each in events if each[0] == "state")
        assert state["queue"]["jobs"] == [] and state["overview"]["tasks"]["total"] == 0


def test_a_stranger_is_told_how_many_wait_and_nothing_else(site: Site) -> None:
    site.data("POST", "/start", site.request(description="Secret"), code=201)
    user = site.services.accounts.add_user(site.operator, "stranger", None)
    with live(site, Actor(user.id, "stranger", Role.MEMBER, site.operator.scopes)) as events:
        _, state = next(events)
    assert state["queue"] == {"jobs": [], "waiting": 1} and "Secret" not in json.dumps(state)
