"""The baselines: one Flask route that answers JSON, on waitress; and with a database, the least that shows its jobs."""

from __future__ import annotations

import json
import sqlite3
import sys
import threading
from typing import Any

from flask import Flask, Response, jsonify
from waitress import create_server

app = Flask("hello")
local = threading.local()
SHOWN = "id, status, engine, dialect, spec, priority, progress, gpu_ids, created_at, started_at, updated_at"


@app.get("/hello")
def hello() -> Response:
    return jsonify(status="ok")


@app.get("/list")
def some() -> Response:
    """50 rows as they are, their JSON decoded, with a count."""
    rows = _database().execute(f"SELECT {SHOWN} FROM jobs ORDER BY seq DESC LIMIT 50").fetchall()
    (total,) = _database().execute("SELECT count(*) FROM jobs").fetchone()
    return jsonify(tasks=[_decoded(row) for row in rows], total=total)


@app.get("/one")
def one() -> Response:
    row = _database().execute(f"SELECT {SHOWN} FROM jobs WHERE id = 'train_20260101_000000_00000000'").fetchone()
    return jsonify(_decoded(row))


def _database() -> sqlite3.Connection:
    if not hasattr(local, "database"):
        local.database = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
    found: sqlite3.Connection = local.database
    return found


def _decoded(row: tuple[Any, ...]) -> dict[str, Any]:
    fields = dict(zip(SHOWN.split(", "), row, strict=True))
    spec = json.loads(fields.pop("spec"))
    shown = {name: spec[name] for name in ("description", "tags", "name")}
    return fields | shown | {"progress": json.loads(fields["progress"]), "gpu_ids": json.loads(fields["gpu_ids"])}


server = create_server(app, host="127.0.0.1", port=0, threads=8)
print(f"http://127.0.0.1:{server.effective_port}", flush=True)
server.run()
