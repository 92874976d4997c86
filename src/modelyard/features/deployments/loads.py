"""What gateways tell of their load: taken in, kept for a while, acted on at once where a request waits for a start."""

from datetime import timedelta

import msgspec
from sqlalchemy.orm import Session

from modelyard.core import ids
from modelyard.core.errors import Malformed
from modelyard.features.deployments import autoscale, load_queries, queries
from modelyard.features.deployments.revisions import note
from modelyard.features.deployments.tables import DeploymentRow, LoadRow
from modelyard.protocol.load import BOUNDS, LoadReport
from modelyard.storage.db.engine import now as db_now

KEPT = timedelta(minutes=15)
WHOLE = timedelta(minutes=3)
"""So long every report is kept, then one of each gateway for every `SPACING`: its last."""
SPACING = timedelta(seconds=15)
_decode = msgspec.json.Decoder(LoadReport).decode


def take(session: Session, body: bytes) -> None:
    """Keep a gateway's report. Raises Malformed where it is none."""
    report = read(body)
    session.add(LoadRow(id=ids.new("load"), gateway=report.gateway, at=db_now(session), report=body))


def read(body: bytes) -> LoadReport:
    """A report from its JSON. Raises Malformed where it is none."""
    try:
        report = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"The message does not fit LoadReport: {error}.") from None
    for load in report.versions:
        if len(load.buckets) != len(BOUNDS) + 1:
            raise Malformed(
                f"{load.model}/v{load.version} has {len(load.buckets)} latency buckets; {len(BOUNDS) + 1} are counted."
            )
    return report


def anyone_asleep(session: Session, key: str) -> bool:
    """Whether a deployment of this key is scaled to zero."""
    return bool(load_queries.sleepers(session, key))


def wake(session: Session, key: str) -> None:
    """Requests wait for this deployment: where it is scaled to zero, it is to start. Repeating it changes nothing."""
    for found in load_queries.sleepers(session, key):
        row = queries.locked(session, found.id)
        if row is not None and row.wanted == "running" and row.replicas == 0 and row.autoscale is not None:
            rule = autoscale.Rule(**row.autoscale)
            set_replicas(session, row, autoscale.woken(rule, "a request waits"))


def set_replicas(session: Session, row: DeploymentRow, decided: autoscale.Decision) -> None:
    """Let the load's word count: so many replicas, for this reason."""
    if row.replicas == 0:
        # Whatever failed before it fell asleep is no reason to let those who wait wait longer.
        row.not_before, row.failures = None, 0
    row.replicas = decided.replicas
    note(session, row, "autoscaled", decided.reason, db_now(session))


def thin(session: Session) -> None:
    """Forget reports that are old, and most of those that are not new."""
    now = db_now(session)
    times = load_queries.report_times(session, now - WHOLE)
    last = {
        (gateway, int(at.timestamp() // SPACING.total_seconds())): row_id
        for row_id, gateway, at in times
        if now - at <= KEPT
    }
    kept = set(last.values())
    dropped = [row_id for row_id, _, _ in times if row_id not in kept]
    if dropped:
        load_queries.drop_reports(session, dropped)
