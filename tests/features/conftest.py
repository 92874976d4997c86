"""The control plane's rows in a real database: SQLite and PostgreSQL alike."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy.orm import Session

from modelyard.features.auth import operations as auth
from modelyard.features.auth.permissions import Principal
from modelyard.features.auth.tables import UserRow
from modelyard.storage.db.engine import Database
from modelyard.storage.db.migrate import migrate

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url, pool=5)
    migrate(opened)
    yield opened
    opened.dispose()


@pytest.fixture
def administrator(database: Database) -> Principal:
    with database.session() as session:
        auth.set_up(session, NOW)
        user = session.query(UserRow).one()
        return Principal(user=user.id, username=user.username, organisation=user.organisation, role=user.role)


@pytest.fixture
def session(database: Database) -> Iterator[Session]:
    with database.session() as opened:
        yield opened
