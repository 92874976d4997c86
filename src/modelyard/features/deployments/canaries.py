"""Canaries: a version gets a growing share of its model's traffic, step by step, and none where it does badly.

Users start and end them; in between the controller goes on (`advance`) or gives up (`roll_back`), as `canary.py` says.
A step changes weights only, so it takes effect with the next routing table and restarts nothing. The same holds for the
way back: the version stays held, with the weight that it had before.
"""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from sqlalchemy.orm import Session

from modelyard.core import ids
from modelyard.core.errors import Invalid
from modelyard.features.auth.operations import Principal
from modelyard.features.deployments import queries, revisions
from modelyard.features.deployments.errors import CanaryRunning, CannotStartCanary, NoCanary
from modelyard.features.deployments.revisions import Content
from modelyard.features.deployments.schemas import CanaryCreate, CanaryEnd, CanaryState, DeployedCreate
from modelyard.features.deployments.shares import Entry, share_out
from modelyard.features.deployments.tables import CanaryRow, DeploymentRow
from modelyard.features.models import operations as models
from modelyard.protocol.routing import Traffic
from modelyard.storage.db.paging import Paging, Rows


def start_canary(
    session: Session, principal: Principal, key: str, wanted: CanaryCreate, now: datetime
) -> DeploymentRow:
    """Give a version the first step's share of its model's traffic. Where the deployment does not hold it, it is added.

    Raises NotFound, CanaryRunning where one of this model runs, CannotStartCanary where there is no other version to
    compare with, where the version is a shadow, or where it has that share already; Invalid where steps do not rise.
    """
    if any(later <= earlier for earlier, later in pairwise(wanted.steps)):
        raise Invalid("The steps must rise, as in 5, 25, 50.", fields=[{"field": "steps", "message": "must rise"}])
    row = revisions.writable(session, principal, key)
    new = revisions.resolve(session, principal, [DeployedCreate(model=wanted.model, weight=0)], complete=False)[0]
    version, model = models.versions_by_id(session, [new["version"]])[new["version"]]
    path, label = models.name_of(model), f"v{version.number}"
    refuse_while_running(session, row, path)
    held = revisions.content(session, row)
    mine = revisions.by_model(session, held.versions).get(path, {})
    if version.number not in mine:
        held.versions.append(new)
    own = mine.get(version.number, new)
    if not any(entry["weight"] for number, entry in mine.items() if number != version.number):
        raise CannotStartCanary(
            f"No other version of {path} has traffic in {row.key}, so there is nothing to compare {label} with. "
            f"Publish it: `modelyard deploy {path}/{label} --key {row.key}`."
        )
    if any(shadow.version == version.number for shadow in held.traffic.get(path, Traffic()).shadows):
        raise CannotStartCanary(f"{label} of {path} is a shadow. Take that away first: `modelyard deployment traffic`.")
    if own["weight"] >= wanted.steps[0]:
        raise CannotStartCanary(
            f"{label} of {path} has {own['weight']} % of the traffic already. Begin with a larger step."
        )
    if row.wanted != "running":
        raise CannotStartCanary(
            f"The deployment {row.key} is stopped. Start it: `modelyard deployment start {row.key}`."
        )
    canary = CanaryRow(
        id=ids.new("can"),
        deployment=row.id,
        model=path,
        version=new["version"],
        steps=wanted.steps,
        step_seconds=wanted.step_seconds,
        least_requests=wanted.least_requests,
        error_rate=wanted.error_rate,
        latency_ratio=wanted.latency_ratio,
        before=[dict(entry) for entry in held.versions],
        step=0,
        since=now,
        baseline={},
        state="running",
        reason="",
        **principal.stamp(now),
    )
    session.add(canary)
    _give(session, row, canary, wanted.steps[0], f"canary: {wanted.steps[0]} % to {label}", principal, now)
    session.flush()
    return row


def end_canary(session: Session, principal: Principal, key: str, wanted: CanaryEnd, now: datetime) -> DeploymentRow:
    """End a running canary: with `promote` its version gets all of the model's traffic, else what it had before.

    Raises NotFound, NoCanary.
    """
    row = revisions.writable(session, principal, key)
    path = models.parse(wanted.model).path
    canary = next((one for one in queries.running_canaries(session, row.id) if one.model == path), None)
    if canary is None:
        raise NoCanary(f"No canary of {path} is running in {row.key}. See `modelyard deployment show {row.key}`.")
    if wanted.promote:
        _end(session, row, canary, "succeeded", f"promoted by {principal.username}", principal, now)
    else:
        _end(session, row, canary, "cancelled", f"cancelled by {principal.username}", principal, now)
    return row


def list_all(session: Session, principal: Principal, key: str, paging: Paging) -> Rows:
    """A deployment's canaries, newest first."""
    return queries.canaries(session, revisions.get(session, principal, key).id, paging)


def running(session: Session) -> Sequence[CanaryRow]:
    """Every canary that runs, oldest first; those of stopped deployments rest and are left out."""
    return queries.running_canaries(session)


def advance(session: Session, canary: CanaryRow, now: datetime) -> None:
    """The controller's word that a step went well: the next step, or all of the traffic after the last.

    Does nothing where a user ended the canary in the meantime.
    """
    row = _still_running(session, canary)
    if row is None:
        return
    if canary.step + 1 == len(canary.steps):
        _end(session, row, canary, "succeeded", "every step went well", None, now)
        return
    canary.step, canary.since, canary.baseline = canary.step + 1, now, {}
    share = canary.steps[canary.step]
    _give(session, row, canary, share, f"canary: {share} % to {_label(session, canary)}", None, now)


def roll_back(session: Session, canary: CanaryRow, reason: str, now: datetime) -> None:
    """The controller's word that the version does badly: it gets the weight that it had before, at once.

    Does nothing where a user ended the canary in the meantime.
    """
    row = _still_running(session, canary)
    if row is not None:
        _end(session, row, canary, "rolled_back", reason, None, now)


def refuse_while_running(session: Session, row: DeploymentRow, path: str | None = None) -> None:
    """Raise CanaryRunning where a canary decides about the traffic of this model, or of any where none is named."""
    for canary in queries.running_canaries(session, row.id):
        if path in {None, canary.model}:
            label, share = _label(session, canary), canary.steps[canary.step]
            raise CanaryRunning(
                f"A canary of {canary.model}/{label} is running in {row.key} ({share} %). Let it finish, or end it: "
                f"`modelyard deployment canary-end {row.key} {canary.model}` with --promote or --cancel.",
                detail={"canary": canary.id, "model": canary.model, "version": label},
            )


def _end(
    session: Session,
    row: DeploymentRow,
    canary: CanaryRow,
    state: CanaryState,
    reason: str,
    by: Principal | None,
    now: datetime,
) -> None:
    label = _label(session, canary)
    canary.state, canary.reason, canary.since = state, reason, now
    revisions.note(session, row, "canary", f"{canary.model}/{label} {state.replace('_', ' ')}: {reason}", now)
    if state == "succeeded":
        _give(session, row, canary, 100, f"canary: all traffic to {label}, {reason}", by, now)
    else:
        before = next(entry["weight"] for entry in canary.before if entry["version"] == canary.version)
        _give(session, row, canary, before, f"canary: back to {before} % for {label}, {reason}", by, now)


def _give(
    session: Session,
    row: DeploymentRow,
    canary: CanaryRow,
    share: int,
    reason: str,
    by: Principal | None,
    now: datetime,
) -> None:
    """A revision in which the canary's version has `share`, and its siblings the rest in the proportions of before."""
    held = revisions.content(session, row)
    weights = {entry["version"]: entry["weight"] for entry in canary.before}
    mine = list(revisions.by_model(session, held.versions).get(canary.model, {}).values())
    own: list[Entry] = [entry for entry in mine if entry["version"] == canary.version]
    if not own:
        own = [{"version": canary.version, "weight": 0}]
        held.versions.extend(own)
    siblings = [entry for entry in mine if entry["version"] != canary.version]
    for entry in siblings:
        entry["weight"] = weights.get(entry["version"], 0)
    own[0]["weight"] = share
    share_out(siblings, 100 - share)
    revisions.revise(session, row, Content(held.versions, held.traffic), reason, by, now)


def _still_running(session: Session, canary: CanaryRow) -> DeploymentRow | None:
    """The canary's deployment, locked, where the canary still runs now that nobody else can end it."""
    row = queries.locked(session, canary.deployment)
    session.refresh(canary)
    return row if row is not None and row.wanted == "running" and canary.state == "running" else None


def _label(session: Session, canary: CanaryRow) -> str:
    return f"v{models.versions_by_id(session, [canary.version])[canary.version].version.number}"
