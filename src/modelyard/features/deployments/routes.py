"""REST: deployments."""

from fastapi import APIRouter

from modelyard.core.paging import Page
from modelyard.features.auth.dependencies import Reader, Writer
from modelyard.features.deployments import canaries, operations, schemas, shown, traffic
from modelyard.features.deployments.environments import ENVIRONMENTS
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
    return shown.deployment(session, operations.create(session, caller, body, platform.clock.now()))


@router.post("/deployments/publish", status_code=202)
def publish(body: schemas.Publish, caller: Writer, session: DbSession, platform: PlatformOf) -> schemas.Deployment:
    """One click: make a version answer at its model's URL, replacing what answered there."""
    return shown.deployment(session, operations.publish(session, caller, body, platform.clock.now()))


@router.get("/deployments")
def list_all(caller: Reader, session: DbSession, paging: PagingOf) -> Page[schemas.Deployment]:
    """The deployments, newest first."""
    found = operations.list_all(session, caller, paging)
    items = [shown.deployment(session, row) for row in found.rows]
    return Page(items=items, next_cursor=found.next_cursor, total=found.total)


@router.get("/deployments/{key}")
def show(key: str, caller: Reader, session: DbSession) -> schemas.Deployment:
    """One deployment."""
    return shown.deployment(session, operations.get(session, caller, key))


@router.post("/deployments/{key}/models", status_code=202)
def add_model(
    key: str, body: schemas.DeployedCreate, caller: Writer, session: DbSession, platform: PlatformOf
) -> schemas.Deployment:
    """Hold one more version."""
    return shown.deployment(session, operations.add(session, caller, key, body, platform.clock.now()))


@router.delete("/deployments/{key}/models/{model:path}", status_code=202)
def remove_model(key: str, model: str, caller: Writer, session: DbSession, platform: PlatformOf) -> schemas.Deployment:
    """Hold a version (`prefix/model/vN`), or all of a model's (`prefix/model`), no longer."""
    return shown.deployment(session, operations.remove(session, caller, key, model, platform.clock.now()))


@router.put("/deployments/{key}/traffic", status_code=202)
def set_traffic(
    key: str, body: schemas.TrafficSet, caller: Writer, session: DbSession, platform: PlatformOf
) -> schemas.Deployment:
    """Share out a model's traffic by weights and rules; no replica is restarted by that."""
    return shown.deployment(session, traffic.set_traffic(session, caller, key, body, platform.clock.now()))


@router.post("/deployments/{key}/canaries", status_code=202)
def start_canary(
    key: str, body: schemas.CanaryCreate, caller: Writer, session: DbSession, platform: PlatformOf
) -> schemas.Deployment:
    """Give a version a growing share of its model's traffic, and none as soon as it does badly."""
    return shown.deployment(session, canaries.start_canary(session, caller, key, body, platform.clock.now()))


@router.get("/deployments/{key}/canaries")
def list_canaries(key: str, caller: Reader, session: DbSession, paging: PagingOf) -> Page[schemas.Canary]:
    """The canaries there are and were, newest first."""
    found = canaries.list_all(session, caller, key, paging)
    items = [shown.canary(session, row) for row in found.rows]
    return Page(items=items, next_cursor=found.next_cursor, total=found.total)


@router.post("/deployments/{key}/canaries/end", status_code=202)
def end_canary(
    key: str, body: schemas.CanaryEnd, caller: Writer, session: DbSession, platform: PlatformOf
) -> schemas.Deployment:
    """Give a canary's version all of the model's traffic, or what it had before."""
    return shown.deployment(session, canaries.end_canary(session, caller, key, body, platform.clock.now()))


@router.post("/deployments/{key}/rollback", status_code=202)
def rollback(
    key: str, body: schemas.Rollback, caller: Writer, session: DbSession, platform: PlatformOf
) -> schemas.Deployment:
    """Make the content of an earlier revision the newest again."""
    return shown.deployment(session, operations.rollback(session, caller, key, body.revision, platform.clock.now()))


@router.post("/deployments/{key}/recreate", status_code=202)
def recreate(key: str, caller: Writer, session: DbSession, platform: PlatformOf) -> schemas.Deployment:
    """Replace all replicas by new ones, losing no request."""
    return shown.deployment(session, operations.recreate(session, caller, key, platform.clock.now()))


@router.post("/deployments/{key}/scale", status_code=202)
def scale(
    key: str, body: schemas.Scale, caller: Writer, session: DbSession, platform: PlatformOf
) -> schemas.Deployment:
    """Change the number of replicas."""
    return shown.deployment(session, operations.scale(session, caller, key, body.replicas, platform.clock.now()))


@router.put("/deployments/{key}/autoscale", status_code=202)
def set_autoscale(
    key: str, body: schemas.Autoscale, caller: Writer, session: DbSession, platform: PlatformOf
) -> schemas.Deployment:
    """Let the number of replicas follow the load."""
    return shown.deployment(session, operations.set_autoscale(session, caller, key, body, platform.clock.now()))


@router.delete("/deployments/{key}/autoscale", status_code=202)
def stop_autoscale(key: str, caller: Writer, session: DbSession, platform: PlatformOf) -> schemas.Deployment:
    """Keep the number of replicas as it is from now on."""
    return shown.deployment(session, operations.set_autoscale(session, caller, key, None, platform.clock.now()))


@router.put("/deployments/{key}/lane", status_code=202)
def set_lane(
    key: str, body: schemas.LaneSet, caller: Writer, session: DbSession, platform: PlatformOf
) -> schemas.Deployment:
    """Say whether gateways may hold quick versions themselves."""
    return shown.deployment(session, operations.set_lane(session, caller, key, body.lane, platform.clock.now()))


@router.post("/deployments/{key}/stop", status_code=202)
def stop(key: str, caller: Writer, session: DbSession, platform: PlatformOf) -> schemas.Deployment:
    """Stop answering, losing no request in flight."""
    return shown.deployment(session, operations.stop(session, caller, key, platform.clock.now()))


@router.post("/deployments/{key}/start", status_code=202)
def start(key: str, caller: Writer, session: DbSession, platform: PlatformOf) -> schemas.Deployment:
    """Answer again after a stop."""
    return shown.deployment(session, operations.start(session, caller, key, platform.clock.now()))


@router.delete("/deployments/{key}", status_code=202)
def delete(key: str, caller: Writer, session: DbSession, platform: PlatformOf) -> None:
    """Take a deployment away."""
    operations.delete(session, caller, key, platform.clock.now())


@router.get("/deployments/{key}/revisions")
def list_revisions(key: str, caller: Reader, session: DbSession, paging: PagingOf) -> Page[schemas.Revision]:
    """What a deployment held, newest first."""
    found = operations.list_revisions(session, caller, key, paging)
    items = [shown.revision(session, row) for row in found.rows]
    return Page(items=items, next_cursor=found.next_cursor, total=found.total)


@router.get("/deployments/{key}/events")
def list_events(key: str, caller: Reader, session: DbSession, paging: PagingOf) -> Page[schemas.Event]:
    """What happened to a deployment and why, newest first."""
    found = operations.events(session, caller, key, paging)
    items = [schemas.Event.model_validate(row, from_attributes=True) for row in found.rows]
    return Page(items=items, next_cursor=found.next_cursor, total=found.total)
