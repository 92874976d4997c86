"""REST: runs, their trials, histories, files and comparisons. Mounted by `routes.py`."""

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from modelyard.core.errors import Conflict
from modelyard.core.paging import Page
from modelyard.features.auth.dependencies import Reader, Writer
from modelyard.features.jobs import routes as jobs
from modelyard.features.jobs.schemas import LogLine, MetricPoint
from modelyard.features.models.schemas import File
from modelyard.features.training import comparing, exporting, mlflow, operations, schemas, trials
from modelyard.features.training.presenting import run_schema, run_schemas
from modelyard.web.paging import PagingOf
from modelyard.web.requests import StrictRoute
from modelyard.web.session import DbSession, PlatformOf

router = APIRouter(tags=["training"], route_class=StrictRoute)


@router.get("/runs")
def list_runs(
    caller: Reader,
    session: DbSession,
    paging: PagingOf,
    task: str | None = None,
    kind: schemas.RowKind | None = None,
    state: schemas.RunState | None = None,
    model: str | None = None,
    parent: str | None = None,
) -> Page[schemas.Run]:
    """Runs of tasks and builds, newest first; with `parent` the trials of a run that searches."""
    if parent is not None:
        return _trials(trials.of(session, caller, parent), session, paging, state)
    found = operations.list_runs(session, caller, task, kind, paging, state=state, model=model)
    return Page(items=run_schemas(session, found.rows), next_cursor=found.next_cursor, total=found.total)


@router.get("/runs/compare")
def compare_runs(
    caller: Reader,
    session: DbSession,
    run: Annotated[list[str], Query(min_length=2, description="A run or a trial; given two to ten times.")],
) -> schemas.Comparison:
    """Runs side by side: parameters that differ, metrics with their intervals, curves on the same steps."""
    return comparing.compare(session, caller, run)


@router.get("/runs/{run}")
def show_run(run: str, caller: Reader, session: DbSession) -> schemas.Run:
    """One run, or a trial of one."""
    return run_schema(session, trials.find(session, caller, run))


@router.delete("/runs/{run}", status_code=204)
def delete_run(run: str, caller: Writer, platform: PlatformOf) -> None:
    """Delete a run with its log and metrics; refused while it runs, and while its version is there."""
    with platform.database.session() as session:
        if isinstance(found := trials.find(session, caller, run), trials.Trial):
            raise Conflict(f"A trial goes with its run. Delete that: {found.parent.run.id}.")
        output = operations.delete_run(session, caller, run)
    platform.objects.delete_all(output)


@router.get("/runs/{run}/metrics", response_model=Page[MetricPoint])
def run_metrics(
    run: str,
    request: Request,
    caller: Reader,
    platform: PlatformOf,
    name: str | None = None,
    follow: bool = False,
    after: Annotated[int, Query(ge=-1)] = -1,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
) -> Any:
    """The history of a run's metrics, or of one of them; as a stream of server-sent events with `follow`."""
    with platform.database.session(read_only=True) as session:
        found = trials.find(session, caller, run)
    job, prefix = trials.job_of(found), trials.prefix_of(found)
    return jobs.metrics_of(
        request, caller, platform, job, name=name, follow=follow, after=after, limit=limit, prefix=prefix
    )


@router.get("/runs/{run}/logs", response_model=Page[LogLine])
def run_logs(
    run: str,
    request: Request,
    caller: Reader,
    platform: PlatformOf,
    follow: bool = False,
    after: Annotated[int, Query(ge=-1)] = -1,
    limit: Annotated[int, Query(ge=1, le=5000)] = 500,
    order: jobs.Order = "oldest",
) -> Any:
    """The log of a run's job, in pages after a line's number, or as a stream of server-sent events with `follow`."""
    with platform.database.session(read_only=True) as session:
        job = trials.job_of(trials.find(session, caller, run))
    return jobs.logs(job, request, caller, platform, follow, after, limit, order)


@router.get("/runs/{run}/files")
def run_files(run: str, caller: Reader, session: DbSession) -> Page[File]:
    """The files of the version that a run made; none before that, and none of a trial."""
    found = trials.find(session, caller, run)
    version = None if isinstance(found, trials.Trial) else operations.version_of(session, found.run)
    items = [File.model_validate(entry) for entry in version.version.files] if version else []
    return Page(items=items, total=len(items))


@router.get("/runs/{run}/mlflow", response_class=StreamingResponse)
def export_run(run: str, caller: Reader, platform: PlatformOf) -> StreamingResponse:
    """A run with its trials as a file store of MLflow's, in a ZIP."""
    with platform.database.session(read_only=True) as session:
        found = trials.find(session, caller, run)
    row = found.parent.run if isinstance(found, trials.Trial) else found.run
    home = mlflow.experiment(row.task or row.id, f"{row.model} ({row.task or row.id})", row.created_at)
    return zipped(exporting.as_mlflow(platform, caller, home, [run]), f"{mlflow.run_id(run)}-mlflow")


def zipped(content: Iterator[bytes], name: str) -> StreamingResponse:
    """A ZIP to be saved as `name`."""
    headers = {"content-disposition": f'attachment; filename="{name}.zip"'}
    return StreamingResponse(content, media_type="application/zip", headers=headers)


def _trials(
    found: list[trials.Trial], session: DbSession, paging: PagingOf, state: schemas.RunState | None
) -> Page[schemas.Run]:
    """A page of trials; the cursor is the last one's id."""
    wanted = [trial for trial in found if state is None or trial.state == state]
    ids = [trial.id for trial in wanted]
    begin = ids.index(paging.cursor) + 1 if paging.cursor in ids else 0
    rows = wanted[begin : begin + paging.limit]
    more = begin + paging.limit < len(wanted)
    items = [run_schema(session, trial) for trial in rows]
    return Page(items=items, next_cursor=rows[-1].id if more else None, total=len(wanted))
