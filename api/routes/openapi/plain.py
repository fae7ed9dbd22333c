"""The routes that are not flask-smorest's."""

from __future__ import annotations

from typing import Any


def _text(summary: str, media: str, example: Any = None, **more: Any) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"} if media == "application/json" else {"type": "string"}
    content = {"schema": schema} | ({} if example is None else {"example": example})
    return {
        "get": {
            "summary": summary,
            "tags": ["service"],
            "security": [{}],
            "responses": {"200": {"description": summary, "content": {media: content}}, **more},
        }
    }


PLAIN_PATHS: dict[str, Any] = {
    "/healthz": _text("The process is up", "application/json", {"status": "ok"}),
    "/readyz": _text(
        "The database can be written and the scheduler turns",
        "application/json",
        {"status": "ok"},
        **{
            "503": {
                "description": "not ready; `status` says why",
                "content": {
                    "application/json": {
                        "schema": {"type": "object"},
                        "example": {"status": "the scheduler has not turned for 31 s"},
                    }
                },
            }
        },
    ),
    "/metrics": _text(
        "Prometheus' text format", "text/plain", 'trainyard_jobs{engine="diffusion_pipe",status="running"} 1.0\n'
    ),
    "/api/": {
        "get": {
            "summary": "To the console, as /models/ and /admin/",
            "tags": ["service"],
            "responses": {
                "302": {
                    "description": "the console's address",
                    "content": {"text/html": {"schema": {"type": "string"}}},
                },
                "401": {"$ref": "#/components/responses/Unauthenticated"},
                "403": {"$ref": "#/components/responses/Forbidden"},
            },
        }
    },
    "/api/v1/openapi.json": _text("This description", "application/json"),
    "/api/v1/docs": _text("This description as a page, without the internet", "text/html"),
}
