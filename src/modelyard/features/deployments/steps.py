"""The controller's steps: for each deployment what is to be done next, and its rows changed to say so.

Looking (`due`) is apart from acting (`plan`): a turn in which there is nothing to do writes nothing, and one in which
there is locks the deployments concerned and looks at them again.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy.orm import Session

from modelyard.core import ids
from modelyard.core.settings import Settings
from modelyard.features.deployments import queries, rollout
from modelyard.features.deployments.environments import limits_of
from modelyard.features.deployments.revisions import note
from modelyard.features.deployments.snapshot import NOTHING, Revision, Snapshot, revision_of
from modelyard.features.deployments.tables import DeploymentRow, ReplicaRow
from modelyard.features.models import operations as models
from modelyard.protocol.processes import ReplicaSpec
from modelyard.storage.db.engine import now as db_now

ASLEEP = "asleep: wakes on the first request"


class Plan(NamedTuple):
    """What the controller is to do outside the database: start replicas whose rows are there; end some, kill others."""

    start: list[ReplicaSpec]
    stop: list[str]
    kill: list[str]


class View(NamedTuple):
    """What was observed outside the database.

    `alive` are the replica processes that run, `hung` those of them that do not answer, with the reason; `said` are the
    last words of those that ended. `acknowledged` is the newest routing table that every gateway serves by.
    """

    alive: frozenset[str]
    hung: Mapping[str, str]
    said: Mapping[str, str]
    acknowledged: int | None

    def of(self, row: ReplicaRow) -> rollout.Seen:
        """A replica as the rollout sees it."""
        known = row.told_in is not None and (self.acknowledged is None or row.told_in <= self.acknowledged)
        return rollout.Seen(
            id=row.id,
            content=row.revision,
            state=row.state,
            alive=row.id in self.alive,
            known=known,
            since=row.since,
            hung=row.id in self.hung,
        )


def due(snapshot: Snapshot, view: View, settings: Settings) -> list[str]:
    """The ids of the deployments of which something is to be done or said."""
    found = []
    for row in snapshot.deployments:
        wanted = _wanted(row, snapshot.revisions[row.id], settings)
        seen = [view.of(replica) for replica in snapshot.replicas.get(row.id, ())]
        if rollout.decide(wanted, seen, snapshot.now) != rollout.Steps() or _news(row, wanted, seen):
            found.append(row.id)
    return found


def plan(session: Session, deployments: Sequence[str], view: View, settings: Settings) -> Plan:
    """One step for each of these deployments: write what was observed, and say what is to be done."""
    steps = Plan([], [], [])
    for deployment_id in deployments:
        row = queries.locked(session, deployment_id)
        if row is not None:
            _step(session, row, view, settings, steps)
    return steps


def _step(session: Session, deployment: DeploymentRow, view: View, settings: Settings, steps: Plan) -> None:
    now = db_now(session)
    rows = {row.id: row for row in queries.replicas(session, deployment.id)}
    newest = queries.revision(session, deployment.id, deployment.revision)
    revision = revision_of(newest) if newest else NOTHING
    wanted = _wanted(deployment, revision, settings)
    decided = rollout.decide(wanted, [view.of(row) for row in rows.values()], now)
    for replica_id in decided.lost:
        _lose(session, deployment, rows[replica_id], view.said.get(replica_id) or "its process died", wanted, now)
    for replica_id in decided.hung:
        _lose(session, deployment, rows[replica_id], view.hung[replica_id], wanted, now)
        steps.kill.append(replica_id)
    for replica_id in decided.late:
        _lose(session, deployment, rows[replica_id], "it did not become ready in time", wanted, now)
        steps.kill.append(replica_id)
    for replica_id in decided.drain:
        enter(rows[replica_id], "draining", now)
    for replica_id in decided.end:
        enter(rows[replica_id], "ended", now)
        steps.stop.append(replica_id)
    for _ in range(decided.start):
        row = _new_replica(session, deployment, revision, settings, now)
        rows[row.id] = row
        steps.start.append(_start_of(session, deployment, revision, row))
    _conclude(session, deployment, wanted, list(rows.values()), view, now)


def _conclude(
    session: Session,
    deployment: DeploymentRow,
    wanted: rollout.Wanted,
    rows: Sequence[ReplicaRow],
    view: View,
    now: datetime,
) -> None:
    # Those that were started just now are alive in a moment; that nobody has seen them yet is no news.
    here = [view.of(row) for row in rows if row.state != "ended"]
    if deployment.wanted == "deleted" and not here:
        queries.drop_deployment(session, deployment.id)
        return
    state = rollout.state_of(wanted, here, deployment.failures)
    if state != deployment.state:
        note(session, deployment, "state", f"{deployment.state} → {state}", now)
        deployment.state = state
    deployment.message = _message(deployment, wanted)


def _news(row: DeploymentRow, wanted: rollout.Wanted, here: Sequence[rollout.Seen]) -> bool:
    """Whether there is something to be said of a deployment of which nothing is to be done."""
    gone = row.wanted == "deleted" and not here
    return gone or rollout.state_of(wanted, here, row.failures) != row.state or _message(row, wanted) != row.message


def _message(row: DeploymentRow, wanted: rollout.Wanted) -> str:
    if wanted.asleep:
        return ASLEEP
    return "" if row.message == ASLEEP else row.message


def _wanted(row: DeploymentRow, revision: Revision, settings: Settings) -> rollout.Wanted:
    return rollout.Wanted(
        running=row.wanted == "running",
        content=revision.content,
        replicas=row.replicas,
        empty=not revision.versions,
        not_before=row.not_before,
        start_limit=timedelta(seconds=settings.replicas.start_seconds),
    )


def _lose(
    session: Session, deployment: DeploymentRow, row: ReplicaRow, reason: str, wanted: rollout.Wanted, now: datetime
) -> None:
    enter(row, "ended", now)
    row.message = reason
    if row.revision == wanted.content:
        deployment.not_before = now + rollout.back_off(deployment.failures)
        deployment.failures += 1
        deployment.message = reason
    note(session, deployment, "replica", f"{row.id} ended: {reason}", now)


def _new_replica(
    session: Session, deployment: DeploymentRow, revision: Revision, settings: Settings, now: datetime
) -> ReplicaRow:
    replica_id = ids.new("rep")
    row = ReplicaRow(
        id=replica_id,
        deployment=deployment.id,
        revision=revision.content,
        state="starting",
        address=f"unix:{settings.run_folder / 'replicas' / replica_id[-12:]}.sock",
        micros={},
        message="",
        since=now,
        started_at=now,
    )
    session.add(row)
    session.flush()
    return row


def _start_of(session: Session, deployment: DeploymentRow, revision: Revision, row: ReplicaRow) -> ReplicaSpec:
    found = models.versions_by_id(session, [version for version, _ in revision.versions])
    held = tuple(models.held_version(found[version_id], slot) for slot, (version_id, _) in enumerate(revision.versions))
    limits = limits_of(deployment.environment)
    return ReplicaSpec(id=row.id, deployment=deployment.key, address=row.address, versions=held, limits=limits)


def enter(row: ReplicaRow, state: str, now: datetime) -> None:
    """Let a replica come into a state, of which no gateway knows yet."""
    row.state, row.since, row.told_in = state, now, None
