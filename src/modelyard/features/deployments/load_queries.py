"""SQL over the gateways' reports of their load. Private to this feature."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from modelyard.features.deployments.tables import DeploymentRow, EventRow, LoadRow, ReplicaRow


def reports_since(session: Session, since: datetime) -> Sequence[LoadRow]:
    """Reports that arrived since then, in the order of arrival."""
    return session.scalars(select(LoadRow).where(LoadRow.at >= since).order_by(LoadRow.at, LoadRow.id)).all()


def newest_reports(session: Session) -> Sequence[LoadRow]:
    """The newest report of every gateway, in the order of arrival."""
    newest = select(func.max(LoadRow.id)).group_by(LoadRow.gateway)
    return session.scalars(select(LoadRow).where(LoadRow.id.in_(newest)).order_by(LoadRow.at, LoadRow.id)).all()


def report_times(session: Session, before: datetime) -> Sequence[tuple[str, str, datetime]]:
    """(id, gateway, arrival) of the reports that arrived before, in the order of arrival."""
    query = select(LoadRow.id, LoadRow.gateway, LoadRow.at).where(LoadRow.at < before).order_by(LoadRow.at, LoadRow.id)
    return [(row_id, gateway, at) for row_id, gateway, at in session.execute(query)]


def drop_reports(session: Session, ids: Sequence[str]) -> None:
    """Forget these reports."""
    session.execute(delete(LoadRow).where(LoadRow.id.in_(ids)))


def last_events(session: Session, deployments: Sequence[str], kinds: Sequence[str]) -> Mapping[str, datetime]:
    """When something of these kinds last happened to each of these deployments."""
    query = select(EventRow.deployment, func.max(EventRow.at)).where(
        EventRow.deployment.in_(deployments), EventRow.kind.in_(kinds)
    )
    return {deployment: at for deployment, at in session.execute(query.group_by(EventRow.deployment)) if at is not None}


def failures_since(session: Session, deployment_id: str, since: datetime) -> Sequence[str]:
    """Why replicas of a deployment ended since then that were not to end, the last reason last."""
    ended = (ReplicaRow.deployment == deployment_id, ReplicaRow.state == "ended", ReplicaRow.since >= since)
    query = select(ReplicaRow.message).where(*ended, ReplicaRow.message != "")
    return session.scalars(query.order_by(ReplicaRow.since)).all()


def sleepers(session: Session, key: str) -> Sequence[DeploymentRow]:
    """The deployments of this key that are scaled to zero, and wait to be asked."""
    query = select(DeploymentRow).where(
        DeploymentRow.key == key, DeploymentRow.wanted == "running", DeploymentRow.replicas == 0
    )
    return [row for row in session.scalars(query) if row.autoscale is not None]
