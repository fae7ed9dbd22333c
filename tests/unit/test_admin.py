"""`run.py user | token | workspace`, as typed."""

from __future__ import annotations

import argparse
import getpass
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from api import admin
from api.models.accounts import Role, Scope
from api.services.accounts import AccountService
from api.services.passwords import Cost, Hasher
from api.services.store.database import Database
from api.settings import Settings, load
from tests import postgres
from tests.postgres import sqlite_only

Run = Callable[..., int]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load({"data_dir": str(tmp_path)}, postgres.environment())


@pytest.fixture
def service(settings: Settings) -> Iterator[AccountService]:
    """A service that has the database open all the while."""
    db = Database(settings.database_url)
    db.prepare()
    accounts = AccountService(db, hasher=Hasher(Cost(2, 1, 1)))
    accounts.ensure_operator()
    yield accounts
    db.close()


@pytest.fixture
def run(settings: Settings, service: AccountService, monkeypatch: pytest.MonkeyPatch) -> Run:
    def typed(*words: str, stdin: io.StringIO | str = "") -> int:
        parser = argparse.ArgumentParser()
        admin.add_commands(parser.add_subparsers(dest="command"))
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin) if isinstance(stdin, str) else stdin)
        return admin.run(parser.parse_args(words), settings)

    return typed


def test_a_user_from_standard_input(run: Run, service: AccountService, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("user", "add", "Ana", "--admin", stdin="correct horse \r\nmore\n") == 0
    assert run("user", "add", "ben", stdin="battery staple") == 0
    assert service.sign_in("ana", "correct horse ", "").role is Role.ADMIN
    assert service.sign_in("ben", "battery staple", "").role is Role.MEMBER
    assert run("user", "list") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines()[:2] == ["User Ana added, admin, id 2.", "User ben added, member, id 3."]
    assert [line.split()[:2] for line in out.splitlines()[2:]] == [
        ["ID", "NAME"],
        ["1", "local"],
        ["2", "Ana"],
        ["3", "ben"],
    ]
    assert "horse" not in out


def test_a_user_at_a_terminal(
    run: Run, service: AccountService, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = iter(["correct horse", "correct horse", "one", "other"])
    monkeypatch.setattr(getpass, "getpass", lambda prompt: next(typed))
    assert run("user", "add", "ana", stdin=Terminal()) == 0
    assert service.sign_in("ana", "correct horse", "").name == "ana"
    assert run("user", "add", "ben", stdin=Terminal("never read\n")) == 1
    assert capsys.readouterr().err == "run.py: the two differ; nothing was changed\n"

    def interrupted(prompt: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(getpass, "getpass", interrupted)
    assert run("user", "password", "ana", stdin=Terminal()) == 1
    assert [user.name for user in service.users(service.operator())] == ["local operator", "ana"]


@pytest.mark.parametrize(
    ("words", "stdin", "message"),
    [
        (["user", "add", "ana"], "", "no password on standard input"),
        (["user", "add", "ana"], "\n", "password: must be 1 to 1024"),
        (["user", "add", "a\tb"], "secret password\n", "name: must be printable"),
        (["user", "add", "LOCAL operator"], "secret password\n", "already"),
        (["user", "remove", "nobody"], "", "no user 'nobody'"),
        (["user", "remove", "local operator"], "", "built in"),
        (["user", "role", "nobody", "admin"], "", "no user"),
        (["token", "create", "nobody"], "", "no user 'nobody'"),
        (["token", "create", "local operator", "--label", "x" * 201], "", "label"),
        (["token", "revoke", "99"], "", "no token 99"),
        (["workspace", "join", "99", "local operator"], "", "no workspace 99"),
        (["workspace", "join", "1", "nobody"], "", "no user"),
        (["workspace", "add", ""], "", "name: must be 1 to 200"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    run: Run, capsys: pytest.CaptureFixture[str], words: list[str], stdin: str, message: str
) -> None:
    assert run(*words, stdin=stdin) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("run.py: ")
    assert message in err
    assert "secret password" not in err


@pytest.mark.parametrize(
    "words",
    [
        ["user"],
        ["user", "add"],
        ["user", "add", "ana", "--adm"],
        ["user", "add", "ana", "password"],
        ["user", "role", "ana", "king"],
        ["token", "revoke", "x"],
        ["token", "revoke", "٣"],
        ["token", "revoke", "0"],
        ["token", "revoke", "9" * 30],
        *(["token", "create", "ana", "--expires", days] for days in ("0", "-1", "nan", "inf", "soon", "1e9")),
    ],
)
def test_wrong_usage_is_2(run: Run, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(*words)
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_a_token_is_alone_on_the_last_line(
    run: Run, service: AccountService, capsys: pytest.CaptureFixture[str]
) -> None:
    run("user", "add", "ana", stdin="correct horse")
    assert run("token", "create", "ana", "--label", "ci runner", "--expires", "0.5") == 0
    lines = capsys.readouterr().out.splitlines()
    actor = service.authenticate(f"Token {lines[-1]}")
    assert (actor.name, actor.scopes) == ("ana", {Scope.READ, Scope.RUN})
    assert lines[-2].startswith("Token 1 of ana (read, run), valid until 2")
    assert run("token", "list", "ana") == 0
    shown = capsys.readouterr().out
    assert "ci runner" in shown
    assert lines[-1] not in shown
    for _ in range(2):
        assert run("token", "revoke", "1") == 0
    assert run("token", "list", "ana") == 0
    assert "revoked" in capsys.readouterr().out.splitlines()[-1]


def test_a_changed_user(run: Run, service: AccountService, capsys: pytest.CaptureFixture[str]) -> None:
    run("user", "add", "ana", stdin="correct horse")
    assert run("user", "role", "ANA", "admin") == 0
    assert run("user", "password", "ana", stdin="pw") == 0
    assert "fewer than 8" in capsys.readouterr().err
    assert service.sign_in("ana", "pw", "").role is Role.ADMIN
    assert run("user", "remove", "ana") == 0
    assert run("user", "add", "ana", stdin="correct horse") == 0
    assert "id 3" in capsys.readouterr().out


def test_workspaces(run: Run, service: AccountService, capsys: pytest.CaptureFixture[str]) -> None:
    run("user", "add", "ana", stdin="correct horse")
    assert run("workspace", "add", "vision lab") == 0
    assert run("workspace", "join", "1", "Ana") == 0
    assert run("workspace", "list") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1   vision lab  ana"
    boss = service.operator()
    assert [user.name for user in service.members(boss, 1)] == ["ana"]
    assert run("workspace", "leave", "1", "ana") == 0
    assert service.members(boss, 1) == []


@sqlite_only
def test_a_file_that_is_no_database(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    (settings.data_dir / "trainyard.db").write_text("not a database" * 100)
    parser = argparse.ArgumentParser()
    admin.add_commands(parser.add_subparsers(dest="command"))
    assert admin.run(parser.parse_args(["user", "list"]), settings) == 1
    assert "trainyard.db" in capsys.readouterr().err


def test_its_own_settings_reach_the_namespace(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    admin.add_commands(parser.add_subparsers(dest="command"))
    assert vars(parser.parse_args(["user", "list", "--data-dir", str(tmp_path)]))["data_dir"] == str(tmp_path)
    assert not {"data_dir", "database_url", "config"} & set(vars(parser.parse_args(["user", "list"])))
