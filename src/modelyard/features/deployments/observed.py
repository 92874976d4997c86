"""What the controller reads and writes: observed rows, the routing table, its own lease. No I/O beyond the session."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from sqlalchemy.orm import Session

from modelyard.core import ids
from modelyard.core.settings import Settings
from modelyard.features.auth import operations as auth
from modelyard.features.deployments import queries, rollout
from modelyard.features.deployments.environments import limits_of
from modelyard.features.deployments.operations import note
from modelyard.features.deployments.tables import DeploymentRow, ReplicaRow, RoutingTableRow
from modelyard.features.models import operations as models
from modelyard.protocol.processes import HeldVersion, Limits, ReplicaSpec
from modelyard.protocol.routing import ModelRoute, RouteState, RoutingTable, Target, VersionRoute
from modelyard.storage.db.engine import now as db_now

TABLES_KEPT = 20
LEASE = "controller"
GATEWAYS_KEPT = timedelta(minutes=5)
GATEWAY_SILENCE = timedelta(seconds=7)
"""A gateway that has not asked for so long is taken to be gone; it asks every five seconds at the least."""


class StartReplica(NamedTuple):
    """A replica whose row is there and whose process is to be started."""

    spec: ReplicaSpec
    limits: Limits
    key: str


class Plan(NamedTuple):
    """What the controller is to do outside the database: processes to start, and ids of processes to stop."""

    start: list[StartReplica]
    stop: list[str]


class View(NamedTuple):
    """What was observed: the replica processes that run, and the newest routing table that every gateway serves by."""

    alive: frozenset[str]
    acknowledged: int | None

    def of(self, row: ReplicaRow) -> rollout.Seen:
        """A replica as the rollout sees it."""
        known = row.told_in is not None and (self.acknowledged is None or row.told_in <= self.acknowledged)
        return rollout.Seen(
            id=row.id,
            revision=row.revision,
            state=row.state,
            alive=row.id in self.alive,
            known=known,
            since=row.since,
        )


def take_lease(session: Session, owner: str, seconds: float) -> bool:
    """Be the one controller that works, or stay it; whether we are."""
    now = db_now(session)
    return queries.take_lease(session, LEASE, owner, now, now + timedelta(seconds=seconds))


def give_lease_back(session: Session, owner: str) -> None:
    """Stop being the controller that works."""
    queries.give_lease_back(session, LEASE, owner)


def starting(session: Session) -> list[tuple[str, str]]:
    """(id, address) of replicas that are not known to be ready."""
    rows = [row for deployment in queries.every_deployment(session) for row in queries.replicas(session, deployment.id)]
    return [(row.id, row.address) for row in rows if row.state == "starting"]


def known(session: Session) -> frozenset[str]:
    """Ids of every replica whose process is to be there."""
    return frozenset(queries.replica_ids(session))


def mark_ready(session: Session, replica_ids: Sequence[str]) -> None:
    """Note that replicas answer now."""
    now = db_now(session)
    for replica_id in replica_ids:
        row = session.get(ReplicaRow, replica_id)
        if row is None or row.state != "starting":
            continue
        _enter(row, "ready", now)
        deployment = session.get_one(DeploymentRow, row.deployment)
        deployment.failures, deployment.not_before, deployment.message = 0, None, ""
        note(session, deployment, "replica", f"{row.id} is ready with revision {row.revision}", now)


def plan(session: Session, alive: frozenset[str], said: dict[str, str], settings: Settings) -> Plan:
    """One step for every deployment: write what was observed, and say what is to be done.

    `alive` are the ids of replica processes that run, `said` the last words of those that ended.
    """
    now, steps = db_now(session), Plan([], [])
    seen = View(alive, queries.acknowledged(session, now - GATEWAY_SILENCE))
    for deployment in queries.every_deployment(session):
        _step(session, deployment, seen, said, settings, now, steps)
    return steps


def routing_table(session: Session, settings: Settings) -> RoutingTable:
    """The routing table as the rows have it now, not yet numbered."""
    now = db_now(session)
    routes: dict[str, list[VersionRoute]] = defaultdict(list)
    for deployment in queries.every_deployment(session):
        for path, route in _routes(session, deployment):
            routes[path].append(route)
    keys, users = auth.callers(session, now)
    built = []
    for path, versions in sorted(routes.items()):
        prefix, _, name = path.rpartition("/")
        built.append(ModelRoute(prefix=prefix, name=name, versions=tuple(sorted(versions, key=lambda v: -v.number))))
    return RoutingTable(number=0, models=tuple(built), keys=keys, users=users, open_access=settings.auth.mode == "off")


def publish(session: Session, table: RoutingTable) -> int:
    """Publish a table where it says something new; the number that counts now."""
    digest = hashlib.sha256(msgspec.json.encode(table, order="deterministic")).hexdigest()
    newest = queries.newest_table(session)
    if newest is not None and newest.digest == digest:
        queries.note_told(session, newest.number)
        return newest.number
    number = (newest.number if newest else 0) + 1
    document = msgspec.json.encode(msgspec.structs.replace(table, number=number))
    session.add(RoutingTableRow(number=number, digest=digest, document=document, created_at=db_now(session)))
    queries.drop_tables_before(session, number - TABLES_KEPT)
    queries.note_told(session, number)
    return number


def note_gateway(session: Session, gateway: str, number: int) -> None:
    """Note that a gateway serves by table `number`, and forget those that have long been silent."""
    now = db_now(session)
    queries.note_gateway(session, gateway, number, now)
    queries.forget_gateways(session, now - GATEWAYS_KEPT)


def gateway_is_noted(session: Session, gateway: str, number: int) -> bool:
    """Whether this was noted lately, so that it need not be written again."""
    return queries.gateway_is_noted(session, gateway, number, db_now(session) - GATEWAY_SILENCE / 3)


def told(session: Session, test: Callable[[RoutingTable], bool]) -> bool:
    """Whether every gateway serves by a table for which `test` holds; true where there is no gateway to tell."""
    acknowledged = queries.acknowledged(session, db_now(session) - GATEWAY_SILENCE)
    row = queries.newest_table(session)
    if acknowledged is None or row is None:
        return True
    return acknowledged >= row.number and test(msgspec.json.decode(row.document, type=RoutingTable))


def published(session: Session, after: int) -> bytes | None:
    """The newest routing table as JSON, None where that is the table with number `after`."""
    if queries.newest_table_number(session) in {0, after}:
        return None
    row = queries.newest_table(session)
    return row.document if row else None


def _step(
    session: Session,
    deployment: DeploymentRow,
    seen: View,
    said: dict[str, str],
    settings: Settings,
    now: datetime,
    steps: Plan,
) -> None:
    rows = {row.id: row for row in queries.replicas(session, deployment.id)}
    revision = queries.revision(session, deployment.id, deployment.revision)
    versions = revision.versions if revision else []
    wanted = rollout.Wanted(
        running=deployment.wanted == "running",
        revision=deployment.revision,
        replicas=deployment.replicas,
        empty=not versions,
        not_before=deployment.not_before,
        start_limit=timedelta(seconds=settings.replicas.start_seconds),
    )
    decided = rollout.decide(wanted, [seen.of(row) for row in rows.values()], now)
    for replica_id in decided.lost:
        _lose(session, deployment, rows[replica_id], said.get(replica_id) or "its process died", now)
    for replica_id in decided.late:
        _lose(session, deployment, rows[replica_id], "it did not become ready in time", now)
        steps.stop.append(replica_id)
    for replica_id in decided.drain:
        _enter(rows[replica_id], "draining", now)
    for replica_id in decided.end:
        _enter(rows[replica_id], "ended", now)
        steps.stop.append(replica_id)
    for _ in range(decided.start):
        made = _new_replica(session, deployment, versions, settings, now)
        rows[made.spec.id] = session.get_one(ReplicaRow, made.spec.id)
        steps.start.append(made)
    _conclude(session, deployment, wanted, list(rows.values()), seen, now)


def _conclude(
    session: Session,
    deployment: DeploymentRow,
    wanted: rollout.Wanted,
    rows: list[ReplicaRow],
    seen: View,
    now: datetime,
) -> None:
    here = [row for row in rows if row.state != "ended"]
    if deployment.wanted == "deleted" and not here:
        queries.drop_deployment(session, deployment.id)
        return
    state = rollout.state_of(wanted, [seen.of(row) for row in here], deployment.failures)
    if state != deployment.state:
        note(session, deployment, "state", f"{deployment.state} → {state}", now)
        deployment.state = state


def _lose(session: Session, deployment: DeploymentRow, row: ReplicaRow, reason: str, now: datetime) -> None:
    _enter(row, "ended", now)
    row.message = reason
    if row.revision == deployment.revision:
        deployment.not_before = now + rollout.back_off(deployment.failures)
        deployment.failures += 1
        deployment.message = reason
    note(session, deployment, "replica", f"{row.id} ended: {reason}", now)


def _new_replica(
    session: Session, deployment: DeploymentRow, versions: list[Any], settings: Settings, now: datetime
) -> StartReplica:
    replica_id = ids.new("rep")
    address = f"unix:{settings.run_folder / 'replicas' / replica_id[-12:]}.sock"
    session.add(
        ReplicaRow(
            id=replica_id,
            deployment=deployment.id,
            revision=deployment.revision,
            state="starting",
            address=address,
            micros={},
            message="",
            since=now,
            started_at=now,
        )
    )
    session.flush()
    spec = ReplicaSpec(id=replica_id, deployment=deployment.key, address=address, versions=_held(session, versions))
    return StartReplica(spec, limits_of(deployment.environment), deployment.key)


def _held(session: Session, versions: list[Any]) -> tuple[HeldVersion, ...]:
    found = models.versions_by_id(session, [entry["version"] for entry in versions])
    held = []
    for slot, entry in enumerate(versions):
        version, model = found[entry["version"]]
        held.append(
            HeldVersion(
                slot=slot,
                prefix=model.prefix,
                model=model.name,
                number=version.number,
                folder=version.folder,
                checksum=version.checksum,
            )
        )
    return tuple(held)


def _routes(session: Session, deployment: DeploymentRow) -> list[tuple[str, VersionRoute]]:
    """What a deployment answers now: its newest revision with a ready replica, and what is still loading."""
    ready = [row for row in queries.replicas(session, deployment.id) if row.state == "ready"]
    serving = max((row.revision for row in ready), default=0)
    routes = _routes_of(session, deployment, serving, [row for row in ready if row.revision == serving])
    if deployment.wanted == "running" and serving != deployment.revision:
        shown = {(path, route.number) for path, route in routes}
        coming = _routes_of(session, deployment, deployment.revision, [])
        routes += [(path, route) for path, route in coming if (path, route.number) not in shown]
    return routes


def _routes_of(
    session: Session, deployment: DeploymentRow, number: int, ready: list[ReplicaRow]
) -> list[tuple[str, VersionRoute]]:
    revision = queries.revision(session, deployment.id, number)
    entries = revision.versions if revision else []
    found = models.versions_by_id(session, [entry["version"] for entry in entries])
    routes = []
    for slot, entry in enumerate(entries):
        version, model = found[entry["version"]]
        state: RouteState = "ready" if ready else "failed" if deployment.state == "failed" else "loading"
        route = VersionRoute(
            number=version.number,
            deployment=deployment.key,
            weight=entry["weight"] if ready else 0,
            stage=version.stage,
            state=state,
            targets=tuple(Target(row.address, slot) for row in ready),
        )
        routes.append((models.name_of(model), route))
    return routes


def _enter(row: ReplicaRow, state: str, now: datetime) -> None:
    row.state, row.since, row.told_in = state, now, None
