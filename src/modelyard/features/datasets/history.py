"""A dataset's history: who changed what, when. Kept in the transaction that makes the change."""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from modelyard.core import ids
from modelyard.features.datasets import queries
from modelyard.features.datasets.tables import ChangeRow, DatasetRow
from modelyard.storage.db.paging import Paging, Rows


def record_change(
    session: Session, dataset: DatasetRow, user: str, action: str, detail: dict[str, Any], now: datetime
) -> ChangeRow:
    """Add an entry for a change of what a release would hold: it raises the dataset's revision."""
    dataset.revision += 1
    return record_event(session, dataset, user, action, detail, now)


def record_event(
    session: Session, dataset: DatasetRow, user: str, action: str, detail: dict[str, Any], now: datetime
) -> ChangeRow:
    """Add an entry for something that changes no data, such as a release."""
    row = ChangeRow(
        id=ids.new("chg"),
        dataset=dataset.id,
        action=action,
        detail={**detail, "revision": dataset.revision},
        organisation=dataset.organisation,
        created_by=user,
        created_at=now,
    )
    session.add(row)
    session.flush()
    return row


def changes(session: Session, dataset: DatasetRow, paging: Paging) -> Rows:
    """The entries of a dataset's history, newest first."""
    return queries.changes(session, dataset.id, paging)
