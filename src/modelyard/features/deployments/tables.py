"""Rows of deployments.

What is wanted (deployments, revisions) and what was observed (replicas, events). Private to this feature.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from modelyard.features.deployments.schemas import CanaryState, DeploymentState, DeploymentWish, Lane
from modelyard.storage.db.base import Owned, Table


class DeploymentRow(Owned, Table):
    """The place where versions run.

    `wanted` is running, stopped or deleted; `state` and `message` are what was observed. `lane` is auto or isolated.
    `autoscale` is None where the number of replicas is fixed, else {minimum, maximum, target, idle_seconds}: then
    `replicas` is what was last decided.
    """

    __tablename__ = "deployments"
    __table_args__ = (UniqueConstraint("organisation", "key"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str]
    environment: Mapped[str]
    replicas: Mapped[int]
    lane: Mapped[Lane] = mapped_column(String)
    autoscale: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    wanted: Mapped[DeploymentWish] = mapped_column(String)
    revision: Mapped[int]
    state: Mapped[DeploymentState] = mapped_column(String)
    message: Mapped[str]
    failures: Mapped[int]
    not_before: Mapped[datetime | None]


class RevisionRow(Owned, Table):
    """One wanted content of a deployment.

    `versions` is a list of {version, weight}, in the order of the replica's slots. `traffic` maps a model's path to its
    rules, as in protocol/routing.py. `content` is the number of the revision whose replicas fit this one: its own,
    unless it differs in weights and rules only.
    """

    __tablename__ = "revisions"
    __table_args__ = (UniqueConstraint("deployment", "number"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    deployment: Mapped[str] = mapped_column(ForeignKey("deployments.id"), index=True)
    number: Mapped[int]
    content: Mapped[int]
    versions: Mapped[list[Any]] = mapped_column(JSON)
    traffic: Mapped[dict[str, Any]] = mapped_column(JSON)
    note: Mapped[str]


class ReplicaRow(Table):
    """One process of a deployment.

    `state`: starting, ready, draining, ended. `since` is when it came into that state. `revision` is the content that
    it holds. `micros` is how long a call for 32 rows takes, by version id.
    """

    __tablename__ = "replicas"
    __table_args__ = (Index("ix_replicas_deployment_state", "deployment", "state"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    deployment: Mapped[str] = mapped_column(ForeignKey("deployments.id"), index=True)
    revision: Mapped[int]
    state: Mapped[str]
    address: Mapped[str]
    message: Mapped[str]
    since: Mapped[datetime]
    told_in: Mapped[int | None]
    micros: Mapped[dict[str, float]] = mapped_column(JSON)
    started_at: Mapped[datetime]


class CanaryRow(Owned, Table):
    """A version that gets a growing share of a model's traffic, step by step, and none where it does badly.

    `steps` are shares in per cent, `step` the index of the present one, `since` when it began. `state`: running,
    succeeded, rolled_back, cancelled; `reason` says why. `baseline` are the counts when the step began.
    """

    __tablename__ = "canaries"

    id: Mapped[str] = mapped_column(primary_key=True)
    deployment: Mapped[str] = mapped_column(ForeignKey("deployments.id"), index=True)
    model: Mapped[str]
    version: Mapped[str]
    steps: Mapped[list[int]] = mapped_column(JSON)
    step_seconds: Mapped[float]
    least_requests: Mapped[int]
    error_rate: Mapped[float]
    latency_ratio: Mapped[float]
    before: Mapped[list[Any]] = mapped_column(JSON)
    step: Mapped[int]
    since: Mapped[datetime]
    baseline: Mapped[dict[str, Any]] = mapped_column(JSON)
    state: Mapped[CanaryState] = mapped_column(String)
    reason: Mapped[str]


class LoadRow(Table):
    """What one gateway process had counted at a moment (protocol/load.py); kept for a quarter of an hour."""

    __tablename__ = "gateway_loads"
    __table_args__ = (Index("ix_gateway_loads_at", "at"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    gateway: Mapped[str]
    at: Mapped[datetime]
    report: Mapped[bytes] = mapped_column(LargeBinary)


class EventRow(Table):
    """Something that happened to a deployment, with its reason."""

    __tablename__ = "deployment_events"

    id: Mapped[str] = mapped_column(primary_key=True)
    deployment: Mapped[str] = mapped_column(ForeignKey("deployments.id"), index=True)
    at: Mapped[datetime]
    kind: Mapped[str]
    message: Mapped[str]


class RoutingTableRow(Table):
    """A published routing table; the newest number is the one that counts."""

    __tablename__ = "routing_tables"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    digest: Mapped[str]
    document: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]


class GatewayRow(Table):
    """A gateway that follows the routing table: the number that it serves by, and when it last asked."""

    __tablename__ = "gateways"

    id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int]
    seen_at: Mapped[datetime]


class LeaseRow(Table):
    """Which controller works: whoever renewed last. `token` rises with every change of hands."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str]
    token: Mapped[int]
    until: Mapped[datetime]
