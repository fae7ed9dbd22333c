"""What a service answers that stands by: every read, and those changes that are rows alone.

What writes files is refused: a service that takes over puts right what crashes have left in the data directory, and a
file that is being written looks like that. The leader finds a new row by itself.
"""

from __future__ import annotations

from flask import Flask, request

from api.routes.http import services
from api.services.access import CHANGING_GETS, SAFE_METHODS
from api.utils.errors import Unavailable

#: blueprints that keep nothing but rows
ROWS = frozenset({"auth", "token_auth", "queue", "webhooks"})
#: routes that do, of others
ROWS_ALONE = frozenset(
    {
        "training.start",
        "training.stop",
        "training.resume",
        "training.restart",
        "jobs.create",
        "jobs.stop",
        "ocr.train",
        "ocr.evaluate",
        "preprocessing.cancel",
        "YOLO train server.terminate",
    }
)


def install_standby(app: Flask) -> None:
    app.before_request(_refuse)


def _refuse() -> None:
    reads = request.method in SAFE_METHODS and not request.path.startswith(CHANGING_GETS)
    rows = request.blueprint in ROWS or request.endpoint in ROWS_ALONE
    if reads or rows or request.endpoint is None or services().leadership.leads:
        return
    raise Unavailable("this service stands by and writes no files; ask the one that supervises", retry_after=5)
