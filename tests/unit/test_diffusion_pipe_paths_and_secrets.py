"""Paths that a client may name, and values that nobody may see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from api.utils.errors import Forbidden, Invalid
from api.utils.paths import AllowedRoots
from api.utils.secrets import is_secret, masked, scrub, secrets_of

NASTY = [
    "a b",
    "quote's",
    'double"quote',
    "new\nline",
    "semi;colon",
    "$(touch x)",
    "-rf",
    "*",
    "%00",
    "ünï",
    "😀",
    "...",
]


@pytest.mark.parametrize("name", NASTY)
def test_nasty_names_are_names(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    assert AllowedRoots([tmp_path]).resolve("f", str(tmp_path / name)) == tmp_path / name


@pytest.mark.parametrize(
    "value",
    ["", "relative", "./x", "~/x", "../x", "a\0b", "/a\0b", "\ud800", "/x\udfff", "/" + "x" * 5000, 5, None, ["/x"]],
)
def test_what_is_no_absolute_path(tmp_path: Path, value: Any) -> None:
    with pytest.raises(Invalid) as caught:
        AllowedRoots([tmp_path]).resolve("the.field", value)
    assert caught.value.field == "the.field"


@pytest.mark.parametrize(
    "value", ["/", "/etc/passwd", "{root}/../x", "{root}x", "{root}/a/../../x", "{root}/link/x", "/proc/self/root"]
)
def test_what_leads_out_is_forbidden(tmp_path: Path, value: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to("/etc")
    with pytest.raises(Forbidden):
        AllowedRoots([root]).resolve("f", value.format(root=root))


def test_roots_may_be_links_or_not_exist_yet(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "root").symlink_to(tmp_path / "real")
    roots = AllowedRoots([tmp_path / "later", tmp_path / "root"])
    assert roots.resolve("f", str(tmp_path / "root" / "x")) == tmp_path / "real" / "x"
    assert roots.resolve("f", str(tmp_path / "later" / "x")) == tmp_path / "later" / "x"
    assert roots.resolve("f", str(tmp_path / "real")) == tmp_path / "real"


def test_a_loop_of_links_does_not_escape(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    try:
        found = AllowedRoots([tmp_path]).resolve("f", str(tmp_path / "a" / "x"))
    except Invalid:
        return
    assert found.is_relative_to(tmp_path)
    assert not found.exists()


def test_no_roots_allow_nothing(tmp_path: Path) -> None:
    with pytest.raises(Forbidden):
        AllowedRoots([]).resolve("f", str(tmp_path))


@pytest.mark.parametrize(
    "key",
    ["key", "KEY", "api_key", "wandb_api_key", "qwen-api-key", "apikey", "APIKey", "accessKey", "AWS_SECRET_ACCESS_KEY",
     "token", "HF_TOKEN", "mytoken", "tokens", "accessToken", "secret", "clientSecret", "SECRETS", "password",
     "dbPassword", "passwd", "keys", "key_file"],
)  # fmt: skip
def test_keys_of_secrets(key: str) -> None:
    assert is_secret(key)
    assert masked({key: "hunter22"}) == {key: "***"}


@pytest.mark.parametrize(
    "key",
    ["tokenizer_path", "tokenizer", "keyframes", "monkey", "keyboard", "max_sequence_length", "turkey", "hockey_dir"],
)
def test_keys_that_only_look_alike(key: str) -> None:
    assert masked({key: "value"}) == {key: "value"}


def test_counts_and_switches_are_no_secrets() -> None:
    plain = {"max_tokens": 225, "token": True, "key": None, "api_key": ""}
    assert masked(plain) == plain
    assert masked({"password": 1234}) == {"password": "***"}


def test_masking_goes_deep_and_copies() -> None:
    value = {"config": {"monitoring": {"wandb_api_key": "abc"}}, "list": [{"HF_TOKEN": "x"}, 1], "keys": {"a": "b"}}
    assert masked(value) == {
        "config": {"monitoring": {"wandb_api_key": "***"}}, "list": [{"HF_TOKEN": "***"}, 1], "keys": "***",
    }  # fmt: skip
    assert value["config"]["monitoring"]["wandb_api_key"] == "abc"  # type: ignore[call-overload, index]
    assert secrets_of(value) == {"abc", "x", "b"}


def test_scrubbing_a_line() -> None:
    secrets = {"secret-1", "secret-1-longer", "abc"}
    assert scrub("a secret-1-longer b secret-1 abc", secrets) == "a *** b *** abc"
    assert scrub("nothing here", ()) == "nothing here"
