"""The requests and answers of accounts (contract 0, "Who may do what")."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from api.models.accounts import LONGEST_PASSWORD, Role, Scope
from api.models.schemas.base import MAX_INT, Strict, choice, integer, name, query_integer, text

ROLES = [role.value for role in Role]
SCOPES = [scope.value for scope in Scope]


def secret(description: str | None = None, *, required: bool = False) -> fields.String:
    metadata = {"format": "password"} | ({} if description is None else {"description": description})
    return text(1, LONGEST_PASSWORD, load_only=True, required=required, metadata=metadata)


class LoginSchema(Strict):
    """POST /login."""

    username = name(required=True)
    password = secret(required=True)


class PasswordSchema(Strict):
    """POST /password: one's own."""

    password = secret(required=True)
    new_password = secret(required=True)


class NewUserSchema(Strict):
    name = name(required=True)
    password = secret("absent: the user has tokens only")
    role = choice(*ROLES, load_default=Role.MEMBER.value)


class UserChangeSchema(Strict):
    role = choice(*ROLES)
    password = secret()


class NewTokenSchema(Strict):
    label = text(0, 200, load_default="")
    scopes = fields.List(
        choice(*SCOPES),
        validate=validate.Length(1, 3),
        metadata={"description": "`run` holds `read`, `admin` holds both; absent: all that you have"},
    )
    expires_days = integer(1, 36_500, metadata={"description": "absent: valid until revoked"})
    user_id = integer(1, MAX_INT, metadata={"description": "for another user; an admin's to say"})


class TokensQuery(Strict):
    user_id = query_integer(1, MAX_INT, metadata={"description": "of another user; an admin's to ask"})


class NewWorkspaceSchema(Strict):
    name = name(required=True)


class MemberSchema(Strict):
    name = name(required=True, metadata={"description": "the user's"})


# ---- answers


class PersonSchema(Schema):
    id = fields.Integer(required=True)
    name = fields.String(required=True)
    role = choice(*ROLES, required=True)


class UserSchema(PersonSchema):
    builtin = fields.Boolean(metadata={"description": "the local operator, who cannot sign in or be changed"})
    created_at = fields.String()


class WorkspaceSchema(Schema):
    id = fields.Integer(required=True)
    name = fields.String(required=True)
    created_at = fields.String(required=True)


class TokenAuthSchema(Schema):
    token = fields.String(required=True)


class LoginAnswerSchema(Schema):
    token = fields.String(required=True)
    csrf_token = fields.String(required=True, metadata={"description": "the session's writes send it as X-CSRF-Token"})
    user = fields.Nested(UserSchema, required=True)


class SessionSchema(Schema):
    csrf_token = fields.String(required=True, metadata={"description": "the session's writes send it as X-CSRF-Token"})


class MeSchema(Schema):
    user = fields.Nested(PersonSchema, required=True)
    via = choice("token", "session", "operator", "off", required=True)
    scopes = fields.List(choice(*SCOPES), required=True)
    workspaces = fields.List(fields.Nested(WorkspaceSchema), required=True)
    csrf_token = fields.String(allow_none=True, metadata={"description": "null unless you came with a session"})


class UsersSchema(Schema):
    users = fields.List(fields.Nested(UserSchema), required=True)


class TokenSchema(Schema):
    id = fields.Integer(required=True)
    user_id = fields.Integer(required=True)
    label = fields.String(required=True)
    scopes = fields.List(choice(*SCOPES), required=True)
    created_at = fields.String(required=True)
    last_used_at = fields.String(allow_none=True, metadata={"description": "to the minute"})
    expires_at = fields.String(allow_none=True)
    revoked_at = fields.String(allow_none=True)


class NewTokenAnswerSchema(TokenSchema):
    token = fields.String(required=True, metadata={"description": "shown only here"})


class TokensSchema(Schema):
    tokens = fields.List(fields.Nested(TokenSchema), required=True)


class WorkspacesSchema(Schema):
    workspaces = fields.List(fields.Nested(WorkspaceSchema), required=True)


class MembersSchema(Schema):
    members = fields.List(fields.Nested(PersonSchema), required=True)


class IdSchema(Schema):
    id = fields.Integer(required=True)
