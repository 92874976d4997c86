"""SQL over datasets. Private to this feature. Every query filters by organisation."""

from collections.abc import Sequence

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from modelyard.features.datasets.tables import DatasetRow, ReleaseRow, SampleRow
from modelyard.storage.db.paging import Paging, Rows, page


def dataset(session: Session, organisation: str, key: str) -> DatasetRow | None:
    """A dataset by id or by name."""
    wanted = or_(DatasetRow.id == key, DatasetRow.name == key)
    return session.scalars(select(DatasetRow).where(DatasetRow.organisation == organisation, wanted)).first()


def datasets(session: Session, organisation: str, scenario: str | None, paging: Paging) -> Rows:
    """The organisation's datasets."""
    statement = select(DatasetRow).where(DatasetRow.organisation == organisation)
    if scenario is not None:
        statement = statement.where(DatasetRow.scenario == scenario)
    return page(session, statement, DatasetRow.id, paging)


def sums(session: Session, dataset_id: str) -> tuple[int, int, int]:
    """(samples, rows, bytes) of a dataset."""
    statement = select(
        func.count(), func.coalesce(func.sum(SampleRow.rows), 0), func.coalesce(func.sum(SampleRow.size), 0)
    )
    count, rows, size = session.execute(
        statement.where(SampleRow.dataset == dataset_id, SampleRow.state == "ready")
    ).one()
    return int(count), int(rows), int(size)


def sample(session: Session, dataset_id: str, sample_id: str) -> SampleRow | None:
    """A ready sample of a dataset."""
    row = session.get(SampleRow, sample_id)
    return row if row and row.dataset == dataset_id and row.state == "ready" else None


def samples(session: Session, dataset_id: str, paging: Paging) -> Rows:
    """A dataset's ready samples in pages."""
    statement = select(SampleRow).where(SampleRow.dataset == dataset_id, SampleRow.state == "ready")
    return page(session, statement, SampleRow.id, paging)


def all_samples(session: Session, dataset_id: str) -> Sequence[SampleRow]:
    """A dataset's ready samples, oldest first."""
    statement = select(SampleRow).where(SampleRow.dataset == dataset_id, SampleRow.state == "ready")
    return session.scalars(statement.order_by(SampleRow.id)).all()


def latest_number(session: Session, dataset_id: str) -> int | None:
    """The number of the newest release."""
    return session.scalar(select(func.max(ReleaseRow.number)).where(ReleaseRow.dataset == dataset_id))


def release(session: Session, dataset_id: str, number: int) -> ReleaseRow | None:
    """A release by its number."""
    statement = select(ReleaseRow).where(ReleaseRow.dataset == dataset_id, ReleaseRow.number == number)
    return session.scalars(statement).first()


def release_by_id(session: Session, organisation: str, release_id: str) -> ReleaseRow | None:
    """A release by its id."""
    row = session.get(ReleaseRow, release_id)
    return row if row and row.organisation == organisation else None


def releases(session: Session, dataset_id: str, paging: Paging) -> Rows:
    """A dataset's releases in pages."""
    return page(session, select(ReleaseRow).where(ReleaseRow.dataset == dataset_id), ReleaseRow.id, paging)


def all_releases(session: Session, dataset_id: str) -> Sequence[ReleaseRow]:
    """Every release of a dataset."""
    return session.scalars(select(ReleaseRow).where(ReleaseRow.dataset == dataset_id)).all()
