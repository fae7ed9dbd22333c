"""Nobody comes in without a token: every route and method of a real service, no token and a wrong one."""

from __future__ import annotations

import re

from tests.acceptance.conftest import Maker
from tests.acceptance.harness import Service

OPEN = {
    "/healthz", "/readyz", "/api/token-auth/", "/api/v1/auth/login", "/", "/ui/docs/{name}",
}  # fmt: skip
WRONG = [
    "Token wrong",
    "Bearer " + "x" * 43,
    "Token",
    "Bearer",
    "Basic dXNlcjpwdw==",
    "token é".encode().decode("latin-1"),
]


def paths(service: Service, token: str) -> list[tuple[str, str]]:
    document = service.client.get("/api/v1/openapi.json", headers={"Authorization": f"Token {token}"}).json()
    return [
        (method.upper(), re.sub(r"{\w+}", "1", path))
        for path, operations in document["paths"].items()
        for method in operations
        if method in ("get", "post", "put", "patch", "delete") and path not in OPEN
    ]


def test_every_route_asks_for_a_token(make_service: Maker) -> None:
    service = make_service().start()
    token = service.call("POST", "/api/v1/auth/tokens", {"label": "x"}).expect(201)["token"]
    service.terminate()
    service.start("--auth", "required")
    found = paths(service, token)
    assert len(found) > 50
    for method, path in found:
        for header in (None, *WRONG):
            headers = {} if header is None else {"Authorization": header.encode("latin-1")}
            answer = service.client.request(method, path, headers=headers)
            assert answer.status_code == 401, f"{method} {path} with {header!r}: {answer.status_code}"
            assert answer.headers["WWW-Authenticate"] == "Token"
    assert service.client.get("/api/v1/queue", headers={"Authorization": f"Bearer {token}"}).status_code == 200
