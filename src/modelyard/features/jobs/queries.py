"""SQL over jobs. Private to this feature."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import cast

from sqlalchemy import CursorResult, and_, func, or_, select, update
from sqlalchemy.orm import Session

from modelyard.features.jobs.tables import JobLineRow, JobMetricRow, JobRecordRow, JobRow
from modelyard.storage.db.paging import Paging, Rows, page

HELD = ("starting", "running", "stopping")


def job(session: Session, organisation: str, job_id: str) -> JobRow | None:
    """A job by id."""
    row = session.get(JobRow, job_id)
    return row if row and row.organisation == organisation else None


def jobs(session: Session, organisation: str, state: str | None, kind: str | None, paging: Paging) -> Rows:
    """Jobs, newest first."""
    statement = select(JobRow).where(JobRow.organisation == organisation)
    if state is not None:
        statement = statement.where(JobRow.state == state)
    if kind is not None:
        statement = statement.where(JobRow.kind == kind)
    return page(session, statement, JobRow.id, paging)


def place(session: Session, row: JobRow) -> int | None:
    """A waiting job's place in the queue."""
    if row.state != "queued":
        return None
    ahead = select(func.count()).where(JobRow.state == "queued", JobRow.id < row.id)
    return int(session.scalar(ahead) or 0) + 1


def running_by_user(session: Session, now: datetime) -> dict[str, int]:
    """How many jobs of each user hold a living lease."""
    living = (JobRow.state.in_(HELD), JobRow.lease_until >= now)
    query = select(JobRow.created_by, func.count()).where(*living).group_by(JobRow.created_by)
    return {user: int(count) for user, count in session.execute(query)}


def lapsed(session: Session, now: datetime) -> Sequence[JobRow]:
    """Jobs whose worker fell silent."""
    query = select(JobRow).where(JobRow.state.in_(HELD), JobRow.lease_until < now).order_by(JobRow.id)
    return session.scalars(query.with_for_update(skip_locked=True)).all()


def next_queued(session: Session, now: datetime, *, not_of: Collection[str]) -> JobRow | None:
    """The oldest job that may start and belongs to none of these users."""
    ready = or_(JobRow.not_before.is_(None), JobRow.not_before <= now)
    wanted = (JobRow.state == "queued", ready, JobRow.created_by.not_in(not_of))
    query = select(JobRow).where(*wanted).order_by(JobRow.id).limit(1)
    return session.scalars(query.with_for_update(skip_locked=True)).first()


def any_lapsed(session: Session, now: datetime) -> bool:
    """Whether some lease has lapsed."""
    return (
        session.scalar(select(JobRow.id).where(JobRow.state.in_(HELD), JobRow.lease_until < now).limit(1)) is not None
    )


def any_waiting(session: Session, now: datetime) -> bool:
    """Whether some queued job may start."""
    ready = or_(JobRow.not_before.is_(None), JobRow.not_before <= now)
    return session.scalar(select(JobRow.id).where(JobRow.state == "queued", ready).limit(1)) is not None


def renew(session: Session, job_id: str, token: int, until: datetime) -> bool:
    """Prolong a lease; False where somebody else has it."""
    fence = and_(JobRow.id == job_id, JobRow.token == token, JobRow.state.in_(HELD))
    result = cast("CursorResult[None]", session.execute(update(JobRow).where(fence).values(lease_until=until)))
    return result.rowcount == 1


def locked(session: Session, job_id: str) -> JobRow | None:
    """A job, locked against other writers until the transaction ends."""
    return session.scalars(select(JobRow).where(JobRow.id == job_id).with_for_update()).first()


def lines(session: Session, job_id: str, *, after: int, limit: int, newest_first: bool) -> Sequence[JobLineRow]:
    """Lines of a log whose number is greater than `after`."""
    query = select(JobLineRow).where(JobLineRow.job == job_id, JobLineRow.sequence > after).limit(limit)
    order = JobLineRow.sequence.desc() if newest_first else JobLineRow.sequence
    return session.scalars(query.order_by(order)).all()


def metrics(
    session: Session, job_id: str, *, after: int, limit: int, name: str | None = None, prefix: str = ""
) -> Sequence[JobMetricRow]:
    """Points of metric histories whose number is greater than `after`: of one metric, or of names that begin so."""
    query = select(JobMetricRow).where(JobMetricRow.job == job_id, JobMetricRow.sequence > after)
    if name is not None:
        query = query.where(JobMetricRow.name == prefix + name)
    elif prefix:
        query = query.where(JobMetricRow.name.startswith(prefix, autoescape=True))
    return session.scalars(query.order_by(JobMetricRow.sequence).limit(limit)).all()


def records(session: Session, job_id: str, kind: str) -> Sequence[JobRecordRow]:
    """What a job found of this kind, in the order of finding."""
    query = select(JobRecordRow).where(JobRecordRow.job == job_id, JobRecordRow.kind == kind)
    return session.scalars(query.order_by(JobRecordRow.sequence)).all()


def jobs_by_id(session: Session, job_ids: Collection[str]) -> dict[str, JobRow]:
    """These jobs by their ids."""
    found = session.scalars(select(JobRow).where(JobRow.id.in_(job_ids)))
    return {row.id: row for row in found}


def going(session: Session, job_ids: Collection[str]) -> set[str]:
    """Those of these jobs that have not ended."""
    query = select(JobRow.id).where(JobRow.id.in_(job_ids), JobRow.state.in_(("queued", "needs_input", *HELD)))
    return set(session.scalars(query))
