"""REST: deployments."""

from fastapi import APIRouter
from sqlalchemy.orm import Session

from modelyard.core.paging import Page
from modelyard.features.auth.dependencies import Reader, Writer
from modelyard.features.deployments import operations, queries, schemas
from modelyard.features.deployments.environments import ENVIRONMENTS
from modelyard.features.deployments.tables import DeploymentRow
from modelyard.web.paging import PagingOf
from modelyard.web.requests import StrictRoute
from modelyard.web.session import DbSession, PlatformOf

router = APIRouter(prefix="/api/v1", tags=["deployments"], route_class=StrictRoute)


@router.get("/environments")
def list_environments(caller: Reader) -> Page[schemas.Environment]:  # noqa: ARG001
    """The computing environments that a deployment may choose."""
    items = [
        schemas.Environment(name=name, cpus=limits.cpus or 0, memory=limits.memory or 0)
        for name, limits in ENVIRONMENTS.items()
    ]
    return Page(items=items, total=len(items))


@router.post("/deployments", status_code=201)
def create(
    body: schemas.DeploymentCreate, caller: Writer, session: DbSession, platform: PlatformOf
) -> schemas.Deployment:
    """Make a deployment."""
    return _deployment(session, operations.create(session, caller, body, platform.clock.now()))


@router.post("/deployments/publish", status_code=202)
def publish(body: schemas.Publish, caller: Writer, session: DbSession, platform: PlatformOf) -> schemas.Deployment:
    """One click: make a version answer at its model's URL, replacing what answered there."""
    return _deployment(session, operations.publish(session, caller, body, platform.clock.now()))


@router.get("/deployments")
def list_all(caller: Reader, session: DbSession, paging: PagingOf) -> Page[schemas.Deployment]:
    """The deployments, newest first."""
    found = operations.list_all(session, caller, paging)
    items = [_deployment(session, row) for row in found.rows]
    return Page(items=items, next_cursor=found.next_cursor, total=found.total)


@router.get("/deployments/{key}")
def show(key: str, caller: Reader, session: DbSession) -> schemas.Deployment:
    """One deployment."""
    return _deployment(session, operations.get(session, caller, key))


@router.post("/deployments/{key}/models", status_code=202)
def add_model(
    key: str, body: schemas.DeployedCreate, caller: Writer, session: DbSession, platform: PlatformOf
) -> schemas.Deployment:
    """Hold one more version."""
    return _deployment(session, operations.add(session, caller, key, body, platform.clock.now()))


@router.post("/deployments/{key}/scale", status_code=202)
def scale(
    key: str, body: schemas.Scale, caller: Writer, session: DbSession, platform: PlatformOf
) -> schemas.Deployment:
    """Change the number of replicas."""
    return _deployment(session, operations.scale(session, caller, key, body.replicas, platform.clock.now()))


@router.post("/deployments/{key}/stop", status_code=202)
def stop(key: str, caller: Writer, session: DbSession, platform: PlatformOf) -> schemas.Deployment:
    """Stop answering, losing no request in flight."""
    return _deployment(session, operations.stop(session, caller, key, platform.clock.now()))


@router.post("/deployments/{key}/start", status_code=202)
def start(key: str, caller: Writer, session: DbSession, platform: PlatformOf) -> schemas.Deployment:
    """Answer again after a stop."""
    return _deployment(session, operations.start(session, caller, key, platform.clock.now()))


@router.delete("/deployments/{key}", status_code=202)
def delete(key: str, caller: Writer, session: DbSession, platform: PlatformOf) -> None:
    """Take a deployment away."""
    operations.delete(session, caller, key, platform.clock.now())


@router.get("/deployments/{key}/revisions")
def list_revisions(key: str, caller: Reader, session: DbSession, paging: PagingOf) -> Page[schemas.Revision]:
    """What a deployment held, newest first."""
    found = operations.revisions(session, caller, key, paging)
    items = [
        schemas.Revision(
            number=row.number,
            models=_deployed(session, row.versions),
            note=row.note,
            created_at=row.created_at,
            created_by=row.created_by,
        )
        for row in found.rows
    ]
    return Page(items=items, next_cursor=found.next_cursor, total=found.total)


@router.get("/deployments/{key}/events")
def list_events(key: str, caller: Reader, session: DbSession, paging: PagingOf) -> Page[schemas.Event]:
    """What happened to a deployment and why, newest first."""
    found = operations.events(session, caller, key, paging)
    items = [schemas.Event.model_validate(row, from_attributes=True) for row in found.rows]
    return Page(items=items, next_cursor=found.next_cursor, total=found.total)


def _deployment(session: Session, row: DeploymentRow) -> schemas.Deployment:
    replicas = queries.replicas(session, row.id)
    ready = [replica for replica in replicas if replica.state == "ready" and replica.revision == row.revision]
    return schemas.Deployment(
        id=row.id,
        key=row.key,
        environment=row.environment,
        replicas=row.replicas,
        ready_replicas=len(ready),
        revision=row.revision,
        wanted=row.wanted,
        state=row.state,
        message=row.message,
        models=_deployed(session, operations.current_versions(session, row)),
        processes=[schemas.Replica.model_validate(replica, from_attributes=True) for replica in replicas],
        created_at=row.created_at,
        created_by=row.created_by,
    )


def _deployed(session: Session, versions: list[dict[str, object]]) -> list[schemas.Deployed]:
    return [schemas.Deployed.model_validate(entry) for entry in operations.deployed(session, versions)]
