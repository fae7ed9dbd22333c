"""A PostgreSQL of the tests' own: a cluster in a temporary directory, known by its own process, on a Unix socket.

`TRAINYARD_TEST_DATABASE=postgres` makes the fixtures use it; without that the same tests run on SQLite.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

WANTED = os.environ.get("TRAINYARD_TEST_DATABASE", "sqlite") == "postgres"
PLACES = ("/usr/lib/postgresql", "/usr/pgsql-16/bin", "/usr/local/bin")
SETTINGS = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "32MB", "listen_addresses": ""}


def program(name: str) -> str:
    """Debian keeps the server's programs off the PATH."""
    found = [*sorted(Path(PLACES[0]).glob(f"*/bin/{name}"), reverse=True), shutil.which(name)]
    for each in found:
        if each is not None:
            return str(each)
    raise FileNotFoundError(f"there is no {name} here; `make test-postgres` installs PostgreSQL as root on Debian")


@dataclass
class Cluster:
    """One server. It refuses to run as root, so root's tests run it as somebody else."""

    home: Path
    process: subprocess.Popen[bytes] | None = None
    _numbers: count[int] = field(default_factory=count)

    @property
    def user(self) -> str | None:
        return "nobody" if os.geteuid() == 0 else None

    @classmethod
    def make(cls) -> Cluster:
        """In memory where there is such a place: what these tests are about is not the disk."""
        home = Path(tempfile.mkdtemp(prefix="pg", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
        made = cls(home)
        if made.user:
            entry = pwd.getpwnam(made.user)
            os.chown(home, entry.pw_uid, entry.pw_gid)
        initdb = [program("initdb"), "-D", str(home / "data"), "-U", "trainyard", "-A", "trust", "-E", "UTF8"]
        initdb += ["--locale", "C.UTF-8", "--no-sync"]
        subprocess.run(initdb, check=True, capture_output=True, user=made.user, cwd=home, env={"PATH": "/usr/bin:/bin"})
        return made

    def start(self) -> Cluster:
        options = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
        argv = [program("postgres"), "-D", str(self.home / "data"), "-k", str(self.home), *options]
        with open(self.home / "log", "ab") as log:
            self.process = subprocess.Popen(
                argv, stdout=log, stderr=log, user=self.user, cwd=self.home, env={"PATH": "/usr/bin:/bin"}
            )
        end = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self.dsn("postgres")).close()
                return self
            except psycopg.OperationalError:
                assert self.process.poll() is None and time.monotonic() < end, (self.home / "log").read_text()[-2000:]
                time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: connections are cut, and it ends well. SIGQUIT: as a crash, with recovery at the next start."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(30)
        self.process = None

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def dsn(self, database: str) -> str:
        return f"host={self.home} user=trainyard dbname={database}"

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://trainyard@/{database}?host={self.home}"

    def sql(self, statement: str, database: str = "postgres") -> None:
        with psycopg.connect(self.dsn(database), autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]

    def database(self, template: str = "template1") -> str:
        """A new one; its name."""
        name = f"test{next(self._numbers)}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return name


_cluster: Cluster | None = None


def cluster() -> Cluster:
    """The one of this run, started when it is first asked for; `end` ends it."""
    global _cluster
    if _cluster is None:
        _cluster = Cluster.make()
        _cluster.start()
    return _cluster


def end() -> None:
    global _cluster
    if _cluster is not None:
        _cluster.remove()
        _cluster = None


def drop(url: str) -> None:
    cluster().sql(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")


sqlite_only = pytest.mark.skipif(WANTED, reason="about SQLite itself: its plans, its file")


def environment() -> dict[str, str]:
    """The setting that names a new database; none where SQLite's default will do."""
    return {"TRAINYARD_DATABASE_URL": cluster().url(cluster().database())} if WANTED else {}


def new_url(otherwise: str) -> str:
    """Of an empty database of the kind that this run is about."""
    return cluster().url(cluster().database()) if WANTED else otherwise
