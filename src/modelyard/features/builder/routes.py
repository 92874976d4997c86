"""REST: builds and plans."""

from fastapi import APIRouter

from modelyard.core.errors import NotFound
from modelyard.core.paging import Page
from modelyard.features.auth.dependencies import Reader, Writer
from modelyard.features.builder import operations, planner, schemas
from modelyard.features.training import operations as training
from modelyard.features.training.presenting import run_schema
from modelyard.web.paging import PagingOf
from modelyard.web.requests import StrictRoute
from modelyard.web.session import DbSession, PlatformOf

router = APIRouter(prefix="/api/v1", tags=["builds"], route_class=StrictRoute)


@router.post("/builds", status_code=202)
def create(body: schemas.BuildCreate, caller: Writer, session: DbSession, platform: PlatformOf) -> schemas.Build:
    """Build a model from an intent. The answer says at once how the intent was understood."""
    return _build(session, operations.start(session, caller, body, platform.clock.now()))


@router.get("/builds")
def list_all(caller: Reader, session: DbSession, paging: PagingOf) -> Page[schemas.Build]:
    """Builds, newest first."""
    found = training.list_runs(session, caller, None, "build", paging)
    items = [_build(session, training.get_run(session, caller, row.id)) for row in found.rows]
    return Page(items=items, next_cursor=found.next_cursor, total=found.total)


@router.get("/builds/{build}")
def show(build: str, caller: Reader, session: DbSession) -> schemas.Build:
    """One build."""
    going = training.get_run(session, caller, build)
    if going.run.kind != "build":
        raise NotFound(f"There is no build {build!r}.")
    return _build(session, going)


@router.post("/plans")
def plan(body: schemas.PlanRequest, caller: Reader) -> schemas.Plan:  # noqa: ARG001
    """How an intent would be understood, without training anything."""
    return planner.plan(body.intent, body.profile.model_dump(), target=body.target)


def _build(session: DbSession, going: training.Going) -> schemas.Build:
    return schemas.Build(**run_schema(session, going).model_dump())
