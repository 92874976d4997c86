"""SQL over jobs, tasks and runs. Private to this feature."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import cast

from sqlalchemy import CursorResult, and_, func, or_, select, update
from sqlalchemy.orm import Session

from modelyard.features.training.tables import JobLineRow, JobMetricRow, JobRow, RunRow, TaskRow
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


def metrics(session: Session, job_id: str, *, after: int, limit: int) -> Sequence[JobMetricRow]:
    """Points of metric histories whose number is greater than `after`."""
    query = select(JobMetricRow).where(JobMetricRow.job == job_id, JobMetricRow.sequence > after)
    return session.scalars(query.order_by(JobMetricRow.sequence).limit(limit)).all()


def task(session: Session, organisation: str, task_id: str) -> TaskRow | None:
    """A task by id."""
    row = session.get(TaskRow, task_id)
    return row if row and row.organisation == organisation else None


def tasks(session: Session, organisation: str, paging: Paging) -> Rows:
    """Tasks, newest first."""
    return page(session, select(TaskRow).where(TaskRow.organisation == organisation), TaskRow.id, paging)


def run(session: Session, organisation: str, run_id: str) -> RunRow | None:
    """A run by its own id or its job's."""
    wanted = or_(RunRow.id == run_id, RunRow.job == run_id)
    return session.scalars(select(RunRow).where(RunRow.organisation == organisation, wanted)).first()


def run_of_job(session: Session, job_id: str) -> RunRow | None:
    """The run that a job executes."""
    return session.scalars(select(RunRow).where(RunRow.job == job_id)).first()


def runs(session: Session, organisation: str, task_id: str | None, kind: str | None, paging: Paging) -> Rows:
    """Runs, newest first."""
    statement = select(RunRow).where(RunRow.organisation == organisation)
    if task_id is not None:
        statement = statement.where(RunRow.task == task_id)
    if kind is not None:
        statement = statement.where(RunRow.kind == kind)
    return page(session, statement, RunRow.id, paging)


def active_run(session: Session, task_id: str) -> RunRow | None:
    """The run of a task that has not ended."""
    going = JobRow.state.in_(("queued", "needs_input", *HELD))
    return session.scalars(
        select(RunRow).join(JobRow, JobRow.id == RunRow.job).where(RunRow.task == task_id, going)
    ).first()
