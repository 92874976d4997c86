"""Brings the database to the newest schema at start, under a lock, so that processes that start together do it once."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from modelyard.core.errors import Broken
from modelyard.storage.db.engine import Database, translated

MIGRATIONS = Path(__file__).parent / "migrations"
LOOK_EVERY = 0.05
ADVISORY_LOCK = 0x6D6F6465  # "mode"


def newest() -> str:
    """The newest revision there is: files are called `<revision>_<words>.py`, in order."""
    return max(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def current(database: Database) -> str | None:
    """The revision that the database is at, None where it is empty."""
    with translated(), database.engine.connect() as connection:
        return _current(connection)


def migrate(database: Database, *, after: float = 0.0) -> None:
    """Apply what is missing, having left it to another process for `after` seconds.

    Raises Broken where the database is of a newer release than this one.
    """
    at = current(database)
    until = time.monotonic() + after
    while at != newest() and time.monotonic() < until:
        time.sleep(LOOK_EVERY)
        at = current(database)
    if at == newest():
        return
    if at is not None and at > newest():
        raise Broken(
            f"The database is at revision {at}, this release knows {newest()}. Install the newer release again."
        )
    # Alembic is slow to import and most starts do not need it.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with _locked(database) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@contextmanager
def _locked(database: Database) -> Iterator[Connection]:
    if not database.sqlite:
        with database.engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": ADVISORY_LOCK})
            yield connection
        return
    path = Path(f"{database.engine.url.database}.migrating")
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with database.engine.begin() as connection:
            yield connection


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
