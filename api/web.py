"""The service on the network: the application behind the gate, on its listeners."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import replace

from flask import Flask

from api.models.dialect import dialect_of
from api.routes.requests import request_id_of
from api.services.access import Gate, HostPolicy, Refusal, RequestHead, local_operator
from api.services.container import Services
from api.services.doorkeeper import FREE, Doorkeeper
from api.serving import ServeOptions, Server
from api.settings import Settings, is_loopback

JSON_BODY = 16 * 1024 * 1024  # bytes; only uploads may be larger
LOGIN_BODY = 64 * 1024  # of a caller whom nobody knows yet


def refusal(head: RequestHead | None, status: int, message: str) -> Refusal:
    """A refusal in the dialect of the path that was asked for."""
    body = dialect_of(head.path if head else "/api/v1").error(status, message, None)
    headers = [("X-Request-ID", request_id_of(head.headers.get("x-request-id", "") if head else ""))]
    if status == 401:
        headers.append(("WWW-Authenticate", "Token"))
    return Refusal(status, tuple(headers), json.dumps(body, ensure_ascii=False).encode() + b"\n", "application/json")


def readable(refusal: Refusal, head: RequestHead | None, origins: frozenset[str]) -> Refusal:
    """As the application's answers are: a page of a configured origin must see that it has to sign in again."""
    origin = head.headers.get("origin", "") if head else ""
    if origin not in origins:
        return refusal
    return replace(refusal, headers=(*refusal.headers, ("Access-Control-Allow-Origin", origin), ("Vary", "Origin")))


def is_preflight(head: RequestHead, origins: frozenset[str]) -> bool:
    """Whether a browser asks, for a page of a configured origin, what that page may do. It never sends credentials."""
    asks = head.method == "OPTIONS" and "access-control-request-method" in head.headers
    return asks and head.headers.get("origin") in origins


#: where files are uploaded, as multipart/form-data
UPLOADS = re.compile(r"/api/v1/ocr/documents/\d{1,18}/import|(?:/api/v1)?/(?:datasets|models)/upload", re.ASCII)
INFER = re.compile(r"(?:/api/v1)?/infer/(?:(video)/[^/]+(?:/stream)?|batch/run|[^/]+/export|([^/]+))", re.ASCII)
INFER_IMAGES = 32  # of the largest size that one request may bring


def body_limit(head: RequestHead, settings: Settings) -> int:
    """Bytes, but for the setting: a JSON body is read into memory, a file is not."""
    if head.path in FREE:
        return LOGIN_BODY
    if not head.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return JSON_BODY
    infers = INFER.fullmatch(head.path)
    if infers is not None:
        images = 1 if infers[2] else INFER_IMAGES
        files = settings.infer_video_bytes if infers[1] else images * settings.infer_image_bytes
        return files + JSON_BODY
    return sys.maxsize if UPLOADS.fullmatch(head.path) else JSON_BODY


def build_gate(services: Services) -> Gate:
    """Host, credentials, site and length, judged when the headers are in."""
    settings = services.settings
    uid = os.geteuid()
    origins = frozenset(settings.cors_origins)

    def refuse(head: RequestHead | None, status: int, message: str) -> Refusal:
        return readable(refusal(head, status, message), head, origins)

    doorkeeper = Doorkeeper(
        accounts=services.accounts,
        mode=settings.auth,  # type: ignore[arg-type]  # one of the three by the setting's own check
        loopback=is_loopback(settings.host),
        is_operator=lambda head: local_operator(head, uid),
        refusal=refuse,
    )
    return Gate(
        hosts=HostPolicy.of((settings.host,), settings.trusted_hosts),
        authenticate=lambda head: None if is_preflight(head, origins) else doorkeeper(head),
        body_limit=lambda head: min(settings.max_upload_bytes, body_limit(head, settings)),
        refusal=refuse,
        cors_origins=origins,
    )


def build_server(app: Flask, services: Services) -> Server:
    """Listens from here on; answers once it is run."""
    settings = services.settings
    options = ServeOptions(
        listen=tuple((settings.host, port) for port in settings.port),
        tmp_dir=settings.data_dir / "tmp",
        threads=settings.threads,
        max_streams=services.streams.most,
        max_body=settings.max_upload_bytes,
    )
    return Server(app, build_gate(services), options)
