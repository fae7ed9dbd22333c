"""INTERIM: plain waitress until api.serving is here."""
from __future__ import annotations
import socket
from typing import Any
from flask import Flask
import waitress
from api.services.container import Services


class _Server:
    def __init__(self, app: Any, services: Services) -> None:
        s = services.settings
        services.accounts.ensure_operator()
        operator = services.accounts.operator()

        def wrapped(environ: Any, start: Any) -> Any:
            environ["trainyard.actor"] = operator
            return app(environ, start)

        sockets = []
        for port in s.port:
            sock = socket.socket(); sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); sock.bind((s.host, port)); sock.listen(100); sockets.append(sock)
        self.addresses = [f"http://{x.getsockname()[0]}:{x.getsockname()[1]}" for x in sockets]
        self.server = waitress.create_server(wrapped, sockets=sockets, threads=s.threads + 128, channel_request_lookahead=1, asyncore_use_poll=True, connection_limit=2000)

    def run(self) -> None:
        self.server.run()

    def close(self, deadline: float) -> None:
        pass


def build_server(app: Flask, services: Services) -> _Server:
    return _Server(app, services)
