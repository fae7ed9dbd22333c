"""Whatever a client sends: train.py's TOML reader sees it as it was meant, or it is refused."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
import toml
from hypothesis import given, settings
from hypothesis import strategies as st

from api.services.engines.diffusion_pipe.toml_text import STRING_MAX, Unwritable, dumps, normalized, same

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
nasty = st.text("\"'\\,[]{}#=u0xU\n\r\t\x1b\x7f.ab é😀", max_size=8)
keys = st.from_regex(r"[A-Za-z0-9_-]{1,6}", fullmatch=True)
scalars = (
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | texts | nasty
)
flat_lists = st.one_of(*(st.lists(kind, max_size=5) for kind in (st.integers(-9, 9), st.floats(0, 1), texts, nasty)))
values = st.recursive(
    scalars | flat_lists,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)


def is_writable(text: str) -> bool:
    """Strings that the reader has no way to be told: those that begin with quotes, and \\u beside an escape."""
    return not text.startswith('"') and "\\u" not in text.lower()


def read_back(table: dict[str, Any]) -> dict[str, Any] | None:
    """None: refused."""
    try:
        wanted = normalized(table, "config")
        text = dumps(wanted, "config")
    except Unwritable:
        return None
    assert text.isascii()
    assert same(toml.loads(text), wanted)
    assert same(tomllib.loads(text), wanted)  # it is TOML for others, too
    return wanted


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(keys, values, max_size=4))
def test_it_reads_back_equal_or_is_refused(table: dict[str, Any]) -> None:
    read_back(table)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(keys | nasty, texts | nasty, max_size=3))
def test_no_key_and_no_string_becomes_syntax(table: dict[str, Any]) -> None:
    back = read_back(table)
    assert back is None or back == table


@settings(max_examples=200, deadline=None)
@given(texts.filter(is_writable))
def test_nearly_every_string_can_be_written(text: str) -> None:
    assert read_back({"a": text}) == {"a": text}


@settings(max_examples=150, deadline=None)
@given(st.lists(nasty.filter(is_writable), max_size=5))
def test_lists_of_strings_with_commas_and_brackets(items: list[str]) -> None:
    assert read_back({"a": items}) == {"a": items}


@pytest.mark.parametrize(
    "table",
    [
        {"caption_prefix": "a, b [c] = \"d\" # e\n[[directory]]\npath = '/etc'"},
        {"path": "C:\\users\\x\\u0041"},
        {"a": "\x00".replace("\x00", "\x01"), "b": "\u2028\u0085"},
        {"text_encoders": [{"path": "/a", "type": "t5"}, {"paths": ["/b", "/c"], "type": "x"}]},
        {"micro": [[512, 4], [1024, 1]]},
        {"empty": {}, "list": [], "nested": {"deep": {"deeper": {"x": 1}}}},
        {"fuse_adapters": [{"path": "/a", "weight": 0.5}, {"path": "/b"}]},
        {"lr": 5e-05, "eps": 1e-08, "big": 1e16, "max": 2**63 - 1, "min": -(2**63), "zero": -0.0},
    ],
)
def test_what_configs_hold(table: dict[str, Any]) -> None:
    assert read_back(table) is not None


def test_numbers_of_one_list_become_floats() -> None:
    assert same(normalized({"betas": [0.9, 1]}, "c"), {"betas": [0.9, 1.0]})
    assert same(normalized({"sizes": [1, 2]}, "c"), {"sizes": [1, 2]})


def test_nulls_are_absent() -> None:
    assert normalized({"a": None, "b": {"c": None}}, "c") == {"b": {}}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([1, "a"], "mixed"), ([True, 1], "mixed"), ([1, None], "must be"), ([[1], 2], "mixed"), (2**63, "64 bits"),
        (-(2**63) - 1, "64 bits"), (float("nan"), "finite"), (float("inf"), "finite"), ("a\0b", "NUL"),
        ("\ud800", "surrogate"), ("x" * (STRING_MAX + 1), "longer"), ([[[[[[[[[[1]]]]]]]]]], "deep"),
        ({"": 1}, "empty"), ({"k\0": 1}, "NUL"), ([[{"a": 1}]], None),
    ],
)  # fmt: skip
def test_what_is_refused_names_the_key(value: Any, words: str | None) -> None:
    with pytest.raises(Unwritable) as caught:
        dumps(normalized({"model": {"key": value}}, "config"), "config")
    assert caught.value.field.startswith("config.model.key")
    assert words is None or words in caught.value.problem


def test_a_document_has_a_limit() -> None:
    with pytest.raises(Unwritable, match="KiB"):
        dumps({str(i): "x" * 8000 for i in range(40)}, "config")
