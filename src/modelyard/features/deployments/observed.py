"""What the controller and the gateways tell: which replicas answer, which table counts, who serves by which, whose turn
it is. No I/O beyond the session.
"""

import hashlib
from collections.abc import Callable, Mapping
from datetime import timedelta

import msgspec
from sqlalchemy.orm import Session

from modelyard.features.deployments import queries
from modelyard.features.deployments.revisions import note
from modelyard.features.deployments.snapshot import GATEWAY_SILENCE
from modelyard.features.deployments.steps import enter
from modelyard.features.deployments.tables import ReplicaRow, RoutingTableRow
from modelyard.protocol.processes import Holding
from modelyard.protocol.routing import RoutingTable
from modelyard.storage.db.engine import now as db_now

TABLES_KEPT = 20
LEASE = "controller"
GATEWAYS_KEPT = timedelta(minutes=5)


def take_lease(session: Session, owner: str, seconds: float) -> bool:
    """Be the one controller that works, or stay it; whether we are."""
    now = db_now(session)
    return queries.take_lease(session, LEASE, owner, now, now + timedelta(seconds=seconds))


def give_lease_back(session: Session, owner: str) -> None:
    """Stop being the controller that works."""
    queries.give_lease_back(session, LEASE, owner)


def mark_ready(session: Session, answering: Mapping[str, Mapping[int, Holding]]) -> None:
    """Note that replicas answer now, and what each says of its slots: how long a call for 32 rows takes there."""
    now = db_now(session)
    for replica_id, holdings in answering.items():
        row = session.get(ReplicaRow, replica_id)
        deployment = queries.locked(session, row.deployment) if row else None
        if row is None or deployment is None or row.state != "starting":
            continue
        enter(row, "ready", now)
        row.micros = _measured(session, row, holdings)
        deployment.failures, deployment.not_before, deployment.message = 0, None, ""
        note(session, deployment, "replica", f"{row.id} is ready with revision {row.revision}", now)


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


def newest_number(session: Session) -> int:
    """The number of the routing table that counts; 0 where none was published."""
    return queries.newest_table_number(session)


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


def _measured(session: Session, row: ReplicaRow, holdings: Mapping[int, Holding]) -> dict[str, float]:
    revision = queries.revision(session, row.deployment, row.revision)
    held = [entry["version"] for entry in revision.versions] if revision else []
    return {held[slot]: holding.micros for slot, holding in holdings.items() if slot < len(held)}
