"""The baseline: one Flask route that answers JSON, on waitress."""

from __future__ import annotations

from flask import Flask, Response, jsonify
from waitress import create_server

app = Flask("hello")


@app.get("/hello")
def hello() -> Response:
    return jsonify(status="ok")


server = create_server(app, host="127.0.0.1", port=0, threads=8)
print(f"http://127.0.0.1:{server.effective_port}", flush=True)
server.run()
