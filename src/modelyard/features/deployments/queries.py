"""SQL over deployments. Private to this feature."""

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from sqlalchemy import CursorResult, delete, func, or_, select, update
from sqlalchemy.orm import Session

from modelyard.features.deployments.tables import (
    CanaryRow,
    DeploymentRow,
    EventRow,
    GatewayRow,
    LeaseRow,
    ReplicaRow,
    RevisionRow,
    RoutingTableRow,
)
from modelyard.storage.db.paging import Paging, Rows, page

HERE = ("starting", "ready", "draining")


def deployment(session: Session, organisation: str, key: str) -> DeploymentRow | None:
    """A deployment by key or id; one that is being deleted is not there any more."""
    wanted = or_(DeploymentRow.key == key, DeploymentRow.id == key)
    query = select(DeploymentRow).where(DeploymentRow.organisation == organisation, wanted)
    return session.scalars(query.where(DeploymentRow.wanted != "deleted")).first()


def locked(session: Session, deployment_id: str) -> DeploymentRow | None:
    """A deployment as it is now, kept from other transactions until this one ends; on SQLite only one writes anyway."""
    query = select(DeploymentRow).where(DeploymentRow.id == deployment_id).with_for_update()
    return session.scalars(query, execution_options={"populate_existing": True}).first()


def deployment_or_leftover(session: Session, organisation: str, key: str) -> DeploymentRow | None:
    """The row that has this key, being deleted or not."""
    query = select(DeploymentRow).where(DeploymentRow.organisation == organisation, DeploymentRow.key == key)
    return session.scalars(query).first()


def deployments(session: Session, organisation: str, paging: Paging) -> Rows:
    """Deployments, newest first."""
    query = select(DeploymentRow).where(DeploymentRow.organisation == organisation, DeploymentRow.wanted != "deleted")
    return page(session, query, DeploymentRow.id, paging)


def every_deployment(session: Session) -> Sequence[DeploymentRow]:
    """All deployments, those being deleted among them: the controller's view."""
    return session.scalars(select(DeploymentRow).order_by(DeploymentRow.id)).all()


def revision(session: Session, deployment_id: str, number: int) -> RevisionRow | None:
    """A revision by its number."""
    wanted = (RevisionRow.deployment == deployment_id, RevisionRow.number == number)
    return session.scalars(select(RevisionRow).where(*wanted)).first()


def revisions(session: Session, deployment_id: str, paging: Paging) -> Rows:
    """A deployment's revisions, newest first."""
    return page(session, select(RevisionRow).where(RevisionRow.deployment == deployment_id), RevisionRow.id, paging)


def canaries(session: Session, deployment_id: str, paging: Paging) -> Rows:
    """A deployment's canaries, newest first."""
    return page(session, select(CanaryRow).where(CanaryRow.deployment == deployment_id), CanaryRow.id, paging)


def last_canaries(session: Session, deployment_id: str) -> Sequence[CanaryRow]:
    """The last canary of each model of a deployment."""
    last = select(func.max(CanaryRow.id)).where(CanaryRow.deployment == deployment_id).group_by(CanaryRow.model)
    return session.scalars(select(CanaryRow).where(CanaryRow.id.in_(last)).order_by(CanaryRow.model)).all()


def running_canaries(session: Session, deployment_id: str | None = None) -> Sequence[CanaryRow]:
    """The canaries that run, in one deployment or in all; in those that are stopped they rest."""
    query = select(CanaryRow).where(CanaryRow.state == "running").order_by(CanaryRow.id)
    if deployment_id is not None:
        return session.scalars(query.where(CanaryRow.deployment == deployment_id)).all()
    there = query.join(DeploymentRow, DeploymentRow.id == CanaryRow.deployment)
    return session.scalars(there.where(DeploymentRow.wanted == "running")).all()


def replicas(session: Session, deployment_id: str) -> Sequence[ReplicaRow]:
    """A deployment's processes that have not ended, oldest first."""
    query = select(ReplicaRow).where(ReplicaRow.deployment == deployment_id, ReplicaRow.state.in_(HERE))
    return session.scalars(query.order_by(ReplicaRow.id)).all()


def replica_ids(session: Session) -> Sequence[str]:
    """Ids of every replica that has not ended."""
    return session.scalars(select(ReplicaRow.id).where(ReplicaRow.state.in_(HERE))).all()


def events(session: Session, deployment_id: str, paging: Paging) -> Rows:
    """What happened to a deployment, newest first."""
    return page(session, select(EventRow).where(EventRow.deployment == deployment_id), EventRow.id, paging)


def newest_table(session: Session) -> RoutingTableRow | None:
    """The routing table that counts."""
    return session.scalars(select(RoutingTableRow).order_by(RoutingTableRow.number.desc()).limit(1)).first()


def newest_table_number(session: Session) -> int:
    """Its number; 0 where none was published."""
    return int(session.scalar(select(func.max(RoutingTableRow.number))) or 0)


def drop_tables_before(session: Session, number: int) -> None:
    """Forget old routing tables."""
    session.execute(delete(RoutingTableRow).where(RoutingTableRow.number < number))


def drop_deployment(session: Session, deployment_id: str) -> None:
    """Remove a deployment and all that belongs to it."""
    for table in (EventRow, CanaryRow, ReplicaRow, RevisionRow):
        session.execute(delete(table).where(table.deployment == deployment_id))
    session.execute(delete(DeploymentRow).where(DeploymentRow.id == deployment_id))


def note_told(session: Session, number: int) -> None:
    """Remember in which table replicas that changed their state were first published so."""
    fresh = update(ReplicaRow).where(ReplicaRow.told_in.is_(None), ReplicaRow.state.in_(("ready", "draining")))
    session.execute(fresh.values(told_in=number))


def note_gateway(session: Session, gateway: str, number: int, now: datetime) -> None:
    """Write which table a gateway serves by."""
    row = session.get(GatewayRow, gateway)
    if row is None:
        session.add(GatewayRow(id=gateway, number=number, seen_at=now))
    else:
        row.number, row.seen_at = number, now


def gateway_is_noted(session: Session, gateway: str, number: int, since: datetime) -> bool:
    """Whether exactly that was written since then."""
    row = session.get(GatewayRow, gateway)
    return row is not None and row.number == number and row.seen_at >= since


def forget_gateways(session: Session, before: datetime) -> None:
    """Drop gateways that were not seen since."""
    session.execute(delete(GatewayRow).where(GatewayRow.seen_at < before))


def acknowledged(session: Session, since: datetime) -> int | None:
    """The newest table that every gateway seen since then serves by; None where there is no gateway."""
    return session.scalar(select(func.min(GatewayRow.number)).where(GatewayRow.seen_at >= since))


def take_lease(session: Session, name: str, owner: str, now: datetime, until: datetime) -> bool:
    """Renew the lease, or take it where it lapsed; whether it is ours now."""
    mine = update(LeaseRow).where(LeaseRow.name == name, LeaseRow.owner == owner).values(until=until)
    if cast("CursorResult[None]", session.execute(mine)).rowcount:
        return True
    free = update(LeaseRow).where(LeaseRow.name == name, LeaseRow.until < now)
    taken = free.values(owner=owner, until=until, token=LeaseRow.token + 1)
    if cast("CursorResult[None]", session.execute(taken)).rowcount:
        return True
    if session.get(LeaseRow, name) is None:
        session.add(LeaseRow(name=name, owner=owner, token=1, until=until))
        session.flush()
        return True
    return False


def give_lease_back(session: Session, name: str, owner: str) -> None:
    """Let another take over at once."""
    session.execute(delete(LeaseRow).where(LeaseRow.name == name, LeaseRow.owner == owner))
