"""The job engine: rows are the queue, a lease says who works on one, a fencing token says whose word still counts.

Every write of a worker carries its token. When the lease lapses another start takes over with the next token, and what
the old one writes late is refused (Fenced). The clock is the database's own.
"""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any, NamedTuple

import msgspec
from sqlalchemy.orm import Session

from modelyard.core import ids
from modelyard.core.errors import Fenced, NotFound
from modelyard.core.settings import Jobs
from modelyard.features.auth.operations import Principal
from modelyard.features.jobs import follow_ups, queries
from modelyard.features.jobs.errors import JobOver
from modelyard.features.jobs.schemas import JobState
from modelyard.features.jobs.tables import JobLineRow, JobMetricRow, JobRecordRow, JobRow
from modelyard.protocol.jobs import (
    TERMINAL,
    Checkpoint,
    EventBatch,
    Failure,
    Finish,
    HeartbeatAnswer,
    JobSpec,
    LogLine,
    MetricPoint,
    Progress,
    Record,
)
from modelyard.storage.db.engine import now as db_now

__all__ = [
    "JobRow", "Start", "any_lapsed", "any_waiting", "claim", "enqueue", "expire", "fail", "finish", "get", "going",
    "renew", "renewal_is_due", "start_next", "stop", "stop_wanted", "take_back_lapsed", "take_events",
]  # fmt: skip

START_GRACE = 3.0
"""A worker that is being started gets so many leases until its first sign of life."""
BACK_OFF = 1.0
LONGEST_LINE = 8000


class Start(NamedTuple):
    """A job that was claimed and is to be started as a worker."""

    job: str
    token: int
    kind: str


def enqueue(session: Session, principal: Principal, *, kind: str, title: str, payload: dict[str, Any]) -> JobRow:
    """A new job at the end of the queue."""
    row = JobRow(
        id=ids.new("job"),
        kind=kind,
        title=title,
        state="queued",
        token=0,
        attempts=0,
        stop_wanted=False,
        sequence=0,
        first_sequence=0,
        phase="waiting",
        fraction=0.0,
        payload=payload,
        **principal.stamp(db_now(session)),
    )
    session.add(row)
    session.flush()
    return row


def get(session: Session, principal: Principal, job_id: str) -> JobRow:
    """A job. Raises NotFound."""
    row = queries.job(session, principal.organisation, job_id)
    if row is None:
        raise NotFound(f"There is no job {job_id!r}. See `modelyard job list`.")
    return row


def stop(session: Session, principal: Principal, job_id: str) -> JobRow:
    """Ask a job to stop.

    A waiting one has stopped at once, a running one within two seconds. Raises JobOver, NotFound.
    """
    get(session, principal, job_id)
    row = _locked(session, job_id)
    if row.state in TERMINAL:
        raise JobOver(f"The job has {row.state} already.")
    row.stop_wanted = True
    if row.state in {"queued", "needs_input"}:
        _end(session, row, "stopped")
    else:
        row.state = "stopping"
    return row


def going(session: Session, job_ids: Collection[str]) -> set[str]:
    """Those of these jobs that have not ended."""
    return queries.going(session, job_ids)


def start_next(session: Session, settings: Jobs) -> Start | None:
    """Claim the next waiting job for a worker that the caller starts; None where none waits or as many run as may."""
    now = db_now(session)
    running = queries.running_by_user(session, now)
    if sum(running.values()) >= settings.at_once:
        return None
    at_their_limit = [user for user, count in running.items() if count >= settings.per_user]
    row = queries.next_queued(session, now, not_of=at_their_limit)
    if row is None:
        return None
    row.state, row.token, row.attempts = "starting", row.token + 1, row.attempts + 1
    row.lease_until = now + timedelta(seconds=settings.lease_seconds * START_GRACE)
    row.phase, row.first_sequence = "starting", row.sequence
    return Start(row.id, row.token, row.kind)


def take_back_lapsed(session: Session, settings: Jobs) -> list[JobRow]:
    """Put the jobs of silent workers back into the queue, or fail those that were started too often."""
    found = list(queries.lapsed(session, db_now(session)))
    for row in found:
        _take_back(session, row, settings)
    return found


def any_lapsed(session: Session) -> bool:
    """Whether a worker fell silent."""
    return queries.any_lapsed(session, db_now(session))


def any_waiting(session: Session) -> bool:
    """Whether a job may start."""
    return queries.any_waiting(session, db_now(session))


def expire(session: Session, job_id: str, token: int) -> None:
    """End the lease of a worker that is known to be dead, so that nobody waits for it to lapse."""
    row = _locked(session, job_id)
    if row.token == token and row.state in queries.HELD:
        row.lease_until = db_now(session) - timedelta(seconds=1)


def claim(session: Session, job_id: str, token: int, settings: Jobs) -> JobSpec:
    """A worker's first word: its job is running now. Raises Fenced."""
    row = _fenced(session, job_id, token)
    now = db_now(session)
    if row.state == "starting":
        row.state = "running"
    row.started_at = row.started_at or now
    row.lease_until = now + timedelta(seconds=settings.lease_seconds)
    return JobSpec(
        id=row.id,
        kind=row.kind,
        token=token,
        lease_seconds=settings.lease_seconds,
        payload=row.payload,
        attempt=row.attempts,
        checkpoint=row.checkpoint,
    )


def stop_wanted(session: Session, job_id: str, token: int) -> HeartbeatAnswer:
    """Whether a worker is to stop its job. Raises Fenced."""
    row = session.get(JobRow, job_id)
    if row is None or row.token != token or row.state not in queries.HELD:
        raise _fence(job_id)
    return HeartbeatAnswer(stop=row.stop_wanted)


def renewal_is_due(session: Session, job_id: str, settings: Jobs) -> bool:
    """Whether a third of the lease has gone: signs of life come far oftener than the row needs writing."""
    row = session.get(JobRow, job_id)
    if row is None or row.lease_until is None:
        return True
    return (row.lease_until - db_now(session)).total_seconds() < settings.lease_seconds * 2 / 3


def renew(session: Session, job_id: str, token: int, settings: Jobs) -> None:
    """Prolong a worker's lease. Raises Fenced."""
    until = db_now(session) + timedelta(seconds=settings.lease_seconds)
    if not queries.renew(session, job_id, token, until):
        raise _fence(job_id)


def take_events(session: Session, job_id: str, batch: EventBatch) -> None:
    """Take in a worker's events, each once: a batch that comes again adds nothing. Raises Fenced."""
    row = _fenced(session, job_id, batch.token)
    # A worker counts from 0, its job goes on from where the worker before it ended.
    for number, event in enumerate(batch.events, start=row.first_sequence + batch.sequence):
        if number < row.sequence:
            continue
        row.sequence = number + 1
        if isinstance(event, Progress):
            row.phase, row.fraction = event.phase, max(row.fraction, min(1.0, event.fraction))
            row.eta_seconds = event.eta_seconds
        elif isinstance(event, LogLine):
            line = event.line[:LONGEST_LINE].replace("\0", "")
            session.add(JobLineRow(job=job_id, sequence=number, at=event.at, stream=event.stream, line=line))
        elif isinstance(event, MetricPoint):
            point = {"name": event.name, "step": event.step, "value": event.value, "at": event.at}
            session.add(JobMetricRow(job=job_id, sequence=number, **point))
        elif isinstance(event, Record):
            record = {"kind": event.kind, "key": event.key, "data": event.data, "at": event.at}
            session.merge(JobRecordRow(job=job_id, sequence=number, **record))
        elif isinstance(event, Checkpoint):
            row.checkpoint = event.data


def finish(session: Session, job_id: str, report: Finish, settings: Jobs) -> JobRow:
    """A worker's last word. A second one for the same end changes nothing. Raises Fenced."""
    row = _locked(session, job_id)
    if row.token == report.token and row.state in TERMINAL:
        return row
    if row.token != report.token or row.state not in queries.HELD:
        raise _fence(job_id)
    if report.outcome == "released":
        row.attempts -= 1  # leaving when asked is not dying
        _take_back(session, row, settings)
        return row
    failure = msgspec.to_builtins(report.failure) if report.failure else None
    _end(session, row, report.outcome, result=report.result or None, failure=failure)
    return row


def fail(session: Session, row: JobRow, failure: Failure) -> None:
    """End a job as failed."""
    _end(session, row, "failed", failure=msgspec.to_builtins(failure))


def _take_back(session: Session, row: JobRow, settings: Jobs) -> None:
    if row.stop_wanted:
        _end(session, row, "stopped")
    elif row.attempts >= settings.attempts:
        times = f"{row.attempts} times" if row.attempts > 1 else "once"
        fail(
            session,
            row,
            Failure(code="worker_died", message=f"The worker died {times}. The last lines of the log may say why."),
        )
    else:
        row.state, row.lease_until, row.phase, row.eta_seconds = "queued", None, "waiting", None
        row.not_before = db_now(session) + timedelta(seconds=BACK_OFF * max(0, row.attempts - 1))


def _end(
    session: Session,
    row: JobRow,
    state: JobState,
    *,
    result: Mapping[str, Any] | None = None,
    failure: Mapping[str, Any] | None = None,
) -> None:
    row.state, row.ended_at, row.lease_until, row.eta_seconds = state, db_now(session), None, None
    row.phase = {"succeeded": "done", "failed": "failed", "stopped": "stopped"}[state]
    if state == "succeeded":
        row.fraction = 1.0
    row.result = dict(result) if result else None
    row.failure = dict(failure) if failure else None
    if (ending := follow_ups.of(row.kind)) is not None:
        ending(session, row)


def _fenced(session: Session, job_id: str, token: int) -> JobRow:
    row = _locked(session, job_id)
    if row.token != token or row.state not in queries.HELD:
        raise _fence(job_id)
    return row


def _locked(session: Session, job_id: str) -> JobRow:
    row = queries.locked(session, job_id)
    if row is None:
        raise NotFound(f"There is no job {job_id!r}.")
    return row


def _fence(job_id: str) -> Fenced:
    return Fenced(f"Another worker holds {job_id} now, or it has ended. Stop, and write nothing more.")
