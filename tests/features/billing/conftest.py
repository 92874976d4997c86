"""What the totals say."""

from collections.abc import Callable

import pytest
from sqlalchemy import select

from modelyard.features.billing.tables import UsageTotalRow
from modelyard.storage.db.engine import Database


@pytest.fixture
def counted(database: Database) -> Callable[[], tuple[int, int]]:
    """(requests, rows) of all totals together."""

    def look() -> tuple[int, int]:
        with database.session(read_only=True) as session:
            totals = list(session.scalars(select(UsageTotalRow)))
        return sum(total.requests for total in totals), sum(total.rows for total in totals)

    return look
