"""Users, tokens, sessions and teams: the only SQL that touches them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Table, and_, delete, func, insert, or_, select, update

from api.models.accounts import Role, Scope, Team, Token, User, name_key
from api.services.store.account_tables import sessions, team_members, teams, tokens, users
from api.services.store.upsert import upsert
from api.utils.errors import Conflict, NotFound


class Known(NamedTuple):
    """What a credential's row says: whose it is, and the digest that the secret must have."""

    user: User
    digest: bytes


def _user(row: Row[Any]) -> User:
    return User(row.id, row.name, Role(row.role), row.created_at, row.builtin)


#: a credential's row with its user's: recognising one is on the way of every request
_OWNER = [users.c[name].label(f"owner_{name}") for name in ("name", "role", "created_at", "builtin")]


def _known(row: Row[Any]) -> Known:
    owner = User(row.user_id, row.owner_name, Role(row.owner_role), row.owner_created_at, row.owner_builtin)
    return Known(owner, row.digest)


def _token(row: Row[Any]) -> Token:
    return Token(
        id=row.id,
        user_id=row.user_id,
        label=row.label,
        scopes=frozenset(Scope(word) for word in row.scopes.split()),
        created_at=row.created_at,
        last_used_at=row.last_used_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        from_login=row.from_login,
    )


def _team(row: Row[Any]) -> Team:
    return Team(row.id, row.name, row.created_at)


def _insert(connection: Connection, table: Table, values: Mapping[str, Any]) -> int:
    return int(connection.execute(insert(table).values(values)).inserted_primary_key[0])  # type: ignore[index]


def _refuse_taken(connection: Connection, table: Table, what: str, name: str) -> None:
    if connection.execute(select(table.c.id).where(table.c.name_key == name_key(name))).first():
        raise Conflict(f"there is already a {what} called {name!r}")


# ---- users


def add_user(
    connection: Connection,
    name: str,
    role: Role,
    password_hash: str | None,
    now: float,
    *,
    builtin: bool = False,
) -> User:
    _refuse_taken(connection, users, "user", name)
    values: dict[str, Any] = {"name": name, "name_key": name_key(name), "role": role.value, "created_at": now}
    values |= {"password_hash": password_hash, "builtin": builtin}
    return User(_insert(connection, users, values), name, role, now, builtin)


def find_user(connection: Connection, name: str) -> User | None:
    row = connection.execute(select(users).where(users.c.name_key == name_key(name))).first()
    return None if row is None else _user(row)


def user_by_name(connection: Connection, name: str) -> User:
    found = find_user(connection, name)
    if found is None:
        raise NotFound(f"there is no user {name!r}")
    return found


def user(connection: Connection, user_id: int) -> User:
    row = connection.execute(select(users).where(users.c.id == user_id)).first()
    if row is None:
        raise NotFound(f"there is no user {user_id}")
    return _user(row)


def builtin_user(connection: Connection) -> User | None:
    row = connection.execute(select(users).where(users.c.builtin)).first()
    return None if row is None else _user(row)


def all_users(connection: Connection) -> list[User]:
    return [_user(row) for row in connection.execute(select(users).order_by(users.c.id))]


def password_of(connection: Connection, name: str) -> tuple[User, str | None] | None:
    """The user of that name and the hash of the password, if they have one."""
    row = connection.execute(select(users).where(users.c.name_key == name_key(name))).first()
    return None if row is None else (_user(row), row.password_hash)


def change_user(connection: Connection, user_id: int, values: Mapping[str, Any]) -> None:
    connection.execute(update(users).where(users.c.id == user_id).values(values))


def remove_user(connection: Connection, user_id: int) -> None:
    """With their tokens, sessions and memberships; what they made stays, for admins."""
    connection.execute(delete(users).where(users.c.id == user_id))


# ---- tokens


def add_token(connection: Connection, token: Token, digest: bytes) -> int:
    """The new id; that of `token` is not looked at."""
    names = ("user_id", "label", "created_at", "expires_at", "from_login")
    values = {name: getattr(token, name) for name in names}
    values |= {"digest": digest, "scopes": " ".join(sorted(token.scopes))}
    return _insert(connection, tokens, values)


def token_of(connection: Connection, token_id: int) -> tuple[Token, Known] | None:
    query = select(tokens, *_OWNER).join(users, users.c.id == tokens.c.user_id).where(tokens.c.id == token_id)
    row = connection.execute(query).first()
    return None if row is None else (_token(row), _known(row))


def token(connection: Connection, token_id: int) -> Token:
    row = connection.execute(select(tokens).where(tokens.c.id == token_id)).first()
    if row is None:
        raise NotFound(f"there is no token {token_id}")
    return _token(row)


def tokens_of(connection: Connection, user_id: int) -> list[Token]:
    return [_token(row) for row in connection.execute(select(tokens).where(tokens.c.user_id == user_id))]


def revoke_token(connection: Connection, token_id: int, now: float) -> None:
    """For good; a second time changes nothing."""
    mine = (tokens.c.id == token_id, tokens.c.revoked_at.is_(None))
    connection.execute(update(tokens).where(*mine).values(revoked_at=now))


def end_logins(connection: Connection, user_id: int, *, keep: int = 0) -> None:
    """Deletes the tokens that log-ins of a user made, but for the `keep` last used."""
    used = func.coalesce(tokens.c.last_used_at, tokens.c.created_at)
    made = select(tokens.c.id).where(tokens.c.user_id == user_id, tokens.c.from_login)
    made = made.order_by(used.desc(), tokens.c.id.desc()).offset(keep)
    connection.execute(delete(tokens).where(tokens.c.id.in_(made)))


def note_use(connection: Connection, used: Mapping[int, float]) -> None:
    for token_id, at in used.items():
        connection.execute(update(tokens).where(tokens.c.id == token_id).values(last_used_at=at))


# ---- sessions


def add_session(connection: Connection, user_id: int, digest: bytes, now: float, expires_at: float) -> int:
    values = {"user_id": user_id, "digest": digest, "created_at": now, "expires_at": expires_at}
    return _insert(connection, sessions, values)


def session_of(connection: Connection, session_id: int) -> tuple[float, Known] | None:
    """When it expires, and whose it is."""
    query = select(sessions, *_OWNER).join(users, users.c.id == sessions.c.user_id)
    row = connection.execute(query.where(sessions.c.id == session_id)).first()
    return None if row is None else (row.expires_at, _known(row))


def extend_sessions(connection: Connection, until: Mapping[int, float]) -> None:
    for session_id, expires_at in until.items():
        connection.execute(update(sessions).where(sessions.c.id == session_id).values(expires_at=expires_at))


def end_session(connection: Connection, session_id: int) -> None:
    connection.execute(delete(sessions).where(sessions.c.id == session_id))


def end_sessions(connection: Connection, user_id: int, *, keep: int = 0) -> None:
    """All but the newest `keep`."""
    mine = select(sessions.c.id).where(sessions.c.user_id == user_id).order_by(sessions.c.id.desc())
    connection.execute(delete(sessions).where(sessions.c.id.in_(mine.offset(keep))))


def drop_expired(connection: Connection, now: float) -> None:
    """Sessions and log-in tokens that are over; tokens that people made stay in their lists."""
    connection.execute(delete(sessions).where(sessions.c.expires_at <= now))
    over = or_(tokens.c.expires_at <= now, tokens.c.revoked_at.is_not(None))
    connection.execute(delete(tokens).where(and_(tokens.c.from_login, over)))


# ---- teams


def add_team(connection: Connection, name: str, now: float) -> Team:
    _refuse_taken(connection, teams, "workspace", name)
    values = {"name": name, "name_key": name_key(name), "created_at": now}
    return Team(_insert(connection, teams, values), name, now)


def find_team(connection: Connection, team_id: int) -> Team | None:
    row = connection.execute(select(teams).where(teams.c.id == team_id)).first()
    return None if row is None else _team(row)


def team(connection: Connection, team_id: int) -> Team:
    found = find_team(connection, team_id)
    if found is None:
        raise NotFound(f"there is no workspace {team_id}")
    return found


def all_teams(connection: Connection, only: Iterable[int] | None = None) -> list[Team]:
    query = select(teams).order_by(teams.c.id)
    if only is not None:
        query = query.where(teams.c.id.in_(sorted(only)))
    return [_team(row) for row in connection.execute(query)]


def team_ids_of(connection: Connection, user_id: int) -> frozenset[int]:
    return frozenset(
        connection.execute(select(team_members.c.team_id).where(team_members.c.user_id == user_id)).scalars()
    )


def join_team(connection: Connection, team_id: int, user_id: int) -> None:
    connection.execute(
        upsert(connection, team_members).values(team_id=team_id, user_id=user_id).on_conflict_do_nothing()
    )


def leave_team(connection: Connection, team_id: int, user_id: int) -> None:
    mine = (team_members.c.team_id == team_id, team_members.c.user_id == user_id)
    connection.execute(delete(team_members).where(*mine))


def members_of(connection: Connection, team_id: int) -> list[User]:
    query = select(users).join(team_members, team_members.c.user_id == users.c.id).order_by(users.c.id)
    return [_user(row) for row in connection.execute(query.where(team_members.c.team_id == team_id))]
