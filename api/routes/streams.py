"""Server-sent events: a job's log as it comes, a job's events, the events of all jobs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from flask import Response, current_app, request

from api.models.accounts import Actor
from api.models.dialect import YOLO_PLATFORM
from api.models.job import Job
from api.models.progress import Progress
from api.routes import render
from api.routes.http import services
from api.services.container import Services
from api.services.ingest import summary
from api.services.store import jobs as store
from api.services.store.events import FeedEvent
from api.services.store.logs import SpanFilter
from api.utils.errors import Invalid, NotFound
from api.utils.sse import comment, disconnected, event

HEARTBEAT = 15.0  # seconds between comments on a silent stream
FIRST_LINES = 50
LISTED = ("status", "progress")


class Client:
    """The other end of a stream: whether it is still there, and when it last heard from us."""

    def __init__(self, app_services: Services) -> None:
        self._environ = request.environ
        self._closing = app_services.closing
        self._spoken = time.monotonic()

    def gone(self) -> bool:
        return self._closing.is_set() or disconnected(self._environ)

    def heartbeat(self) -> bytes:
        """A comment, if none of our events was sent for long; else nothing."""
        if time.monotonic() - self._spoken < HEARTBEAT:
            return b""
        self._spoken = time.monotonic()
        return comment("still here")

    def spoke(self) -> None:
        self._spoken = time.monotonic()


def respond(make: Callable[[Services, Client], Iterator[bytes]]) -> Response:
    """A stream in one of the places kept for streams; 503 when all are taken."""
    everything = services()
    place = everything.streams.enter()
    client = Client(everything)

    def body() -> Iterator[bytes]:
        try:
            yield comment("open")
            yield from make(everything, client)
        finally:
            place.leave()

    response = Response(body(), mimetype="text/event-stream")
    response.call_on_close(place.leave)
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    return response


def last_event_id() -> int | None:
    text = request.headers.get("Last-Event-ID", "").strip()
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise Invalid("Last-Event-ID", "must be an id that this stream has sent")
    return int(text)


def log_stream(job: Job, wanted: SpanFilter) -> Response:
    """One event a line, its id the byte offset of its end. A line that comes again (a progress bar) replaces the one
    of the same `line_number`."""
    since = last_event_id()
    dump = current_app.json.dumps

    def lines(everything: Services, client: Client) -> Iterator[bytes]:
        history = everything.history
        cursor = since
        if cursor is None:
            first = history.tail(job, wanted, FIRST_LINES)
            yield from (event(dump(render.log_line(line)), id=line.end) for line in first.lines)
            cursor = first.next_cursor
        version = everything.feed.version
        while not client.gone():
            ended = _ended(everything, job)
            page = history.page(job, wanted, offset=cursor, limit=500)
            if page.lines:
                yield b"".join(event(dump(render.log_line(line)), id=line.end) for line in page.lines)
                client.spoke()
                cursor = page.next_cursor
            elif ended:
                yield event(dump({"status": ended}), event="end")
                return
            else:
                version = everything.feed.wait(version, 0.5)
                yield client.heartbeat()

    return respond(lines)


def plain_log_stream(job: Job) -> Response:
    """One event a line, its text as it is; the id is the byte offset behind it."""
    since = last_event_id() or 0

    def lines(everything: Services, client: Client) -> Iterator[bytes]:
        cursor, version = since, everything.feed.version
        while not client.gone():
            seen = _seen(everything, job)
            found, cursor = everything.plain_logs.after(seen, cursor, 500) if seen else ([], cursor)
            if found:
                yield b"".join(event(text, id=end) for text, end in found)
                client.spoke()
            elif seen is None or seen.status.is_terminal:
                yield event({"status": YOLO_PLATFORM.words[seen.status] if seen else "deleted"}, event="end")
                return
            else:
                version = everything.feed.wait(version, 0.5)
                yield client.heartbeat()

    return respond(lines)


def _ended(everything: Services, job: Job) -> str | None:
    """The terminal status, once there is one; a job that was deleted has ended too."""
    seen = _seen(everything, job)
    if seen is None:
        return "deleted"
    return seen.status.value if seen.status.is_terminal else None


def _seen(everything: Services, job: Job) -> Job | None:
    """As it is now; None: deleted."""
    with everything.db.read() as connection:
        try:
            return store.get(connection, job.id)
        except NotFound:
            return None


def job_events(job: Job) -> Response:
    """Begins with the state as it is, or with what came after `Last-Event-ID`; `gap` says that some of it is gone."""
    since = last_event_id()
    dump = current_app.json.dumps
    snapshot = {**summary(Progress.from_dict(job.progress)), **render.progress_answer(job)}

    def follow(everything: Services, client: Client) -> Iterator[bytes]:
        history = everything.history
        cursor = since
        if cursor is None or history.missed_events(job, cursor):
            if cursor is not None:
                yield event(dump({"after": cursor}), event="gap")
            cursor = history.newest_event()
            yield event(dump(snapshot), event="progress", id=cursor)
        version = everything.feed.version
        while not client.gone():
            ended = _ended(everything, job)
            found = history.events(job, cursor, (), None if ended else version)
            if found:
                yield b"".join(_shown(dump, one) for one in found)
                client.spoke()
                cursor = found[-1].seq
            elif ended:
                yield event(dump({"task_id": job.id, "status": ended}), event="end")
                return
            else:
                version = everything.feed.wait(version, 0.5)
                yield client.heartbeat()

    return respond(follow)


def all_events(who: Actor) -> Response:
    """Status and progress of every job that the caller may see."""
    since = last_event_id()
    dump = current_app.json.dumps

    def follow(everything: Services, client: Client) -> Iterator[bytes]:
        history = everything.history
        cursor = since if since is not None else history.newest_event()
        version = everything.feed.version
        while not client.gone():
            found = history.events(None, cursor, LISTED, version)
            if found:
                cursor = found[-1].seq
                shown = b"".join(_shown(dump, one) for one in found if who.may_read(one.owner_id, one.team_id))
                if shown:
                    client.spoke()
                yield shown or client.heartbeat()
            else:
                version = everything.feed.wait(version, 0.5)
                yield client.heartbeat()

    return respond(follow)


def _shown(dump: Callable[[Any], str], one: FeedEvent) -> bytes:
    return event(dump({"task_id": one.job_id, **one.data}), event=one.kind, id=one.seq)
