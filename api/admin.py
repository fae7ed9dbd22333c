"""`run.py user | token | workspace`: accounts from the shell, also while the service runs.

Who can write the database is an admin here: the commands act as the local operator.
"""

from __future__ import annotations

import argparse
import getpass
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from api.models.accounts import Actor, Role, Scope, Token, checked_name
from api.services.accounts import AccountService
from api.services.store.database import DamagedDatabase, Database
from api.settings import SETTINGS, Settings
from api.utils.errors import TrainyardError

DAY = 86400.0
SHORT = 8  # characters of a password; fewer are said to be few
FLAGS = ("data_dir", "database_url")  # the settings that say which database is meant


class AdminError(Exception):
    """One line for whoever typed the command."""


Action = Callable[[AccountService, Actor, argparse.Namespace], None]


def add_commands(subparsers: Any) -> None:
    """The three commands, below `run.py`'s own parser."""
    user = _group(subparsers, "user", "people who may sign in")
    add = _command(user, "add", user_add, "add a user; the password is asked for, or one line of standard input")
    add.add_argument("name", metavar="NAME")
    add.add_argument("--admin", action="store_true", help="may do everything")
    _command(user, "list", user_list, "list all users")
    _command(user, "remove", user_remove, "remove a user with their tokens").add_argument("name", metavar="NAME")
    _command(user, "password", user_password, "give a user a new password").add_argument("name", metavar="NAME")
    role = _command(user, "role", user_role, "make a user an admin or a member")
    role.add_argument("name", metavar="NAME")
    role.add_argument("role", choices=[role.value for role in Role])

    token = _group(subparsers, "token", "tokens that programs send")
    create = _command(token, "create", token_create, "make a token; it is printed once, on the last line")
    create.add_argument("name", metavar="NAME", help="whose it is")
    create.add_argument("--label", default="", metavar="L", help="what it is for")
    create.add_argument("--expires", type=_days, metavar="DAYS", help="valid so long (default: until revoked)")
    _command(token, "list", token_list, "list a user's tokens").add_argument("name", metavar="NAME")
    revoke = _command(token, "revoke", token_revoke, "end a token for good")
    revoke.add_argument("id", type=_id, metavar="ID")

    team = _group(subparsers, "workspace", "groups of users who may read each other's work")
    _command(team, "add", workspace_add, "add a workspace").add_argument("name", metavar="NAME")
    _command(team, "list", workspace_list, "list workspaces and their members")
    for word, action, text in (
        ("join", workspace_join, "put a user into a workspace"),
        ("leave", workspace_leave, "take a user out of a workspace"),
    ):
        command = _command(team, word, action, text)
        command.add_argument("id", type=_id, metavar="ID")
        command.add_argument("name", metavar="NAME")


def _group(subparsers: Any, name: str, text: str) -> Any:
    parser = subparsers.add_parser(name, help=text, allow_abbrev=False)
    return parser.add_subparsers(dest="action_name", required=True, metavar="ACTION")


def _command(group: Any, name: str, action: Action, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = group.add_parser(name, help=text, description=text, allow_abbrev=False)
    parser.add_argument("--config", default=argparse.SUPPRESS, metavar="FILE", help="settings file")
    for row in SETTINGS:
        if row.name in FLAGS:
            parser.add_argument(row.flag, dest=row.name, default=argparse.SUPPRESS, metavar=row.metavar, help=row.help)
    parser.set_defaults(action=action)
    return parser


def _id(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:20]) < 2**63 and len(text) < 20):
        raise argparse.ArgumentTypeError(f"{text!r} is no id; ids are whole numbers")
    return int(text)


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = 0.0
    if not 0 < days <= 36500:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days from now")
    return days


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Exit status: 0 done, 1 not."""
    try:
        db = Database(settings.database_url)
        try:
            db.prepare()
            accounts = AccountService(db)
            accounts.ensure_operator()
            args.action(accounts, accounts.operator(), args)
        finally:
            db.close()
    except TrainyardError as problem:
        return _failed(problem.message)
    except (AdminError, DamagedDatabase, OSError) as problem:
        return _failed(str(problem))
    except (KeyboardInterrupt, EOFError):
        return _failed("nothing was changed")
    return 0


def _failed(message: str) -> int:
    print(f"run.py: {message}", file=sys.stderr)
    return 1


# ---- users


def user_add(accounts: AccountService, me: Actor, args: argparse.Namespace) -> None:
    checked_name(args.name)
    user = accounts.add_user(me, args.name, _password(), Role.ADMIN if args.admin else Role.MEMBER)
    print(f"User {user.name} added, {user.role}, id {user.id}.")


def user_list(accounts: AccountService, me: Actor, args: argparse.Namespace) -> None:
    rows = [(u.id, u.name, "built in" if u.builtin else u.role, _date(u.created_at)) for u in accounts.users(me)]
    _table(("ID", "NAME", "ROLE", "SINCE"), rows)


def user_remove(accounts: AccountService, me: Actor, args: argparse.Namespace) -> None:
    user = accounts.user_named(me, args.name)
    accounts.remove_user(me, user.id)
    print(f"User {user.name} removed; their jobs and data stay, for admins.")


def user_password(accounts: AccountService, me: Actor, args: argparse.Namespace) -> None:
    user = accounts.user_named(me, args.name)
    accounts.set_password(me, user.id, _password())
    print(f"User {user.name} has a new password, and is signed out everywhere; their tokens stay.")


def user_role(accounts: AccountService, me: Actor, args: argparse.Namespace) -> None:
    user = accounts.set_role(me, accounts.user_named(me, args.name).id, Role(args.role))
    print(f"User {user.name} is {user.role} now.")


def _password() -> str:
    """Typed twice at a terminal, else one line of standard input; never shown."""
    if sys.stdin is not None and sys.stdin.isatty():
        password = getpass.getpass("Password: ")
        if password != getpass.getpass("Again: "):
            raise AdminError("the two differ; nothing was changed")
    else:
        line = sys.stdin.readline() if sys.stdin is not None else ""
        if not line:
            raise AdminError("there is no password on standard input; give it as one line")
        password = line.removesuffix("\n").removesuffix("\r")
    if 0 < len(password) < SHORT:
        print(f"run.py: a password of fewer than {SHORT} characters is easily guessed", file=sys.stderr)
    return password


# ---- tokens


def token_create(accounts: AccountService, me: Actor, args: argparse.Namespace) -> None:
    user = accounts.user_named(me, args.name)
    lifetime = None if args.expires is None else args.expires * DAY
    token, secret = accounts.create_token(me, args.label, lifetime=lifetime, user_id=user.id)
    until = "until it is revoked" if token.expires_at is None else f"until {_date(token.expires_at)}"
    print(f"Token {token.id} of {user.name} ({_words(token)}), valid {until}; it is shown only now:")
    print(secret)


def token_list(accounts: AccountService, me: Actor, args: argparse.Namespace) -> None:
    now = time.time()
    tokens = accounts.tokens(me, accounts.user_named(me, args.name).id)
    rows = [(t.id, t.label or "-", _words(t), _date(t.created_at), _date(t.last_used_at), _end(t, now)) for t in tokens]
    _table(("ID", "LABEL", "SCOPES", "MADE", "USED", "ENDS"), rows)


def token_revoke(accounts: AccountService, me: Actor, args: argparse.Namespace) -> None:
    token = accounts.revoke_token(me, args.id)
    print(f"Token {token.id} is revoked.")


def _words(token: Token) -> str:
    return ", ".join(scope for scope in Scope if scope in token.scopes)


def _end(token: Token, now: float) -> str:
    if token.revoked_at is not None:
        return "revoked"
    return "expired" if not token.is_valid(now) else _date(token.expires_at)


# ---- workspaces


def workspace_add(accounts: AccountService, me: Actor, args: argparse.Namespace) -> None:
    team = accounts.add_team(me, args.name)
    print(f"Workspace {team.name} added, id {team.id}.")


def workspace_list(accounts: AccountService, me: Actor, args: argparse.Namespace) -> None:
    teams = accounts.teams(me)
    rows = [(team.id, team.name, ", ".join(user.name for user in accounts.members(me, team.id))) for team in teams]
    _table(("ID", "NAME", "MEMBERS"), rows)


def workspace_join(accounts: AccountService, me: Actor, args: argparse.Namespace) -> None:
    user = accounts.user_named(me, args.name)
    accounts.join(me, args.id, user.id)
    print(f"User {user.name} is in workspace {args.id}.")


def workspace_leave(accounts: AccountService, me: Actor, args: argparse.Namespace) -> None:
    user = accounts.user_named(me, args.name)
    accounts.leave(me, args.id, user.id)
    print(f"User {user.name} is not in workspace {args.id}.")


# ---- printing


def _date(moment: float | None) -> str:
    return "-" if moment is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(moment))


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    lines = [list(head), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
