"""REST: jobs with their live streams, training tasks, runs."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import PlainTextResponse, StreamingResponse
from sqlalchemy.orm import Session

from modelyard.core.paging import Page
from modelyard.features.auth.dependencies import Reader, Writer
from modelyard.features.training import jobs, operations, queries, schemas, streams
from modelyard.features.training.presenting import job_schema, run_schema
from modelyard.features.training.tables import TaskRow
from modelyard.web.paging import PagingOf
from modelyard.web.requests import StrictRoute
from modelyard.web.session import DbSession, PlatformOf

router = APIRouter(prefix="/api/v1", route_class=StrictRoute)
Order = Literal["oldest", "newest"]


@router.get("/jobs", tags=["jobs"])
def list_jobs(
    caller: Reader, session: DbSession, paging: PagingOf, state: schemas.JobState | None = None, kind: str | None = None
) -> Page[schemas.Job]:
    """Jobs, newest first."""
    found = queries.jobs(session, caller.organisation, state, kind, paging)
    items = [job_schema(session, row) for row in found.rows]
    return Page(items=items, next_cursor=found.next_cursor, total=found.total)


@router.get("/jobs/{job}", tags=["jobs"])
def show_job(job: str, caller: Reader, session: DbSession) -> schemas.Job:
    """One job with its progress."""
    return job_schema(session, jobs.get(session, caller, job))


@router.post("/jobs/{job}/stop", status_code=202, tags=["jobs"])
def stop_job(job: str, caller: Writer, session: DbSession) -> schemas.Job:
    """Ask a job to stop; it has within two seconds."""
    return job_schema(session, jobs.stop(session, caller, job))


@router.get("/jobs/{job}/logs", response_model=Page[schemas.LogLine], tags=["jobs"])
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
        row = jobs.get(session, caller, job)
        if not follow:
            found = queries.lines(session, row.id, after=after, limit=limit, newest_first=order == "newest")
            items = [schemas.LogLine.model_validate(line, from_attributes=True) for line in found]
            return Page(items=items, total=row.sequence)
    after = streams.last_event_id(request, after)
    return StreamingResponse(streams.follow_log(request, platform, row.id, after), media_type=streams.MEDIA_TYPE)


@router.get("/jobs/{job}/log.txt", response_class=PlainTextResponse, tags=["jobs"])
def log_text(job: str, caller: Reader, session: DbSession) -> str:
    """The whole log as text."""
    row = jobs.get(session, caller, job)
    found = queries.lines(session, row.id, after=-1, limit=100_000, newest_first=False)
    return "".join(f"{line.line}\n" for line in found)


@router.get("/jobs/{job}/events", response_class=StreamingResponse, tags=["jobs"])
def events(job: str, request: Request, caller: Reader, platform: PlatformOf) -> StreamingResponse:
    """A job's state and progress as server-sent events, until it has ended."""
    with platform.database.session(read_only=True) as session:
        row = jobs.get(session, caller, job)

    def show(session: Session) -> schemas.Job:
        return job_schema(session, jobs.get(session, caller, row.id))

    return StreamingResponse(streams.follow_job(request, platform, show), media_type=streams.MEDIA_TYPE)


@router.get("/jobs/{job}/metrics", tags=["jobs"])
def metrics(
    job: str,
    caller: Reader,
    session: DbSession,
    after: Annotated[int, Query(ge=-1)] = -1,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
) -> Page[schemas.MetricPoint]:
    """The history of a job's metrics."""
    row = jobs.get(session, caller, job)
    found = queries.metrics(session, row.id, after=after, limit=limit)
    return Page(
        items=[schemas.MetricPoint.model_validate(point, from_attributes=True) for point in found], total=len(found)
    )


@router.post("/training-tasks", status_code=201, tags=["training"])
def create_task(body: schemas.TaskCreate, caller: Writer, session: DbSession, platform: PlatformOf) -> schemas.Task:
    """Bind an algorithm and its parameters to a release."""
    return _task(operations.create_task(session, caller, body, platform.clock.now()))


@router.get("/training-tasks", tags=["training"])
def list_tasks(caller: Reader, session: DbSession, paging: PagingOf) -> Page[schemas.Task]:
    """Training tasks, newest first."""
    found = operations.list_tasks(session, caller, paging)
    return Page(items=[_task(row) for row in found.rows], next_cursor=found.next_cursor, total=found.total)


@router.get("/training-tasks/{task}", tags=["training"])
def show_task(task: str, caller: Reader, session: DbSession) -> schemas.Task:
    """One training task."""
    return _task(operations.get_task(session, caller, task))


@router.post("/training-tasks/{task}/start", status_code=202, tags=["training"])
def start_task(task: str, caller: Writer, session: DbSession, platform: PlatformOf) -> schemas.Run:
    """Run a task; refused while it runs."""
    return run_schema(session, operations.start_task(session, caller, task, platform.clock.now()))


@router.get("/training-tasks/{task}/runs", tags=["training"])
def list_task_runs(task: str, caller: Reader, session: DbSession, paging: PagingOf) -> Page[schemas.Run]:
    """The runs of a task, newest first."""
    return list_runs(caller, session, paging, task=operations.get_task(session, caller, task).id)


@router.get("/runs", tags=["training"])
def list_runs(
    caller: Reader,
    session: DbSession,
    paging: PagingOf,
    task: str | None = None,
    kind: Literal["training", "build"] | None = None,
) -> Page[schemas.Run]:
    """Runs of tasks and builds, newest first."""
    found = operations.list_runs(session, caller, task, kind, paging)
    items = [run_schema(session, operations.get_run(session, caller, row.id)) for row in found.rows]
    return Page(items=items, next_cursor=found.next_cursor, total=found.total)


@router.get("/runs/{run}", tags=["training"])
def show_run(run: str, caller: Reader, session: DbSession) -> schemas.Run:
    """One run."""
    return run_schema(session, operations.get_run(session, caller, run))


@router.get("/runs/{run}/metrics", tags=["training"])
def run_metrics(run: str, caller: Reader, session: DbSession) -> Page[schemas.MetricPoint]:
    """The history of a run's metrics."""
    return metrics(operations.get_run(session, caller, run).job.id, caller, session)


def _task(row: TaskRow) -> schemas.Task:
    return schemas.Task.model_validate(row, from_attributes=True)
