"""Signing in, and users, tokens and workspaces: /api/token-auth/ and /api/v1/auth (contract 0)."""

from __future__ import annotations

from typing import Any

from flask import Response, request
from flask.blueprints import BlueprintSetupState
from werkzeug.exceptions import BadRequest, UnsupportedMediaType
from werkzeug.routing import IntegerConverter

from api.models.accounts import Role, Scope, Team, Token, User
from api.models.schemas import auth as schemas
from api.routes.blueprint import FORMS, Blueprint
from api.routes.http import actor, answer, enveloped, json_response, refuse, services
from api.services.accounts import SignInRefused
from api.services.credentials import SESSION_COOKIE, NewSession, csrf_of
from api.utils.errors import Forbidden, TooMany
from api.utils.times import iso

FIELD_PROBLEMS = {
    "anyOf": [
        {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}},
        {"$ref": "#/components/schemas/BareError"},
    ]
}
BODIES = ("application/json", "application/x-www-form-urlencoded")
COOKIE_LIFE = 400 * 86400  # seconds; longer than a session, whose end is ours to say

token_blueprint = Blueprint("token_auth", __name__, url_prefix="/api", description="Signing in")
blueprint = Blueprint("auth", __name__, url_prefix="/api/v1/auth", description="Users, tokens and workspaces")
BLUEPRINTS = (token_blueprint, blueprint)


class RowId(IntegerConverter):
    """The id of a row in a path; a number that no column can hold is a 404, whatever the method."""

    regex = "0|[1-9][0-9]{0,17}"


@blueprint.record_once
def _add_converter(state: BlueprintSetupState) -> None:
    state.app.url_map.converters["row"] = RowId


# ---- signing in


@token_blueprint.post("/token-auth/")
@token_blueprint.doc(
    security=[{}],
    requestBody={"required": True, "content": {kind: {"schema": schemas.LoginSchema} for kind in BODIES}},
    responses={
        "200": {"description": "OK", "content": {"application/json": {"schema": schemas.TokenAuthSchema}}},
        "400": {
            "description": "a field is missing, or name and password do not fit",
            "content": {"application/json": {"schema": FIELD_PROBLEMS}},
        },
        "429": {"description": "five failed attempts within a minute"},
    },
)
def token_auth() -> Response:
    """A token for a name and a password.

    JSON or form; the answers are bare, as the OCR status document has them.
    """
    given = _credentials()
    missing = {field: ["This field is required."] for field, value in given.items() if value is None}
    missing |= {field: ["This field may not be blank."] for field, value in given.items() if value == ""}
    if missing:
        return json_response(missing, 400)
    try:
        _, token = services().accounts.log_in(str(given["username"]), str(given["password"]), _address())
    except SignInRefused as refused:
        return json_response({"non_field_errors": [refused.message]}, 400)
    except TooMany as refused:
        response = json_response({"detail": refused.message}, 429)
        response.headers["Retry-After"] = str(refused.retry_after)
        return response
    return json_response({"token": token}, 200)


def _credentials() -> dict[str, str | None]:
    if request.is_json:
        body: Any = request.get_json()
        if not isinstance(body, dict):
            raise BadRequest
    elif request.mimetype in FORMS:
        body = request.form
    else:
        raise UnsupportedMediaType
    found = {field: body.get(field) for field in ("username", "password")}
    return {field: value if isinstance(value, str) else None for field, value in found.items()}


def _address() -> str:
    return request.remote_addr or ""


@blueprint.post("/login")
@blueprint.doc(
    security=[{}],
    requestBody={"required": True, "content": {kind: {"schema": schemas.LoginSchema} for kind in BODIES}},
)
@blueprint.response(200, enveloped(schemas.LoginAnswerSchema))
@blueprint.alt_response(400, schema=enveloped(None), description="name and password do not fit")
@blueprint.alt_response(429, schema=enveloped(None), description="five failed attempts within a minute")
def login() -> Response:
    """Sign in: a token, and for a browser a session cookie.

    JSON or form, as `/api/token-auth/`.
    """
    body = Blueprint.ARGUMENTS_PARSER.parse(schemas.LoginSchema, request, location="json_or_form")
    accounts = services().accounts
    try:
        user, token = accounts.log_in(body["username"], body["password"], _address())
    except SignInRefused as refused:
        return refuse(400, refused.message, {"non_field_errors": [refused.message]})
    session = accounts.open_session(user.id)
    data = {"token": token, "csrf_token": session.csrf, "user": _user(user)}
    return with_session(answer(data, message="signed in"), session)


@blueprint.post("/session")
@blueprint.response(201, enveloped(schemas.SessionSchema))
def open_session() -> Response:
    """A browser session for the local operator, who is known without a password."""
    who = actor()
    if who.via not in ("operator", "off"):
        raise Forbidden("only the local operator is given a session; others sign in")
    session = services().accounts.open_session(who.user_id)
    return with_session(answer({"csrf_token": session.csrf}, code=201, message="session opened"), session)


def with_session(response: Response, session: NewSession) -> Response:
    """The response with the session's cookie, which no script can read and no foreign page can send."""
    https = request.is_secure or request.headers.get("X-Forwarded-Proto") == "https"  # a liar harms only itself
    response.set_cookie(
        SESSION_COOKIE, session.cookie, max_age=COOKIE_LIFE, path="/", secure=https, httponly=True, samesite="Strict"
    )
    return response


@blueprint.post("/logout")
@blueprint.response(200, enveloped(None))
def logout() -> Response:
    """Sign out: ends this session, or this token if a log-in made it."""
    services().accounts.close_session(actor())
    response = answer(None, message="signed out")
    response.delete_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="Strict")
    return response


@blueprint.get("/me")
@blueprint.response(200, enveloped(schemas.MeSchema))
def me() -> Response:
    """Who you are here, and what you may do."""
    who = actor()
    teams = [team for team in services().accounts.teams(who) if team.id in who.team_ids]
    return answer(
        {
            "user": {"id": who.user_id, "name": who.name, "role": who.role},
            "via": who.via,
            "scopes": _scopes(who.scopes),
            "workspaces": [_team(team) for team in teams],
            "csrf_token": csrf_of(request.cookies[SESSION_COOKIE]) if who.via == "session" else None,
        }
    )


@blueprint.post("/password")
@blueprint.arguments(schemas.PasswordSchema)
@blueprint.response(200, enveloped(None))
@blueprint.alt_response(400, schema=enveloped(None), description="that is not your password")
def change_password(body: dict[str, Any]) -> Response:
    """Change your password; you are signed out everywhere, tokens that you made stay."""
    try:
        services().accounts.change_password(actor(), body["password"], body["new_password"], _address())
    except SignInRefused:
        return refuse(400, "that is not your password")
    return answer(None, message="password changed")


# ---- users


@blueprint.get("/users")
@blueprint.response(200, enveloped(schemas.UsersSchema))
def users() -> Response:
    """All users (admin)."""
    return answer({"users": [_user(user) for user in services().accounts.users(actor())]})


@blueprint.post("/users")
@blueprint.arguments(schemas.NewUserSchema)
@blueprint.response(201, enveloped(schemas.UserSchema))
@blueprint.alt_response(409, schema=enveloped(None), description="the name is taken, whatever its case")
def add_user(body: dict[str, Any]) -> Response:
    """Add a user (admin)."""
    user = services().accounts.add_user(actor(), body["name"], body.get("password"), Role(body["role"]))
    return answer(_user(user), code=201, message="user added")


@blueprint.patch("/users/<row:user_id>")
@blueprint.arguments(schemas.UserChangeSchema)
@blueprint.response(200, enveloped(schemas.UserSchema))
@blueprint.alt_response(409, schema=enveloped(None), description="the local operator cannot be changed")
def change_user(body: dict[str, Any], user_id: int) -> Response:
    """Give a user another role or password (admin)."""
    accounts, who = services().accounts, actor()
    if "role" in body:
        accounts.set_role(who, user_id, Role(body["role"]))
    if "password" in body:
        accounts.set_password(who, user_id, body["password"])
    return answer(_user(accounts.user(who, user_id)), message="user changed")


@blueprint.delete("/users/<row:user_id>")
@blueprint.response(200, enveloped(schemas.IdSchema))
@blueprint.alt_response(409, schema=enveloped(None), description="the local operator cannot be removed")
def remove_user(user_id: int) -> Response:
    """Remove a user with their tokens (admin); what they made stays."""
    services().accounts.remove_user(actor(), user_id)
    return answer({"id": user_id}, message="user removed")


# ---- tokens


@blueprint.get("/tokens")
@blueprint.arguments(schemas.TokensQuery, location="query")
@blueprint.response(200, enveloped(schemas.TokensSchema))
def tokens(query: dict[str, Any]) -> Response:
    """Your tokens, without their secrets; revoked ones, too."""
    found = services().accounts.tokens(actor(), query.get("user_id"))
    return answer({"tokens": [_token(token) for token in found]})


@blueprint.post("/tokens")
@blueprint.arguments(schemas.NewTokenSchema)
@blueprint.response(201, enveloped(schemas.NewTokenAnswerSchema))
@blueprint.alt_response(404, schema=enveloped(None), description="there is no such user")
def add_token(body: dict[str, Any]) -> Response:
    """Make a token; it is shown only in this answer."""
    scopes = [Scope(word) for word in body["scopes"]] if "scopes" in body else None
    lifetime = body["expires_days"] * 86400.0 if "expires_days" in body else None
    token, secret = services().accounts.create_token(
        actor(), body["label"], scopes, lifetime, user_id=body.get("user_id")
    )
    return answer({**_token(token), "token": secret}, code=201, message="token made; it is shown only now")


@blueprint.delete("/tokens/<row:token_id>")
@blueprint.response(200, enveloped(schemas.TokenSchema))
def revoke_token(token_id: int) -> Response:
    """Revoke a token for good: yours, or as an admin anybody's."""
    return answer(_token(services().accounts.revoke_token(actor(), token_id)), message="token revoked")


# ---- workspaces


@blueprint.get("/workspaces")
@blueprint.response(200, enveloped(schemas.WorkspacesSchema))
def workspaces() -> Response:
    """Your workspaces; an admin sees all."""
    return answer({"workspaces": [_team(team) for team in services().accounts.teams(actor())]})


@blueprint.post("/workspaces")
@blueprint.arguments(schemas.NewWorkspaceSchema)
@blueprint.response(201, enveloped(schemas.WorkspaceSchema))
@blueprint.alt_response(409, schema=enveloped(None), description="the name is taken, whatever its case")
def add_workspace(body: dict[str, Any]) -> Response:
    """Add a workspace (admin)."""
    return answer(_team(services().accounts.add_team(actor(), body["name"])), code=201, message="workspace added")


@blueprint.get("/workspaces/<row:workspace_id>/members")
@blueprint.response(200, enveloped(schemas.MembersSchema))
def members(workspace_id: int) -> Response:
    """Who is in a workspace."""
    found = services().accounts.members(actor(), workspace_id)
    return answer({"members": [{"id": user.id, "name": user.name, "role": user.role} for user in found]})


@blueprint.post("/workspaces/<row:workspace_id>/members")
@blueprint.arguments(schemas.MemberSchema)
@blueprint.response(201, enveloped(schemas.UserSchema))
def join(body: dict[str, Any], workspace_id: int) -> Response:
    """Put a user into a workspace (admin)."""
    accounts, who = services().accounts, actor()
    user = accounts.user_named(who, body["name"])
    accounts.join(who, workspace_id, user.id)
    return answer(_user(user), code=201, message="member added")


@blueprint.delete("/workspaces/<row:workspace_id>/members/<row:user_id>")
@blueprint.response(200, enveloped(schemas.IdSchema))
def leave(workspace_id: int, user_id: int) -> Response:
    """Take a user out of a workspace (admin)."""
    services().accounts.leave(actor(), workspace_id, user_id)
    return answer({"id": user_id}, message="member removed")


# ---- as JSON


def _user(user: User) -> dict[str, Any]:
    return {
        "id": user.id,
        "name": user.name,
        "role": user.role,
        "builtin": user.builtin,
        "created_at": iso(user.created_at),
    }


def _token(token: Token) -> dict[str, Any]:
    times = {name: iso(getattr(token, name)) for name in ("created_at", "last_used_at", "expires_at", "revoked_at")}
    said = {"id": token.id, "user_id": token.user_id, "label": token.label, "scopes": _scopes(token.scopes)}
    return said | times


def _scopes(scopes: frozenset[Scope]) -> list[str]:
    return [scope.value for scope in Scope if scope in scopes]


def _team(team: Team) -> dict[str, Any]:
    return {"id": team.id, "name": team.name, "created_at": iso(team.created_at)}
