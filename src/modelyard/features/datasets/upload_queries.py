"""SQL over uploads. Private to this feature. Every query of a user's filters by organisation."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from modelyard.features.datasets.tables import UploadRow
from modelyard.storage.db.paging import Paging, Rows, page


def upload(session: Session, dataset_id: str, upload_id: str, *, lock: bool = False) -> UploadRow | None:
    """An upload of a dataset; with `lock` nobody else changes it until the transaction ends."""
    row = session.get(UploadRow, upload_id, with_for_update=lock, populate_existing=lock)
    return row if row is not None and row.dataset == dataset_id else None


def any_upload(session: Session, upload_id: str) -> UploadRow | None:
    """An upload by its id, locked: for what a job left."""
    return session.get(UploadRow, upload_id, with_for_update=True)


def uploads(session: Session, dataset_id: str, paging: Paging) -> Rows:
    """A dataset's uploads in pages."""
    return page(session, select(UploadRow).where(UploadRow.dataset == dataset_id), UploadRow.id, paging)


def over(session: Session, before: datetime, limit: int) -> Sequence[UploadRow]:
    """Uploads of all organisations whose pieces nobody needs: done, or untouched since `before`."""
    forgotten = and_(UploadRow.state.in_(("receiving", "failed")), UploadRow.touched_at < before)
    statement = select(UploadRow).where(or_(UploadRow.state == "done", forgotten))
    return session.scalars(statement.order_by(UploadRow.id).limit(limit).with_for_update()).all()
