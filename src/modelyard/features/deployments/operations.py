"""What the platform does with deployments on a user's word: these write what is wanted, the controller makes it so.

Traffic rules are in `traffic.py`, canaries in `canaries.py`; what all of them share is in `revisions.py`.
"""

from datetime import datetime

from sqlalchemy.orm import Session

from modelyard.core import ids
from modelyard.core.errors import Invalid, NotFound
from modelyard.features.auth.operations import Principal, check
from modelyard.features.deployments import canaries, queries, revisions
from modelyard.features.deployments.environments import limits_of
from modelyard.features.deployments.errors import Autoscaled, CannotRollBack, KeyTaken, NeedsTraffic, NotDeployed
from modelyard.features.deployments.revisions import Content, get, note, visible, writable
from modelyard.features.deployments.schemas import Autoscale, DeployedCreate, DeploymentCreate, Lane, Publish
from modelyard.features.deployments.shares import share_out
from modelyard.features.deployments.tables import DeploymentRow, RevisionRow
from modelyard.features.models import operations as models
from modelyard.storage.db.paging import Paging, Rows

__all__ = ["get", "note"]


def create(session: Session, principal: Principal, wanted: DeploymentCreate, now: datetime) -> DeploymentRow:
    """A new deployment. Raises KeyTaken, BadTraffic, NotFound."""
    limits_of(wanted.environment)
    versions = revisions.resolve(session, principal, wanted.models)
    left = queries.deployment_or_leftover(session, principal.organisation, wanted.key)
    if left is not None and left.wanted == "deleted":
        raise KeyTaken(f"The deployment {wanted.key!r} is just being deleted. Try again in a moment.")
    if left is not None:
        raise KeyTaken(f"There is a deployment {wanted.key!r} already. Choose another key, or change that one.")
    row = DeploymentRow(
        id=ids.new("dep"),
        key=wanted.key,
        environment=wanted.environment,
        replicas=wanted.replicas,
        lane=wanted.lane,
        autoscale=None,
        wanted="running",
        revision=0,
        state="pending",
        message="",
        failures=0,
        **principal.stamp(now),
    )
    session.add(row)
    session.flush()
    revisions.revise(session, row, Content(versions, {}), "created", principal, now)
    return row


def publish(session: Session, principal: Principal, wanted: Publish, now: datetime) -> DeploymentRow:
    """Make a version answer, alone, in its model's own deployment, which is made where it is not there.

    Raises NotFound, CanaryRunning, and KeyTaken where that deployment holds other models too.
    """
    name = models.parse(wanted.model)
    found = models.get_version(session, principal, name)
    key = wanted.key or f"{name.prefix}-{name.name}".replace("/", "-").replace("_", "-")
    only = DeployedCreate(model=models.name_of(found.model, found.version))
    there = queries.deployment(session, principal.organisation, key)
    row = queries.locked(session, there.id) if there else None
    if row is None or row.wanted == "deleted":
        made = DeploymentCreate(
            key=key,
            environment=wanted.environment,
            replicas=wanted.replicas,
            lane=wanted.lane or "auto",
            models=[only],
        )
        return create(session, principal, made, now)
    versions = revisions.resolve(session, principal, [only])
    held = revisions.content(session, row)
    _refuse_other_models(session, principal, row, found.model.id)
    canaries.refuse_while_running(session, row)
    if wanted.lane is not None:
        _set_lane(session, principal, row, wanted.lane, now)
    if row.wanted != "running":
        row.wanted, row.state, row.not_before, row.failures = "running", "pending", None, 0
    if held.versions != versions:
        revisions.revise(session, row, Content(versions, held.traffic), f"published {only.model}", principal, now)
    return row


def list_all(session: Session, principal: Principal, paging: Paging) -> Rows:
    """The deployments that the caller may see, newest first."""
    found = queries.deployments(session, principal.organisation, paging)
    if principal.prefixes is None:
        return found
    rows = [row for row in found.rows if visible(session, principal, row)]
    return found._replace(rows=rows, total=len(rows))


def add(session: Session, principal: Principal, key: str, wanted: DeployedCreate, now: datetime) -> DeploymentRow:
    """Let a deployment hold one more version; the model's other versions share what the new one leaves of the traffic.

    Raises NotFound, CanaryRunning.
    """
    row = writable(session, principal, key)
    new = revisions.resolve(session, principal, [wanted], complete=False)[0]
    version, model = models.versions_by_id(session, [new["version"]])[new["version"]]
    canaries.refuse_while_running(session, row, models.name_of(model))
    held = revisions.content(session, row)
    mine = revisions.by_model(session, held.versions).get(models.name_of(model), {})
    siblings = [entry for number, entry in mine.items() if number != version.number]
    if not siblings:
        new["weight"] = 100
    share_out(siblings, 100 - new["weight"])
    if version.number in mine:
        mine[version.number]["weight"] = new["weight"]
    else:
        held.versions.append(new)
    revisions.revise(session, row, held, f"added {models.name_of(model, version)}", principal, now)
    return row


def remove(session: Session, principal: Principal, key: str, model: str, now: datetime) -> DeploymentRow:
    """Take a version, or all of a model's, out of a deployment; what is left of the model shares its traffic.

    Raises NotFound, NotDeployed, CanaryRunning, and NeedsTraffic where no version that is left has any traffic.
    """
    row = writable(session, principal, key)
    name = models.parse(model)
    held = revisions.content(session, row)
    mine = revisions.by_model(session, held.versions).get(name.path, {})
    gone = set(mine) if name.selector is None else {models.get_version(session, principal, name).version.number}
    if not gone & set(mine):
        raise NotDeployed(f"The deployment {row.key} does not hold {model}. See `modelyard deployment show {row.key}`.")
    canaries.refuse_while_running(session, row, name.path)
    left = [entry for number, entry in mine.items() if number not in gone]
    if left and not any(entry["weight"] for entry in left):
        raise NeedsTraffic(
            f"{model} has all of the traffic of {name.path}. Give it to another version first (`modelyard deployment "
            f"traffic {row.key} {name.path} --weight vN=100`), or remove the whole model."
        )
    share_out(left, 100)
    out = {mine[number]["version"] for number in gone}
    rest = [entry for entry in held.versions if entry["version"] not in out]
    names = ", ".join(f"{name.path}/v{number}" for number in sorted(gone))
    revisions.revise(session, row, Content(rest, held.traffic), f"removed {names}", principal, now)
    return row


def rollback(session: Session, principal: Principal, key: str, number: int | None, now: datetime) -> DeploymentRow:
    """Make the content (versions, weights, rules) of revision `number` the newest again; of the newest earlier one that
    differs where None.

    Raises NotFound, CanaryRunning, and CannotRollBack where there is no such content or not all of it is left.
    """
    row = writable(session, principal, key)
    canaries.refuse_while_running(session, row)
    found = _earlier(session, row) if number is None else queries.revision(session, row.id, number)
    if found is None:
        raise NotFound(
            f"The deployment {row.key} has no revision {number}. It has 1 to {row.revision}.",
            detail={"revisions": row.revision},
        )
    if found.number == row.revision:
        raise CannotRollBack(f"Revision {found.number} of {row.key} is the present one.")
    wanted = revisions.content_of(found)
    if not wanted.versions:
        raise CannotRollBack(
            f"Revision {found.number} of {row.key} held no version: nothing would answer. "
            f"Stop the deployment instead: `modelyard deployment stop {row.key}`."
        )
    there = models.versions_by_id(session, [entry["version"] for entry in wanted.versions])
    if len(there) < len(wanted.versions):
        count = len(wanted.versions) - len(there)
        raise CannotRollBack(
            f"{count} of the {len(wanted.versions)} versions of revision {found.number} of {row.key} "
            f"{'was' if count == 1 else 'were'} deleted since, so it cannot come back. Choose another revision: "
            f"`modelyard deployment revisions {row.key}`.",
            detail={"revision": found.number, "deleted": count},
        )
    for path in revisions.by_model(session, wanted.versions):
        check(principal, "write", prefix=revisions.prefix_of(path))
    revisions.revise(session, row, wanted, f"rolled back to revision {found.number}", principal, now)
    return row


def recreate(session: Session, principal: Principal, key: str, now: datetime) -> DeploymentRow:
    """Replace all replicas of a deployment by new ones, in turn, losing no request. Raises NotFound."""
    row = writable(session, principal, key)
    revisions.revise(session, row, revisions.content(session, row), "recreated", principal, now, anew=True)
    return row


def scale(session: Session, principal: Principal, key: str, replicas: int, now: datetime) -> DeploymentRow:
    """Change the number of replicas. Raises NotFound, Autoscaled."""
    row = writable(session, principal, key)
    if row.autoscale is not None:
        raise Autoscaled(
            f"The deployment {row.key} scales by itself, {row.autoscale['minimum']} to {row.autoscale['maximum']} "
            f"replicas. Turn that off first: `modelyard deployment autoscale {row.key} --off`."
        )
    _set_replicas(row, replicas)
    note(session, row, "scaled", f"{principal.username} wants {replicas} replicas", now)
    return row


def set_autoscale(
    session: Session, principal: Principal, key: str, wanted: Autoscale | None, now: datetime
) -> DeploymentRow:
    """Let the number of replicas follow the load; with None it stays as it is from now on, at 1 where it was asleep.

    Raises NotFound, Invalid.
    """
    row = writable(session, principal, key)
    if wanted is None:
        if row.autoscale is not None:
            row.autoscale = None
            _set_replicas(row, max(1, row.replicas))
            note(session, row, "autoscale", f"{principal.username} wants {row.replicas} replicas from now on", now)
        return row
    if wanted.minimum > wanted.maximum:
        raise Invalid(
            f"At least {wanted.minimum} replicas and at most {wanted.maximum} cannot be.",
            fields=[{"field": "minimum", "message": "is above the maximum"}],
        )
    row.autoscale = wanted.model_dump()
    _set_replicas(row, min(max(row.replicas, wanted.minimum), wanted.maximum))
    said = (
        f"{principal.username} wants {wanted.minimum} to {wanted.maximum} replicas, {wanted.target:g} requests "
        f"in flight at each, {wanted.minimum} after {wanted.idle_seconds:g} s without a request"
    )
    note(session, row, "autoscale", said, now)
    return row


def set_lane(session: Session, principal: Principal, key: str, lane: Lane, now: datetime) -> DeploymentRow:
    """Say whether gateways may hold a deployment's quick versions themselves (`auto`) or not (`isolated`)."""
    row = writable(session, principal, key)
    _set_lane(session, principal, row, lane, now)
    return row


def stop(session: Session, principal: Principal, key: str, now: datetime) -> DeploymentRow:
    """Stop answering; the deployment stays and can be started again."""
    row = writable(session, principal, key)
    row.wanted, row.state = "stopped", "updating"
    note(session, row, "stopping", f"{principal.username} stopped it", now)
    return row


def start(session: Session, principal: Principal, key: str, now: datetime) -> DeploymentRow:
    """Answer again."""
    row = writable(session, principal, key)
    row.wanted, row.not_before, row.failures = "running", None, 0
    row.state = "pending" if row.state == "stopped" else "updating"
    note(session, row, "starting", f"{principal.username} started it", now)
    return row


def delete(session: Session, principal: Principal, key: str, now: datetime) -> None:
    """Take a deployment away, once its requests in flight are answered."""
    row = writable(session, principal, key)
    row.wanted = "deleted"
    models.hold(session, revisions.holder(row), [])
    note(session, row, "deleting", f"{principal.username} deleted it", now)


def list_revisions(session: Session, principal: Principal, key: str, paging: Paging) -> Rows:
    """A deployment's revisions, newest first."""
    return queries.revisions(session, get(session, principal, key).id, paging)


def events(session: Session, principal: Principal, key: str, paging: Paging) -> Rows:
    """What happened to a deployment, newest first."""
    return queries.events(session, get(session, principal, key).id, paging)


def _earlier(session: Session, row: DeploymentRow) -> RevisionRow:
    now = revisions.content(session, row)
    for number in range(row.revision - 1, 0, -1):
        found = queries.revision(session, row.id, number)
        if found is not None and found.versions and revisions.content_of(found) != now:
            return found
    raise CannotRollBack(f"No earlier revision of {row.key} held anything else.")


def _set_replicas(row: DeploymentRow, replicas: int) -> None:
    row.replicas, row.not_before, row.failures = replicas, None, 0
    row.state = "updating"


def _set_lane(session: Session, principal: Principal, row: DeploymentRow, lane: Lane, now: datetime) -> None:
    if row.lane != lane:
        row.lane = lane
        note(session, row, "lane", f"{principal.username} wants the lane {lane}", now)


def _refuse_other_models(session: Session, principal: Principal, row: DeploymentRow, model_id: str) -> None:
    if not visible(session, principal, row) and revisions.content(session, row).versions:
        raise KeyTaken(f"There is a deployment {row.key!r} already. Publish under another key.")
    held = [entry["version"] for entry in revisions.content(session, row).versions]
    others = sorted({found.model for found in models.versions_by_id(session, held).values()}, key=models.name_of)
    names = [models.name_of(model) for model in others if model.id != model_id]
    if names:
        raise KeyTaken(
            f"The deployment {row.key!r} holds {', '.join(names)}, which would stop answering. "
            "Publish under another key, or add the version: `modelyard deployment add`.",
            detail={"models": names},
        )
