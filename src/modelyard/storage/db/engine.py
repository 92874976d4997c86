"""The database: one engine per process, sessions that are one transaction each.

SQLite in WAL mode by default, PostgreSQL by URL. On SQLite a writing transaction begins IMMEDIATE: two that begin as
readers and both want to write would otherwise end in "database is locked".
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event, make_url, select
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.sql import func

from modelyard.core.errors import ModelyardError, OutOfSpace, Unavailable

READ_ONLY = "modelyard_read_only"
BUSY_SECONDS = 15
BUSY_STEP = 0.01


class Database:
    """An open database. Thread-safe; close it with `dispose`."""

    def __init__(self, url: str, *, pool: int = 10) -> None:
        parsed = make_url(url)
        self.sqlite = parsed.get_backend_name() == "sqlite"
        if self.sqlite:
            if parsed.database and parsed.database != ":memory:":
                Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
            self.engine = create_engine(parsed, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False})
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        else:
            # The driver that is installed, whichever form of the URL was given.
            parsed = parsed.set(drivername="postgresql+psycopg")
            self.engine = create_engine(parsed, pool_pre_ping=True, pool_size=pool, max_overflow=pool)
        self._readers = self.engine.execution_options(**{READ_ONLY: True})

    @contextmanager
    def session(self, *, read_only: bool = False) -> Iterator[Session]:
        """One transaction: committed at the end, rolled back when anything is raised.

        Raises OutOfSpace where the disk is full and Unavailable where the database is away.
        """
        engine = self._readers if read_only else self.engine
        with translated(), Session(engine, expire_on_commit=False) as session, session.begin():
            yield session

    def dispose(self) -> None:
        """Close every connection."""
        self.engine.dispose()


@contextmanager
def translated() -> Iterator[None]:
    """Turns the drivers' ways of saying "full" and "away" into our errors."""
    try:
        yield
    except (OperationalError, DBAPIError) as error:
        known = _translate(error)
        if known is None:
            raise
        raise known from error


def now(session: Session) -> datetime:
    """The database's clock, UTC: the one clock for leases, whichever machine asks."""
    if session.get_bind().dialect.name == "sqlite":
        return datetime.now(UTC)
    moment: datetime = session.scalars(select(func.clock_timestamp())).one()
    return moment.astimezone(UTC)


def _translate(error: DBAPIError) -> ModelyardError | None:
    text = str(error.orig).lower()
    if "disk is full" in text or "no space left" in text or getattr(error.orig, "sqlstate", None) == "53100":
        return OutOfSpace("The database's disk is full. Free some space, then try again.", retry_after=30)
    if "database is locked" in text:
        return Unavailable("The database is busy. Try again.", retry_after=1)
    if error.connection_invalidated or (
        isinstance(error, OperationalError) and not isinstance(error.orig, sqlite3.Error)
    ):
        return Unavailable("The database does not answer. Try again shortly.", retry_after=2)
    return None


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver's own transaction handling is switched off: BEGIN is ours to choose.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")
    _switch_to_wal(cursor)
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _switch_to_wal(cursor: Any) -> None:
    """Of several that open a new file at once one switches; the others are told "locked" without being let wait."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(BUSY_STEP)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    read_only = connection.get_execution_options().get(READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
