"""Logs of the YOLO platform's jobs: /logs and, enveloped, /api/v1/logs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask import Response, current_app, request

from api.models.dialect import dialect_of
from api.models.job import Job
from api.models.schemas import yolo_training as schemas
from api.routes.http import actor, answer, services
from api.routes.mirrored import Mirrored
from api.routes.streams import plain_log_stream
from api.services.plain_logs import Last

routes = Mirrored("logs", "/logs", "Logs of YOLO trainings")
BLUEPRINTS = routes.blueprints
TAIL = 50  # lines of one answer, as the document has it
MANY = 10_000  # lines that are sent as they are read
BUSY = "too many long answers are being sent; try again"
UNKNOWN = {404: "there is no such job in this dialect"}


@routes.view("GET", "/stream", None, query=schemas.LogQuery, refusals=UNKNOWN)
def stream(query: dict[str, Any]) -> Response:
    """The log from its first line, or after `Last-Event-ID`, and on until the job has ended.

    One event a line; its id is the byte offset behind the line.
    """
    return plain_log_stream(_job(query))


@routes.view("GET", "/tail", schemas.LogTailSchema, query=schemas.LogTailQuery, refusals=UNKNOWN)
def tail(query: dict[str, Any]) -> Response:
    """What was printed after a byte offset: at most 50 whole lines."""
    found, offset = services().plain_logs.after(_job(query), query["offset"], TAIL)
    return answer({"offset": offset, "lines": [text for text, _ in found]})


@routes.view("GET", "/lines", schemas.LogLinesSchema, query=schemas.LogLinesQuery, refusals={**UNKNOWN, 503: BUSY})
def lines(query: dict[str, Any]) -> Response:
    """The last lines, or all of them."""
    found = services().plain_logs.last(_job(query), query["n"] or None)
    shown = {"lines": [], "total": found.total, "returned": found.returned}
    if found.returned > MANY:
        return _as_read(shown, found)
    return answer({**shown, "lines": list(found.lines)})


def _job(query: dict[str, Any]) -> Job:
    return services().trainings.any_of(actor(), query["job_id"])


def _as_read(shown: dict[str, Any], found: Last) -> Response:
    """The same answer, written while the log is read: the whole of a long one is never in memory."""
    dump = current_app.json.dumps
    head, mark, tail = dump(dialect_of(request.path).body(200, "success", shown)).partition('"lines":[')
    place = services().streams.enter()  # it holds a thread for as long as its reader takes

    def body() -> Iterator[bytes]:
        yield (head + mark).encode()
        before = ""
        for text in found.lines:
            yield (before + dump(text)).encode("utf-8", "replace")
            before = ","
        yield f"{tail}\n".encode()

    response = Response(body(), mimetype="application/json")
    response.call_on_close(place.leave)
    return response
