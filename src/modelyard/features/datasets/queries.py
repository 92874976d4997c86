"""SQL over datasets. Private to this feature. Every query filters by organisation."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from sqlalchemy import delete, func, or_, select
from sqlalchemy.orm import Session

from modelyard.features.datasets.tables import ChangeRow, DatasetRow, ReleaseRow, RowEditRow, SampleRow, UploadRow
from modelyard.storage.db.paging import Paging, Rows, page


def dataset(session: Session, organisation: str, key: str) -> DatasetRow | None:
    """A dataset by id or by name."""
    wanted = or_(DatasetRow.id == key, DatasetRow.name == key)
    return session.scalars(select(DatasetRow).where(DatasetRow.organisation == organisation, wanted)).first()


def locked(session: Session, dataset_id: str) -> DatasetRow | None:
    """A dataset that nobody else changes until this transaction ends, as it is now."""
    statement = select(DatasetRow).where(DatasetRow.id == dataset_id).with_for_update()
    return session.scalars(statement.execution_options(populate_existing=True)).first()


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


def counts(session: Session, dataset_id: str) -> list[dict[str, int]]:
    """The rows of each purpose, sample by sample."""
    statement = select(SampleRow.counts).where(SampleRow.dataset == dataset_id, SampleRow.state == "ready")
    return list(session.scalars(statement))


def sample(session: Session, dataset_id: str, sample_id: str) -> SampleRow | None:
    """A ready sample of a dataset."""
    row = session.get(SampleRow, sample_id)
    return row if row and row.dataset == dataset_id and row.state == "ready" else None


def samples(session: Session, dataset_id: str, purpose: str | None, paging: Paging) -> Rows:
    """A dataset's ready samples in pages, those with rows of one purpose where one is named."""
    statement = select(SampleRow).where(SampleRow.dataset == dataset_id, SampleRow.state == "ready")
    if purpose is not None:
        statement = statement.where(func.coalesce(SampleRow.counts[purpose].as_integer(), 0) > 0)
    return page(session, statement, SampleRow.id, paging)


def all_samples(session: Session, dataset_id: str) -> Sequence[SampleRow]:
    """A dataset's ready samples, oldest first."""
    statement = select(SampleRow).where(SampleRow.dataset == dataset_id, SampleRow.state == "ready")
    return session.scalars(statement.order_by(SampleRow.id)).all()


def samples_in_any_state(session: Session, dataset_id: str) -> Sequence[SampleRow]:
    """Those that are arriving or were removed too."""
    return session.scalars(select(SampleRow).where(SampleRow.dataset == dataset_id)).all()


def edits(session: Session, samples: Collection[str]) -> Iterator[tuple[str, int, dict[str, Any] | None, bool]]:
    """(sample, row, values, deleted) of what people changed in the rows of samples, in the order of the rows."""
    # Plain tuples: there may be a hundred thousand.
    statement = select(RowEditRow.sample, RowEditRow.row, RowEditRow.values, RowEditRow.deleted)
    found = session.execute(statement.where(RowEditRow.sample.in_(samples)).order_by(RowEditRow.sample, RowEditRow.row))
    return (tuple(row) for row in found)


def edited_samples(session: Session, dataset_id: str) -> set[str]:
    """The samples of a dataset that have edited rows."""
    statement = select(RowEditRow.sample).distinct().join(SampleRow, SampleRow.id == RowEditRow.sample)
    return set(session.scalars(statement.where(SampleRow.dataset == dataset_id)))


def delete_edits(session: Session, samples: Collection[str]) -> None:
    """Forget what was changed in the rows of samples."""
    session.execute(delete(RowEditRow).where(RowEditRow.sample.in_(samples)))


def uploads(session: Session, dataset_id: str) -> Sequence[UploadRow]:
    """The files that are arriving in pieces."""
    return session.scalars(select(UploadRow).where(UploadRow.dataset == dataset_id)).all()


def changes(session: Session, dataset_id: str, paging: Paging) -> Rows:
    """A dataset's history in pages."""
    return page(session, select(ChangeRow).where(ChangeRow.dataset == dataset_id), ChangeRow.id, paging)


def delete_changes(session: Session, dataset_id: str) -> None:
    """Forget a dataset's history, with the dataset."""
    session.execute(delete(ChangeRow).where(ChangeRow.dataset == dataset_id))


def latest_number(session: Session, dataset_id: str, state: str | None = None) -> int | None:
    """The number of the newest release, of those in one state where one is named."""
    statement = select(func.max(ReleaseRow.number)).where(ReleaseRow.dataset == dataset_id)
    return session.scalar(statement if state is None else statement.where(ReleaseRow.state == state))


def release(session: Session, dataset_id: str, number: int) -> ReleaseRow | None:
    """A release by its number."""
    statement = select(ReleaseRow).where(ReleaseRow.dataset == dataset_id, ReleaseRow.number == number)
    return session.scalars(statement).first()


def release_by_id(session: Session, organisation: str, release_id: str) -> ReleaseRow | None:
    """A release by its id."""
    row = session.get(ReleaseRow, release_id)
    return row if row and row.organisation == organisation else None


def release_of_job(session: Session, job_id: str) -> ReleaseRow | None:
    """The release that a job prepares."""
    return session.scalars(select(ReleaseRow).where(ReleaseRow.job == job_id)).first()


def releases(session: Session, dataset_id: str, paging: Paging) -> Rows:
    """A dataset's releases in pages."""
    return page(session, select(ReleaseRow).where(ReleaseRow.dataset == dataset_id), ReleaseRow.id, paging)


def all_releases(session: Session, dataset_id: str) -> Sequence[ReleaseRow]:
    """Every release of a dataset, oldest first."""
    statement = select(ReleaseRow).where(ReleaseRow.dataset == dataset_id).order_by(ReleaseRow.number)
    return session.scalars(statement).all()
