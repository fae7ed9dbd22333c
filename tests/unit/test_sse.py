"""Events as a browser would read them: nothing in a line of text can forge another event."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.utils.sse import comment, disconnected, event

LINE_END = re.compile("\r\n|\r|\n")
any_text = st.text(st.characters() | st.sampled_from("\r\n:\0\x85\u2028\ufeff "))


def parse(stream: bytes) -> list[dict[str, str]]:
    """The algorithm of the HTML standard, section 9.2.6."""
    events: list[dict[str, str]] = []
    data: list[str] = []
    fields: dict[str, str] = {}
    for line in LINE_END.split(stream.decode()):
        if not line:
            if data:
                events.append({**fields, "data": "\n".join(data)})
            data, fields = [], {}
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "data":
                data.append(value)
            elif name in ("event", "id"):
                fields[name] = value
    return events


@given(any_text)
def test_text_arrives_whole_and_as_one_event(text: str) -> None:
    expected = LINE_END.sub("\n", text).encode("utf-8", "replace").decode()
    assert parse(event(text, event="log", id=7)) == [{"event": "log", "id": "7", "data": expected}]


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none()))
def test_a_mapping_arrives_as_json(data: dict[str, object]) -> None:
    (got,) = parse(event(data))
    assert json.loads(got["data"]) == data


@given(any_text)
def test_a_comment_is_never_an_event(text: str) -> None:
    assert parse(comment(text) + event("x")) == [{"data": "x"}]


def test_a_lone_carriage_return_forges_nothing() -> None:
    assert len(parse(event("50%\r\revent: done\rdata: {}"))) == 1


@pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\0b"])
def test_names_and_ids_are_one_line(bad: str) -> None:
    with pytest.raises(ValueError, match="line end"):
        event("x", event=bad)
    with pytest.raises(ValueError, match="line end"):
        event("x", id=bad)


def test_nan_is_no_json() -> None:
    with pytest.raises(ValueError, match="JSON"):
        event({"loss": float("nan")})


def test_disconnected() -> None:
    assert disconnected({"waitress.client_disconnected": lambda: True})
    assert not disconnected({"waitress.client_disconnected": lambda: False})
    assert not disconnected({})
