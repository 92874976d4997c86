"""SQL over batch predictions. Private to this feature."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import exists, false, or_, select
from sqlalchemy.orm import Session

from modelyard.features.predictions.tables import BatchRow, PredictionFileRow
from modelyard.storage.db.paging import Paging, Rows, page


def batch(session: Session, organisation: str, batch_id: str) -> BatchRow | None:
    """A batch prediction by id."""
    row = session.get(BatchRow, batch_id)
    return row if row and row.organisation == organisation else None


def batches(session: Session, organisation: str, visible: Sequence[str] | None, paging: Paging) -> Rows:
    """Batch predictions, newest first; by models below the `visible` prefixes only where these are given."""
    statement = select(BatchRow).where(BatchRow.organisation == organisation)
    if visible is not None:
        own = (or_(BatchRow.prefix == one, BatchRow.prefix.startswith(f"{one}/", autoescape=True)) for one in visible)
        statement = statement.where(or_(false(), *own))
    return page(session, statement, BatchRow.id, paging)


def batch_of_job(session: Session, job_id: str) -> BatchRow | None:
    """The batch prediction that a job does."""
    return session.scalars(select(BatchRow).where(BatchRow.job == job_id)).first()


def of_release(session: Session, release_id: str) -> Sequence[BatchRow]:
    """The batch predictions of a release's rows."""
    return session.scalars(select(BatchRow).where(BatchRow.release == release_id).order_by(BatchRow.id)).all()


def file(session: Session, organisation: str, file_id: str) -> PredictionFileRow | None:
    """An uploaded file by id."""
    row = session.get(PredictionFileRow, file_id)
    return row if row and row.organisation == organisation else None


def users_of_file(session: Session, file_id: str, but: str) -> bool:
    """Whether another batch prediction than `but` has this file."""
    return bool(session.scalar(select(exists().where(BatchRow.file == file_id, BatchRow.id != but))))


def unused_files(session: Session, before: datetime) -> Sequence[PredictionFileRow]:
    """Files that came before then and that no batch prediction has."""
    used = exists().where(BatchRow.file == PredictionFileRow.id)
    query = select(PredictionFileRow).where(PredictionFileRow.created_at < before, ~used)
    return session.scalars(query).all()
