"""What the platform does with deployments on a user's word: these write what is wanted, the controller makes it so."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from modelyard.core import ids
from modelyard.core.errors import NotFound
from modelyard.credentials.scope import covers
from modelyard.features.auth.operations import Principal, check
from modelyard.features.deployments import queries
from modelyard.features.deployments.environments import limits_of
from modelyard.features.deployments.errors import BadTraffic, KeyTaken
from modelyard.features.deployments.schemas import DeployedCreate, DeploymentCreate, Publish
from modelyard.features.deployments.tables import DeploymentRow, EventRow, RevisionRow
from modelyard.features.models import operations as models
from modelyard.storage.db.paging import Paging, Rows


def create(session: Session, principal: Principal, wanted: DeploymentCreate, now: datetime) -> DeploymentRow:
    """A new deployment. Raises KeyTaken, BadTraffic, NotFound."""
    limits_of(wanted.environment)
    versions = _resolve(session, principal, wanted.models)
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
        lane="auto",
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
    _revise(session, principal, row, versions, "created", now)
    return row


def publish(session: Session, principal: Principal, wanted: Publish, now: datetime) -> DeploymentRow:
    """Make a version answer, alone, in its model's own deployment, which is made where it is not there.

    Raises NotFound, and KeyTaken where that deployment holds other models too.
    """
    name = models.parse(wanted.model)
    found = models.get_version(session, principal, name)
    key = wanted.key or f"{name.prefix}-{name.name}".replace("/", "-").replace("_", "-")
    only = DeployedCreate(model=models.name_of(found.model, found.version))
    row = queries.deployment(session, principal.organisation, key)
    if row is None:
        made = DeploymentCreate(key=key, environment=wanted.environment, replicas=wanted.replicas, models=[only])
        return create(session, principal, made, now)
    versions = _resolve(session, principal, [only])
    current = queries.revision(session, row.id, row.revision)
    _refuse_other_models(session, row, found.model.id)
    if row.wanted != "running":
        row.wanted, row.state, row.not_before, row.failures = "running", "pending", None, 0
    if current is None or current.versions != versions:
        _revise(session, principal, row, versions, f"published {only.model}", now)
    return row


def get(session: Session, principal: Principal, key: str) -> DeploymentRow:
    """A deployment by key or id. Raises NotFound, also where the caller may see none of its models."""
    row = queries.deployment(session, principal.organisation, key)
    if row is None or not _visible(session, principal, row):
        raise NotFound(f"There is no deployment {key!r}. See `modelyard deployment list`.")
    return row


def list_all(session: Session, principal: Principal, paging: Paging) -> Rows:
    """The deployments that the caller may see, newest first."""
    found = queries.deployments(session, principal.organisation, paging)
    if principal.prefixes is None:
        return found
    rows = [row for row in found.rows if _visible(session, principal, row)]
    return found._replace(rows=rows, total=len(rows))


def add(session: Session, principal: Principal, key: str, wanted: DeployedCreate, now: datetime) -> DeploymentRow:
    """Let a deployment hold one more version; the model's other versions share what the new one leaves of the
    traffic."""
    row = _writable(session, principal, key)
    new = _resolve(session, principal, [wanted], complete=False)[0]
    held = models.versions_by_id(session, [entry["version"] for entry in _versions(session, row)] + [new["version"]])
    model = held[new["version"]].model.id
    others = [entry for entry in _versions(session, row) if entry["version"] != new["version"]]
    siblings = [entry for entry in others if held[entry["version"]].model.id == model]
    _share_out(siblings, 100 - new["weight"])
    if not siblings:
        new["weight"] = 100
    label = models.name_of(held[new["version"]].model, held[new["version"]].version)
    _revise(session, principal, row, [*others, new], f"added {label}", now)
    return row


def scale(session: Session, principal: Principal, key: str, replicas: int, now: datetime) -> DeploymentRow:
    """Change the number of replicas."""
    row = _writable(session, principal, key)
    row.replicas, row.not_before, row.failures = replicas, None, 0
    row.state = "updating"
    note(session, row, "scaled", f"{principal.username} wants {replicas} replicas", now)
    return row


def stop(session: Session, principal: Principal, key: str, now: datetime) -> DeploymentRow:
    """Stop answering; the deployment stays and can be started again."""
    row = _writable(session, principal, key)
    row.wanted, row.state = "stopped", "updating"
    note(session, row, "stopping", f"{principal.username} stopped it", now)
    return row


def start(session: Session, principal: Principal, key: str, now: datetime) -> DeploymentRow:
    """Answer again."""
    row = _writable(session, principal, key)
    row.wanted, row.not_before, row.failures = "running", None, 0
    row.state = "pending" if row.state == "stopped" else "updating"
    note(session, row, "starting", f"{principal.username} started it", now)
    return row


def delete(session: Session, principal: Principal, key: str, now: datetime) -> None:
    """Take a deployment away, once its requests in flight are answered."""
    row = _writable(session, principal, key)
    row.wanted = "deleted"
    models.hold(session, _holder(row), [])
    note(session, row, "deleting", f"{principal.username} deleted it", now)


def revisions(session: Session, principal: Principal, key: str, paging: Paging) -> Rows:
    """A deployment's revisions, newest first."""
    return queries.revisions(session, get(session, principal, key).id, paging)


def events(session: Session, principal: Principal, key: str, paging: Paging) -> Rows:
    """What happened to a deployment, newest first."""
    return queries.events(session, get(session, principal, key).id, paging)


def deployed(session: Session, versions: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A revision's content as the interface shows it."""
    found = models.versions_by_id(session, [entry["version"] for entry in versions])
    shown = []
    for entry in versions:
        version, model = found[entry["version"]]
        path = f"/models/{models.name_of(model)}/"
        shown.append(
            {"model": models.name_of(model), "version": f"v{version.number}", "weight": entry["weight"], "path": path}
        )
    return shown


def current_versions(session: Session, row: DeploymentRow) -> list[dict[str, Any]]:
    """What a deployment is to hold now."""
    return _versions(session, row)


def note(session: Session, row: DeploymentRow, kind: str, message: str, now: datetime) -> None:
    """Keep an event with its reason."""
    session.add(EventRow(id=ids.new("evt"), deployment=row.id, at=now, kind=kind, message=message))


def _revise(
    session: Session,
    principal: Principal,
    row: DeploymentRow,
    versions: list[dict[str, Any]],
    reason: str,
    now: datetime,
) -> None:
    row.revision += 1
    row.failures, row.not_before, row.message = 0, None, ""
    # Not ready from this moment on: whoever reads it next is not told of the revision before.
    row.state = "pending" if row.state in {"pending", "stopped", "failed"} else "updating"
    made = RevisionRow(
        id=ids.new("rev"),
        deployment=row.id,
        number=row.revision,
        content=row.revision,
        versions=versions,
        traffic={},
        note=reason,
        **principal.stamp(now),
    )
    session.add(made)
    models.hold(session, _holder(row), [entry["version"] for entry in versions])
    note(session, row, "revision", f"revision {row.revision}: {reason}", now)


def _resolve(
    session: Session, principal: Principal, wanted: Sequence[DeployedCreate], *, complete: bool = True
) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    shares: dict[str, int] = defaultdict(int)
    for item in wanted:
        name = models.parse(item.model)
        check(principal, "write", prefix=name.prefix)
        found = models.get_version(session, principal, name)
        entries.append({"version": found.version.id, "weight": item.weight})
        shares[name.path] += item.weight
    if len({entry["version"] for entry in entries}) < len(entries):
        raise BadTraffic("A version is named twice.")
    for path, share in shares.items():
        if complete and share != 100:
            raise BadTraffic(
                f"The weights of {path}'s versions make {share}, not 100.", detail={"model": path, "total": share}
            )
    return entries


def _refuse_other_models(session: Session, row: DeploymentRow, model_id: str) -> None:
    held = models.versions_by_id(session, [entry["version"] for entry in _versions(session, row)]).values()
    others = sorted({models.name_of(found.model) for found in held if found.model.id != model_id})
    if others:
        raise KeyTaken(
            f"The deployment {row.key!r} holds {', '.join(others)}, which would stop answering. "
            "Publish under another key, or add the version: `modelyard deployment add`.",
            detail={"models": others},
        )


def _share_out(entries: list[dict[str, Any]], total: int) -> None:
    weight = sum(entry["weight"] for entry in entries)
    left = total
    for position, entry in enumerate(entries):
        last = position == len(entries) - 1
        share = left if last else round(total * entry["weight"] / weight) if weight else total // len(entries)
        entry["weight"] = share
        left -= share


def _writable(session: Session, principal: Principal, key: str) -> DeploymentRow:
    row = get(session, principal, key)
    for found in models.versions_by_id(session, [entry["version"] for entry in _versions(session, row)]).values():
        check(principal, "write", prefix=found.model.prefix)
    return row


def _visible(session: Session, principal: Principal, row: DeploymentRow) -> bool:
    if principal.prefixes is None:
        return True
    found = models.versions_by_id(session, [entry["version"] for entry in _versions(session, row)]).values()
    return any(covers(principal.prefixes, item.model.prefix) for item in found)


def _versions(session: Session, row: DeploymentRow) -> list[dict[str, Any]]:
    revision = queries.revision(session, row.id, row.revision)
    return [dict(entry) for entry in revision.versions] if revision else []


def _holder(row: DeploymentRow) -> str:
    return f"deployment {row.key}"
