"""`python run.py`: serve | user | token | workspace | doctor | backup | restore."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any

import api.admin as admin
import api.backup as backup
import api.doctor as doctor
from api.settings import SETTINGS, SettingError, Settings, add_flags, load
from api.version import VERSION


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="run.py",
        description="Trainyard runs, watches and keeps every training on a GPU box or in a small lab.",
        epilog="Without a command it serves; `run.py serve --help` lists the settings. Each is a flag, an environment "
        "variable, or a line of trainyard.toml in the data directory; a flag wins over the environment, that over the "
        "file.",
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"Trainyard {VERSION}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="serve the API and the console (the default)", allow_abbrev=False)
    add_flags(serve)
    admin.add_commands(commands)
    check = commands.add_parser("doctor", help="check the set-up and say what is missing", allow_abbrev=False)
    add_flags(check)
    backup.add_commands(commands)
    return top


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 well, 1 not, 2 wrong usage."""
    given = list(arguments)
    if not given or (given[0].startswith("-") and given[0] not in ("-h", "--help", "--version")):
        given.insert(0, "serve")
    chosen = parser().parse_args(given)
    names = {row.name for row in SETTINGS} | {"config"}
    flags: dict[str, Any] = {k: v for k, v in vars(chosen).items() if k in names and v is not None}
    try:
        settings = load(flags, os.environ)
    except SettingError as problem:
        return _refused(problem)
    if chosen.command == "serve":
        return serve(settings)
    if chosen.command == "doctor":
        return doctor.run(settings)
    if chosen.command in ("backup", "restore"):
        return backup.run(chosen, settings)
    return admin.run(chosen, settings)


def _refused(why: object) -> int:
    print(f"run.py: {why}", file=sys.stderr)
    return 1


def serve(settings: Settings) -> int:
    """Until SIGTERM or SIGINT; exit status 0 then."""
    from api import app as composition
    from api.logs import configure
    from api.services.store.database import DamagedDatabase, is_postgres
    from api.serving import ServeError
    from api.utils.locks import DataDirectoryBusy, DirectoryLock
    from api.utils.memory import calm_collector, return_large_blocks
    from api.web import build_server

    configure(settings.log_format)
    return_large_blocks()
    half = backup.unfinished(settings)
    if half is not None:
        return _refused(half)
    try:  # with PostgreSQL a second service may stand by: see api.services.leadership
        lock = None if is_postgres(settings.database_url) else DirectoryLock.take(settings.data_dir)
    except DataDirectoryBusy as problem:
        return _refused(problem)
    except OSError as problem:
        return _refused(f"TRAINYARD_DATA_DIR is {settings.data_dir}, which cannot be used: {problem.strerror}")
    try:
        services = composition.build_services(settings, os.environ)
        server = build_server(composition.build_app(services), services)
    except DamagedDatabase as problem:
        return _refused(f"{problem} (TRAINYARD_DATABASE_URL)")
    except ServeError as problem:
        return _refused(f"{problem} (TRAINYARD_HOST, TRAINYARD_PORT)")
    except (SettingError, OSError) as problem:
        return _refused(problem)
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    composition.start(services)
    calm_collector()
    thread = threading.Thread(target=server.run, name="server", daemon=True)
    thread.start()
    for address in server.addresses:
        print(f"Serving on {address}", flush=True)
    while not ending.wait(1.0):
        if not thread.is_alive():
            logging.getLogger(__name__).error("the server ended by itself")
            return 1
    services.closing.set()
    services.feed.notify()
    server.close(4.0)
    composition.stop(services)
    if lock is not None:
        lock.release()
    return 0
