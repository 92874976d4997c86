"""REST: training tasks; runs are in `run_routes.py`."""

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from modelyard.core.paging import Page
from modelyard.features.auth.dependencies import Reader, Writer
from modelyard.features.training import exporting, mlflow, operations, run_routes, schemas
from modelyard.features.training.presenting import run_schema, task_schema, task_schemas
from modelyard.web.paging import PagingOf
from modelyard.web.requests import StrictRoute
from modelyard.web.session import DbSession, PlatformOf

router = APIRouter(prefix="/api/v1", tags=["training"], route_class=StrictRoute)
router.include_router(run_routes.router)


@router.post("/training-tasks", status_code=201)
def create_task(body: schemas.TaskCreate, caller: Writer, session: DbSession, platform: PlatformOf) -> schemas.Task:
    """Bind an algorithm and its parameters to a release."""
    return task_schema(session, caller, operations.create_task(session, caller, body, platform.clock.now()))


@router.get("/training-tasks")
def list_tasks(
    caller: Reader, session: DbSession, paging: PagingOf, algorithm: str | None = None, model: str | None = None
) -> Page[schemas.Task]:
    """Training tasks, newest first."""
    found = operations.list_tasks(session, caller, paging, algorithm=algorithm, model=model)
    items = task_schemas(session, caller, found.rows)
    return Page(items=items, next_cursor=found.next_cursor, total=found.total)


@router.get("/training-tasks/{task}")
def show_task(task: str, caller: Reader, session: DbSession) -> schemas.Task:
    """One training task with its last and its best run."""
    return task_schema(session, caller, operations.get_task(session, caller, task))


@router.patch("/training-tasks/{task}")
def change_task(task: str, body: schemas.TaskChange, caller: Writer, session: DbSession) -> schemas.Task:
    """Change a task's name or, while it does not run, its parameters."""
    return task_schema(session, caller, operations.change_task(session, caller, task, body))


@router.delete("/training-tasks/{task}", status_code=204)
def delete_task(task: str, caller: Writer, platform: PlatformOf) -> None:
    """Delete a task with its runs; refused while it runs, and while versions are there that came of it."""
    with platform.database.session() as session:
        outputs = operations.delete_task(session, caller, task)
    for output in outputs:
        platform.objects.delete_all(output)


@router.post("/training-tasks/{task}/start", status_code=202)
def start_task(task: str, caller: Writer, session: DbSession, platform: PlatformOf) -> schemas.Run:
    """Run a task; refused while it runs."""
    return run_schema(session, operations.start_task(session, caller, task, platform.clock.now()))


@router.post("/training-tasks/{task}/stop", status_code=202)
def stop_task(task: str, caller: Writer, session: DbSession) -> schemas.Run:
    """Ask a task's run to stop; it has within two seconds."""
    return run_schema(session, operations.stop_task(session, caller, task))


@router.post("/training-tasks/{task}/clone", status_code=201)
def clone_task(
    task: str, body: schemas.TaskClone, caller: Writer, session: DbSession, platform: PlatformOf
) -> schemas.Task:
    """Make a task like this one, but for what the body says."""
    return task_schema(session, caller, operations.clone_task(session, caller, task, body, platform.clock.now()))


@router.get("/training-tasks/{task}/runs")
def list_task_runs(task: str, caller: Reader, session: DbSession, paging: PagingOf) -> Page[schemas.Run]:
    """The runs of a task, newest first."""
    return run_routes.list_runs(caller, session, paging, task=operations.get_task(session, caller, task).id)


@router.get("/training-tasks/{task}/mlflow", response_class=StreamingResponse)
def export_task(task: str, caller: Reader, platform: PlatformOf) -> StreamingResponse:
    """Every run of a task as a file store of MLflow's, in a ZIP."""
    with platform.database.session(read_only=True) as session:
        row = operations.get_task(session, caller, task)
        runs = [going.run.id for going in operations.runs_of_tasks(session, [row.id]).get(row.id, [])]
    home = mlflow.experiment(row.id, f"{row.name} ({row.id})", row.created_at)
    return run_routes.zipped(exporting.as_mlflow(platform, caller, home, runs), f"{row.id}-mlflow")
