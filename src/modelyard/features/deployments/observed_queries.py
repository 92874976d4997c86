"""SQL of the controller's turn, which asks for all deployments at once. Private to this feature."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from modelyard.features.deployments.queries import HERE
from modelyard.features.deployments.tables import DeploymentRow, ReplicaRow, RevisionRow

REPLICAS_REMEMBERED = 10_000


def replicas_here(session: Session) -> Sequence[ReplicaRow]:
    """Every process that has not ended, oldest first."""
    return session.scalars(select(ReplicaRow).where(ReplicaRow.state.in_(HERE)).order_by(ReplicaRow.id)).all()


def newest_revisions(session: Session) -> Sequence[RevisionRow]:
    """The newest revision of every deployment."""
    newest = and_(RevisionRow.deployment == DeploymentRow.id, RevisionRow.number == DeploymentRow.revision)
    return session.scalars(select(RevisionRow).join(DeploymentRow, newest)).all()


def newest_with_content(session: Session, deployment_id: str, content: int) -> RevisionRow | None:
    """The newest revision that the replicas with this content fit."""
    query = select(RevisionRow).where(RevisionRow.deployment == deployment_id, RevisionRow.content == content)
    return session.scalars(query.order_by(RevisionRow.number.desc()).limit(1)).first()


def measured(session: Session) -> Sequence[dict[str, Any]]:
    """What replicas measured, the oldest first, as far back as anybody asks: see ReplicaRow.micros."""
    query = select(ReplicaRow.micros).order_by(ReplicaRow.id.desc()).limit(REPLICAS_REMEMBERED)
    return list(reversed(session.scalars(query).all()))
