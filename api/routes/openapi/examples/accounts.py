"""Examples of accounts, tokens and teams."""

from __future__ import annotations

from api.routes.openapi.examples.answers import Examples, enveloped

USER = {"id": 2, "name": "ana", "role": "member", "builtin": False, "created_at": "2026-11-20T08:30:00.000Z"}
PERSON = {"id": 2, "name": "ana", "role": "member"}
TOKEN = {
    "id": 7,
    "user_id": 2,
    "label": "notebook",
    "scopes": ["read", "run"],
    "created_at": "2026-11-21T11:13:03.874Z",
    "last_used_at": None,
    "expires_at": "2027-02-19T11:13:03.874Z",
    "revoked_at": None,
}
WORKSPACE = {"id": 1, "name": "vision", "created_at": "2026-11-20T08:31:00.000Z"}
SECRET = "ty_7_UHNz9IBcS_l7fXkPdhFTD39TIXouSLfqyxmVcEaMJAc"  # of nobody

_A = "/api/v1/auth"

EXAMPLES: Examples = {
    ("post", f"{_A}/session"): {
        "201": enveloped({"csrf_token": "3f1c9a0b7d2e4856"}, "session opened", 201),
    },
    ("post", "/api/token-auth/"): {
        "request": {"username": "ana", "password": "correct horse battery staple"},
        "200": {"token": SECRET},
        "400": {"password": ["This field is required."]},
    },
    ("post", f"{_A}/login"): {
        "request": {"username": "ana", "password": "correct horse battery staple"},
        "200": enveloped({"token": SECRET, "csrf_token": "o3vQ2m9yT0a8", "user": USER}, "signed in"),
        "400": enveloped(
            {"non_field_errors": ["Unable to log in with provided credentials."]},
            "Unable to log in with provided credentials.",
            400,
        ),
    },
    ("post", f"{_A}/logout"): {"200": enveloped(None, "signed out")},
    ("get", f"{_A}/me"): {
        "200": enveloped(
            {
                "user": PERSON,
                "via": "token",
                "scopes": ["read", "run"],
                "workspaces": [WORKSPACE],
                "csrf_token": None,
            }
        )
    },
    ("post", f"{_A}/password"): {
        "request": {"password": "correct horse battery staple", "new_password": "a better one of mine"},
        "200": enveloped(None, "password changed"),
    },
    ("get", f"{_A}/users"): {"200": enveloped({"users": [USER]})},
    ("post", f"{_A}/users"): {
        "request": {"name": "ana", "password": "correct horse battery staple", "role": "member"},
        "201": enveloped(USER, "user added", 201),
    },
    ("patch", f"{_A}/users/{{user_id}}"): {
        "request": {"role": "admin"},
        "200": enveloped({**USER, "role": "admin"}, "user changed"),
    },
    ("delete", f"{_A}/users/{{user_id}}"): {"200": enveloped({"id": 2}, "user removed")},
    ("get", f"{_A}/tokens"): {"200": enveloped({"tokens": [TOKEN]})},
    ("post", f"{_A}/tokens"): {
        "request": {"label": "notebook", "scopes": ["run"], "expires_days": 90},
        "201": enveloped({**TOKEN, "token": SECRET}, "token made; it is shown only now", 201),
    },
    ("delete", f"{_A}/tokens/{{token_id}}"): {
        "200": enveloped({**TOKEN, "revoked_at": "2026-11-21T12:00:00.000Z"}, "token revoked")
    },
    ("get", f"{_A}/workspaces"): {"200": enveloped({"workspaces": [WORKSPACE]})},
    ("post", f"{_A}/workspaces"): {
        "request": {"name": "vision"},
        "201": enveloped(WORKSPACE, "workspace added", 201),
    },
    ("get", f"{_A}/workspaces/{{workspace_id}}/members"): {"200": enveloped({"members": [PERSON]})},
    ("post", f"{_A}/workspaces/{{workspace_id}}/members"): {
        "request": {"name": "ana"},
        "201": enveloped(USER, "member added", 201),
    },
    ("delete", f"{_A}/workspaces/{{workspace_id}}/members/{{user_id}}"): {
        "200": enveloped({"id": 2}, "member removed")
    },
}
