"""Databases, toy trainers and a fake clock for the tests of the core."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.services.store.database import Database
from tests.unit.toys import Clock, Template, ToyEngine, World

MEMORY = Path("/dev/shm")


@pytest.fixture(scope="session")
def template() -> Iterator[Template]:
    """In memory where there is such a place: these tests ask nothing of a disk."""
    where = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=where) as directory:
        yield Template(Path(directory))


@pytest.fixture
def db(template: Template) -> Iterator[Database]:
    database = template.copy()
    yield database
    template.discard(database)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def toy() -> ToyEngine:
    return ToyEngine()


@pytest.fixture
def world(tmp_path: Path, db: Database, clock: Clock) -> World:
    return World(tmp_path, db, clock)
