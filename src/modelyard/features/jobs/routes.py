"""REST: jobs with their live streams."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import PlainTextResponse, StreamingResponse
from sqlalchemy.orm import Session

from modelyard.core.paging import Page
from modelyard.features.auth.dependencies import Reader, Writer
from modelyard.features.auth.operations import Principal
from modelyard.features.jobs import operations, queries, schemas, streams
from modelyard.features.jobs.presenting import job_schema, point_schema
from modelyard.web.paging import PagingOf
from modelyard.web.platform import Platform
from modelyard.web.requests import StrictRoute
from modelyard.web.session import DbSession, PlatformOf

router = APIRouter(prefix="/api/v1", tags=["jobs"], route_class=StrictRoute)
Order = Literal["oldest", "newest"]


@router.get("/jobs")
def list_jobs(
    caller: Reader, session: DbSession, paging: PagingOf, state: schemas.JobState | None = None, kind: str | None = None
) -> Page[schemas.Job]:
    """Jobs, newest first."""
    found = queries.jobs(session, caller.organisation, state, kind, paging)
    items = [job_schema(session, row) for row in found.rows]
    return Page(items=items, next_cursor=found.next_cursor, total=found.total)


@router.get("/jobs/{job}")
def show_job(job: str, caller: Reader, session: DbSession) -> schemas.Job:
    """One job with its progress."""
    return job_schema(session, operations.get(session, caller, job))


@router.post("/jobs/{job}/stop", status_code=202)
def stop_job(job: str, caller: Writer, session: DbSession) -> schemas.Job:
    """Ask a job to stop; it has within two seconds."""
    return job_schema(session, operations.stop(session, caller, job))


@router.get("/jobs/{job}/logs", response_model=Page[schemas.LogLine])
def logs(
    job: str,
    request: Request,
    caller: Reader,
    platform: PlatformOf,
    follow: bool = False,
    after: Annotated[int, Query(ge=-1)] = -1,
    limit: Annotated[int, Query(ge=1, le=5000)] = 500,
    order: Order = "oldest",
) -> Any:
    """The log, in pages after a line's number, or as a stream of server-sent events with `follow`."""
    with platform.database.session(read_only=True) as session:
        row = operations.get(session, caller, job)
        if not follow:
            found = queries.lines(session, row.id, after=after, limit=limit, newest_first=order == "newest")
            items = [schemas.LogLine.model_validate(line, from_attributes=True) for line in found]
            return Page(items=items, total=row.sequence)
    after = streams.last_event_id(request, after)
    return StreamingResponse(streams.follow_log(request, platform, row.id, after), media_type=streams.MEDIA_TYPE)


@router.get("/jobs/{job}/log.txt", response_class=PlainTextResponse)
def log_text(job: str, caller: Reader, session: DbSession) -> str:
    """The whole log as text."""
    row = operations.get(session, caller, job)
    found = queries.lines(session, row.id, after=-1, limit=100_000, newest_first=False)
    return "".join(f"{line.line}\n" for line in found)


@router.get("/jobs/{job}/events", response_class=StreamingResponse)
def events(job: str, request: Request, caller: Reader, platform: PlatformOf) -> StreamingResponse:
    """A job's state and progress as server-sent events, until it has ended."""
    with platform.database.session(read_only=True) as session:
        row = operations.get(session, caller, job)

    def show(session: Session) -> schemas.Job:
        return job_schema(session, operations.get(session, caller, row.id))

    return StreamingResponse(streams.follow_job(request, platform, show), media_type=streams.MEDIA_TYPE)


@router.get("/jobs/{job}/metrics", response_model=Page[schemas.MetricPoint])
def metrics(
    job: str,
    request: Request,
    caller: Reader,
    platform: PlatformOf,
    name: str | None = None,
    follow: bool = False,
    after: Annotated[int, Query(ge=-1)] = -1,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
) -> Any:
    """The history of a job's metrics, or of one of them; as a stream of server-sent events with `follow`."""
    return metrics_of(request, caller, platform, job, name=name, follow=follow, after=after, limit=limit)


def metrics_of(
    request: Request,
    caller: Principal,
    platform: Platform,
    job: str,
    *,
    name: str | None,
    follow: bool,
    after: int,
    limit: int,
    prefix: str = "",
) -> Page[schemas.MetricPoint] | StreamingResponse:
    """The same for what is a part of a job: metrics whose names begin with `prefix`, which they are told without."""
    with platform.database.session(read_only=True) as session:
        row = operations.get(session, caller, job)
        if not follow:
            found = queries.metrics(session, row.id, after=after, limit=limit, name=name, prefix=prefix)
            return Page(items=[point_schema(point, prefix) for point in found], total=len(found))
    after = streams.last_event_id(request, after)
    events = streams.follow_metrics(request, platform, row.id, after, name=name, prefix=prefix)
    return StreamingResponse(events, media_type=streams.MEDIA_TYPE)


@router.get("/jobs/{job}/records")
def records(job: str, kind: str, caller: Reader, session: DbSession) -> Page[schemas.JobRecord]:
    """What a job found on its way, of one kind, such as the trials of a search."""
    found = queries.records(session, operations.get(session, caller, job).id, kind)
    items = [schemas.JobRecord.model_validate(record, from_attributes=True) for record in found]
    return Page(items=items, total=len(items))
