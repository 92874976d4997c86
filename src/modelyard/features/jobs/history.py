"""What is kept of a job besides its state: for the features that show it in words of their own, and that let it go."""

from collections.abc import Collection, Sequence

from sqlalchemy import delete
from sqlalchemy.orm import Session

from modelyard.features.jobs import queries
from modelyard.features.jobs.presenting import point_schema
from modelyard.features.jobs.schemas import JobRecord, MetricPoint
from modelyard.features.jobs.tables import JobLineRow, JobMetricRow, JobRecordRow, JobRow

MOST_POINTS = 100_000


def points(session: Session, job_id: str, *, prefix: str = "", limit: int = MOST_POINTS) -> list[MetricPoint]:
    """The first `limit` points of the metrics whose names begin with `prefix`, told without it."""
    found = queries.metrics(session, job_id, after=-1, limit=limit, prefix=prefix)
    return [point_schema(point, prefix) for point in found]


def records(session: Session, job_id: str, kind: str) -> list[JobRecord]:
    """What a job found on its way, of one kind, in the order of finding."""
    found = queries.records(session, job_id, kind)
    return [JobRecord.model_validate(record, from_attributes=True) for record in found]


def rows(session: Session, job_ids: Collection[str]) -> dict[str, JobRow]:
    """These jobs by their ids."""
    return queries.jobs_by_id(session, job_ids)


def forget(session: Session, jobs: Sequence[JobRow]) -> None:
    """Delete jobs that have ended, with all that is kept of them. Nothing may refer to them any more."""
    ids = [job.id for job in jobs]
    for table in (JobLineRow, JobMetricRow, JobRecordRow):
        session.execute(delete(table).where(table.job.in_(ids)))
    for job in jobs:
        session.delete(job)
    session.flush()
