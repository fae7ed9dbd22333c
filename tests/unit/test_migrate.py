"""Whether a start must migrate is told without Alembic; this holds the two to each other."""

from __future__ import annotations

import subprocess
import sys

from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import text

from api.services.store.database import Database
from api.services.store.migrate import MIGRATIONS, NEWEST, is_current


def test_the_newest_file_is_alembics_head() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [NEWEST]


def test_what_is_current(db: Database) -> None:
    with db.write() as connection:
        assert is_current(connection)
        connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
        assert not is_current(connection)
        connection.execute(text("DROP TABLE alembic_version"))
        assert not is_current(connection)


def test_a_start_without_anything_to_do_imports_no_alembic() -> None:
    told = subprocess.run(
        [sys.executable, "-c", "import api.app, api.web, sys; print('alembic' in sys.modules)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stdout == "False\n"
