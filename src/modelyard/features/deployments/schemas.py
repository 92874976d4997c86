"""What the deployment routes take and answer."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

DeploymentKey = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=100)]
DeploymentWish = Literal["running", "stopped", "deleted"]
DeploymentState = Literal["pending", "updating", "ready", "degraded", "stopped", "failed"]


class DeployedCreate(BaseModel):
    """A version to hold.

    `prefix/model` (its latest) or `prefix/model/vN`; `weight` is its share of the model's traffic.
    """

    model: str = Field(max_length=300, examples=["sales/churn/v2"])
    weight: int = Field(default=100, ge=0, le=100)


class DeploymentCreate(BaseModel):
    """A deployment to make."""

    key: DeploymentKey
    environment: str = "small"
    replicas: int = Field(default=1, ge=1, le=16)
    models: list[DeployedCreate] = Field(default_factory=list, max_length=100)


class Publish(BaseModel):
    """One click: this version, alone, in the model's own deployment. Without `key` that is `<prefix>-<model>`."""

    model: str = Field(max_length=300, examples=["sales/churn"])
    key: DeploymentKey | None = None
    environment: str = "small"
    replicas: int = Field(default=1, ge=1, le=16)


class Scale(BaseModel):
    """How many replicas there are to be."""

    replicas: int = Field(ge=1, le=16)


class Deployed(BaseModel):
    """A version that a deployment holds, and where it answers."""

    model: str
    version: str
    weight: int
    path: str


class Replica(BaseModel):
    """One process of a deployment."""

    id: str
    revision: int
    state: Literal["starting", "ready", "draining", "ended"]
    message: str
    started_at: datetime


class Deployment(BaseModel):
    """A deployment: what is `wanted`, and in `state` what is."""

    id: str
    key: str
    environment: str
    replicas: int
    ready_replicas: int
    revision: int
    wanted: DeploymentWish
    state: DeploymentState
    message: str
    models: list[Deployed]
    processes: list[Replica]
    created_at: datetime
    created_by: str


class Revision(BaseModel):
    """One content that a deployment had."""

    number: int
    models: list[Deployed]
    note: str
    created_at: datetime
    created_by: str


class Event(BaseModel):
    """Something that happened to a deployment."""

    id: str
    at: datetime
    kind: str
    message: str


class Environment(BaseModel):
    """A computing environment; `memory` in bytes."""

    name: str
    cpus: float
    memory: int
