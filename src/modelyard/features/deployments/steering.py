"""What the load decides: how many replicas there are, and whether canaries go on. The controller asks once a second.

Looking (`look`) is apart from acting (`act`), so that a second in which nothing is decided writes nothing. Both
decisions are pure (`autoscale.py`, `canary.py`); here are their inputs, and the rows and events that come of them.
"""

import logging
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec
from sqlalchemy.orm import Session

from modelyard.core.errors import Malformed
from modelyard.features.deployments import autoscale, canaries, canary, load_queries, loads, queries
from modelyard.features.deployments.demand import Demand
from modelyard.features.deployments.load import Loaded, between, only
from modelyard.features.deployments.snapshot import Snapshot
from modelyard.features.deployments.tables import CanaryRow, DeploymentRow, LoadRow
from modelyard.features.models import operations as models
from modelyard.protocol.load import LoadReport
from modelyard.protocol.routing import RoutingTable
from modelyard.storage.db.engine import now as db_now

log = logging.getLogger("modelyard.deployments")

OVERLAP = timedelta(seconds=2)
"""A report that was written while the one after it was read already is not to be missed."""
THIN_EVERY = timedelta(minutes=1)
CHANGES = ("autoscaled", "autoscale", "scaled", "starting")
"""Events from which on the number of replicas was what it is."""
FAILURES = 3
"""So many replicas that died or did not start since a canary's step began are no accident."""


class Findings(NamedTuple):
    """What is to be written: replicas by deployment, verdicts by canary, canaries whose step begins to count, and
    whether old reports are to go."""

    scale: Sequence[tuple[str, int, autoscale.Decision]]
    verdicts: Sequence[tuple[str, int, canary.Verdict]]
    begun: Sequence[str]
    thin: bool

    def __bool__(self) -> bool:
        return bool(self.scale or self.verdicts or self.begun or self.thin)


class Steering:
    """Keeps the last minutes of demand in memory; a new controller reads them again from the reports."""

    def __init__(self) -> None:
        self._demand = Demand()
        self._read_until: datetime | None = None
        self._known: frozenset[str] = frozenset()
        self._thinned: datetime | None = None

    def look(self, session: Session, snapshot: Snapshot, table: RoutingTable) -> Findings:
        """What the load says now; reads only."""
        now = db_now(session)
        self._read(session, now, embedded_versions(table))
        running = canaries.running(session)
        verdicts = [(row.id, row.step, self._judged(session, row, now)) for row in running]
        return Findings(
            scale=self._scale(session, snapshot, now),
            verdicts=[entry for entry in verdicts if entry[2].action != "wait"],
            begun=[row.id for row in running if not row.baseline],
            thin=self._thinned is None or now - self._thinned > THIN_EVERY,
        )

    def act(self, session: Session, findings: Findings) -> None:
        """Write what was found, as far as it still holds."""
        now = db_now(session)
        for deployment_id, before, decided in findings.scale:
            row = queries.locked(session, deployment_id)
            if row is not None and row.wanted == "running" and row.autoscale is not None and row.replicas == before:
                loads.set_replicas(session, row, decided)
        for canary_id in findings.begun:
            found = session.get(CanaryRow, canary_id)
            if found is not None and found.state == "running" and not found.baseline:
                found.baseline = _baseline(self._demand.reports(), found.model)
        for canary_id, step, verdict in findings.verdicts:
            found = session.get(CanaryRow, canary_id)
            if found is None or found.state != "running" or found.step != step:
                continue
            if verdict.action == "roll back":
                canaries.roll_back(session, found, verdict.reason, now)
            elif verdict.action == "advance":
                canaries.advance(session, found, now)
        if findings.thin:
            loads.thin(session)
            self._thinned = now

    def _read(self, session: Session, now: datetime, embedded: AbstractSet[Loaded]) -> None:
        if self._read_until is None:
            rows = [
                *load_queries.newest_reports(session),
                *load_queries.reports_since(session, now - autoscale.DOWN * 2),
            ]
            rows.sort(key=lambda row: row.at)
        else:
            rows = list(load_queries.reports_since(session, self._read_until - OVERLAP))
        for row in rows:
            if row.id not in self._known:
                self._take(row, embedded)
        self._known = frozenset(row.id for row in rows)
        self._demand.look(now, embedded)
        self._read_until = now

    def _take(self, row: LoadRow, embedded: AbstractSet[Loaded]) -> None:
        try:
            self._demand.take(row.at, loads.read(row.report), embedded)
        except Malformed as error:
            log.warning("A report of gateway %s is left aside: %s", row.gateway, error.message)

    def _scale(self, session: Session, snapshot: Snapshot, now: datetime) -> list[tuple[str, int, autoscale.Decision]]:
        rows = [row for row in snapshot.deployments if row.autoscale is not None and row.wanted == "running"]
        changes = load_queries.last_events(session, [row.id for row in rows], CHANGES) if rows else {}
        found = []
        for row in rows:
            content = snapshot.revisions[row.id].content
            ready = [
                replica
                for replica in snapshot.replicas.get(row.id, ())
                if replica.state == "ready" and replica.revision == content
            ]
            decided = autoscale.decide(
                autoscale.Rule(**(row.autoscale or {})),
                now,
                self._demand.samples(row.key),
                replicas=row.replicas,
                ready=len(ready),
                last_change=changes.get(row.id, row.created_at),
                idle_since=self._demand.idle_since(row.key, now),
            )
            if decided.replicas != row.replicas:
                found.append((row.id, row.replicas, decided))
        return found

    def _judged(self, session: Session, row: CanaryRow, now: datetime) -> canary.Verdict:
        deployment = session.get_one(DeploymentRow, row.deployment)
        failures = load_queries.failures_since(session, deployment.id, row.since)
        if len(failures) >= FAILURES:
            reason = f"{len(failures)} replicas failed since the step began, the last one: {failures[-1]}"
            return canary.Verdict("roll back", reason)
        version = models.versions_by_id(session, [row.version]).get(row.version)
        if not row.baseline or version is None:
            return canary.Verdict("wait", "")
        number, key = version.version.number, deployment.key
        window = between(_reports(row), [only(report, row.model) for report in self._demand.reports()])
        verdict = canary.judge(
            canary.Rule(
                step_seconds=row.step_seconds,
                least_requests=row.least_requests,
                error_rate=row.error_rate,
                latency_ratio=row.latency_ratio,
            ),
            window.where(lambda loaded: loaded == Loaded(row.model, number, key)),
            window.where(lambda loaded: loaded.deployment == key and loaded.version != number),
            (now - row.since).total_seconds(),
        )
        # Not on while replicas are missing: their share of the requests was answered by nobody.
        stays = verdict.action == "advance" and deployment.state != "ready"
        return canary.Verdict("wait", verdict.reason) if stays else verdict


def embedded_versions(table: RoutingTable) -> AbstractSet[Loaded]:
    """The versions that gateways answer themselves."""
    return {
        Loaded(f"{model.prefix}/{model.name}", version.number, version.deployment)
        for model in table.models
        for version in model.versions
        if version.embedded is not None
    }


def _baseline(reports: Sequence[LoadReport], model: str) -> dict[str, object]:
    """What gateways had counted of a model, as a canary's row keeps it."""
    return {"reports": [msgspec.to_builtins(only(report, model)) for report in reports]}


def _reports(row: CanaryRow) -> list[LoadReport]:
    return msgspec.convert(row.baseline["reports"], list[LoadReport])
