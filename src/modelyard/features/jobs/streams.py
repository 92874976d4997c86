"""Live streams of jobs as server-sent events (HTML standard, section 9.2).

Each look is a short transaction of its own.
"""

from collections.abc import AsyncIterator, Callable, Sequence

import anyio
from anyio import to_thread
from fastapi import Request
from sqlalchemy.orm import Session

from modelyard.features.jobs import queries
from modelyard.features.jobs.presenting import point_schema
from modelyard.features.jobs.schemas import ENDED, Job, LogLine, MetricPoint
from modelyard.features.jobs.tables import JobRow
from modelyard.web.lasting import over
from modelyard.web.platform import Platform

MEDIA_TYPE = "text/event-stream"
LOOK_EVERY = 0.25
KEEP_ALIVE_EVERY = 60  # looks
BATCH = 1000


def last_event_id(request: Request, after: int) -> int:
    """Where a client that reconnects was: its `Last-Event-ID`, else `after`."""
    sent = request.headers.get("last-event-id", "")
    return int(sent) if sent.isdigit() else after


async def follow_log(request: Request, platform: Platform, job_id: str, after: int) -> AsyncIterator[str]:
    """Each line after number `after` as an event `line`, then `end` with the job's state."""

    def lines(session: Session, after: int) -> list[LogLine]:
        found = queries.lines(session, job_id, after=after, limit=BATCH, newest_first=False)
        return [LogLine.model_validate(line, from_attributes=True) for line in found]

    async for event in _follow(request, platform, job_id, after, "line", lines):
        yield event


async def follow_metrics(
    request: Request, platform: Platform, job_id: str, after: int, *, name: str | None = None, prefix: str = ""
) -> AsyncIterator[str]:
    """Each point after number `after` as an event `point`, then `end` with the job's state.

    Points of the metric `name`, or of all whose names begin with `prefix`; they are told without it.
    """

    def points(session: Session, after: int) -> list[MetricPoint]:
        found = queries.metrics(session, job_id, after=after, limit=BATCH, name=name, prefix=prefix)
        return [point_schema(point, prefix) for point in found]

    async for event in _follow(request, platform, job_id, after, "point", points):
        yield event


async def _follow(
    request: Request,
    platform: Platform,
    job_id: str,
    after: int,
    event: str,
    read: Callable[[Session, int], Sequence[LogLine] | Sequence[MetricPoint]],
) -> AsyncIterator[str]:
    def look(after: int) -> tuple[Sequence[LogLine] | Sequence[MetricPoint], str]:
        with platform.database.session(read_only=True) as session:
            # The state is read first: what comes later than the end would be lost otherwise.
            state = session.get_one(JobRow, job_id).state
            return read(session, after), state

    quiet = 0
    while not await over(request):
        found, state = await to_thread.run_sync(look, after)
        for item in found:
            after = item.sequence
            yield _event(event, item.model_dump_json(), item.sequence)
        if state in ENDED and len(found) < BATCH:
            yield _event("end", f'{{"state":"{state}"}}')
            return
        quiet = 0 if found else quiet + 1
        if quiet % KEEP_ALIVE_EVERY == KEEP_ALIVE_EVERY - 1:
            yield ": still here\n\n"
        if not found:
            await anyio.sleep(LOOK_EVERY)


async def follow_job(request: Request, platform: Platform, show: Callable[[Session], Job]) -> AsyncIterator[str]:
    """The job as an event `job` whenever it changes, until it has ended."""

    def look() -> Job:
        with platform.database.session(read_only=True) as session:
            return show(session)

    last, quiet = "", 0
    while not await over(request):
        job = await to_thread.run_sync(look)
        now = job.model_dump_json()
        if now != last:
            yield _event("job", now)
        if job.state in ENDED:
            return
        quiet = 0 if now != last else quiet + 1
        last = now
        if quiet % KEEP_ALIVE_EVERY == KEEP_ALIVE_EVERY - 1:
            yield ": still here\n\n"
        await anyio.sleep(LOOK_EVERY)


def _event(name: str, data: str, number: int | None = None) -> str:
    head = f"id: {number}\n" if number is not None else ""
    return f"{head}event: {name}\ndata: {data}\n\n"
