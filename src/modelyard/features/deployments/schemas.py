"""What the deployment routes take and answer."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

DeploymentKey = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=100)]
DeploymentWish = Literal["running", "stopped", "deleted"]
DeploymentState = Literal["pending", "updating", "ready", "degraded", "stopped", "failed"]
CanaryState = Literal["running", "succeeded", "rolled_back", "cancelled"]
Lane = Literal["auto", "isolated"]
VersionLabel = Annotated[str, Field(pattern=r"^v[1-9][0-9]{0,8}$", examples=["v2"])]

MAX_REPLICAS = 16
MAX_HEADER_RULES = 20
HeaderName = Annotated[str, Field(max_length=100)]
HeaderValue = Annotated[str, Field(pattern=r"^[!-~]([ -~]*[!-~])?$", max_length=200)]
Share = Annotated[int, Field(ge=1, le=100)]


class DeployedCreate(BaseModel):
    """A version to hold.

    `prefix/model` (its latest) or `prefix/model/vN`; `weight` is its share of the model's traffic. Where several
    deployments hold a model, a version's share is its weight within the sum of the weights in all of them.
    """

    model: str = Field(max_length=300, examples=["sales/churn/v2"])
    weight: int = Field(default=100, ge=0, le=100)


class DeploymentCreate(BaseModel):
    """A deployment to make. `lane`: in `auto` gateways may hold quick ONNX versions themselves, `isolated` never."""

    key: DeploymentKey
    environment: str = "small"
    replicas: int = Field(default=1, ge=1, le=MAX_REPLICAS)
    lane: Lane = "auto"
    models: list[DeployedCreate] = Field(default_factory=list, max_length=100)


class Publish(BaseModel):
    """One click: this version, alone, in the model's own deployment. Without `key` that is `<prefix>-<model>`.

    `environment` and `replicas` count where the deployment is made by this; `lane` also changes one that is there.
    """

    model: str = Field(max_length=300, examples=["sales/churn"])
    key: DeploymentKey | None = None
    environment: str = "small"
    replicas: int = Field(default=1, ge=1, le=MAX_REPLICAS)
    lane: Lane | None = None


class Scale(BaseModel):
    """How many replicas there are to be."""

    replicas: int = Field(ge=1, le=MAX_REPLICAS)


class Autoscale(BaseModel):
    """The number of replicas follows the load: as many as keep `target` requests in flight at each.

    After `idle_seconds` without a request it goes down to `minimum`; with 0 the next request wakes the deployment.
    """

    minimum: int = Field(default=1, ge=0, le=MAX_REPLICAS)
    maximum: int = Field(ge=1, le=MAX_REPLICAS)
    target: float = Field(default=4, gt=0, le=10_000)
    idle_seconds: float = Field(default=300, ge=1, le=604_800)


class LaneSet(BaseModel):
    """Where versions may be held: `auto` or `isolated`."""

    lane: Lane


class Rollback(BaseModel):
    """The revision whose content is to come back; without one, the newest earlier one that differs."""

    revision: int | None = Field(default=None, ge=1)


class HeaderRule(BaseModel):
    """Requests whose `header` has exactly this value go to this version."""

    header: HeaderName = Field(examples=["x-tier"])
    value: HeaderValue = Field(examples=["beta"])
    version: VersionLabel


class Shadow(BaseModel):
    """A version that is asked too, for `share` per cent of the requests; its answers are compared, never given."""

    version: VersionLabel
    share: Share = 100


class TrafficSet(BaseModel):
    """How a model's traffic is to be shared out. What is left out stays as it is; `[]` and `""` take rules away.

    `weights` are shares in per cent that make 100; versions that are not named get none. `headers` come first, in
    order. Requests with the same value in the `sticky` header get the same version as long as the weights stay.
    """

    model: str = Field(max_length=300, examples=["sales/churn"])
    weights: dict[VersionLabel, Annotated[int, Field(ge=0, le=100)]] | None = Field(
        default=None, max_length=100, examples=[{"v1": 90, "v2": 10}]
    )
    headers: list[HeaderRule] | None = Field(default=None, max_length=MAX_HEADER_RULES)
    sticky: HeaderName | None = Field(default=None, examples=["x-user"])
    shadows: list[Shadow] | None = Field(default=None, max_length=10)


class CanaryCreate(BaseModel):
    """Let a version have a growing share of its model's traffic, and none as soon as it does badly.

    `model` names the version; where the deployment does not hold it yet, it is added. Each of the `steps` (rising
    shares in per cent; 100 follows by itself) lasts `step_seconds` at the least and until the version has answered
    `least_requests`. It is rolled back where more than `error_rate` of its answers are errors, or where the 95th
    percentile of their times is more than `latency_ratio` times that of the other versions.
    """

    model: str = Field(max_length=300, examples=["sales/churn/v3"])
    steps: list[Annotated[int, Field(ge=1, le=99)]] = Field(default=[5, 25, 50], min_length=1, max_length=20)
    step_seconds: float = Field(default=60, ge=1, le=604_800)
    least_requests: int = Field(default=50, ge=1, le=1_000_000_000)
    error_rate: float = Field(default=0.02, ge=0, le=1)
    latency_ratio: float = Field(default=1.5, ge=1, le=1000)


class CanaryEnd(BaseModel):
    """End the canary of `model`: with `promote` its version gets all of the traffic, else what it had before."""

    model: str = Field(max_length=300, examples=["sales/churn"])
    promote: bool


class Deployed(BaseModel):
    """A version that a deployment holds, and where it answers."""

    model: str
    version: str
    weight: int
    path: str


class Traffic(BaseModel):
    """The rules by which a model's requests are shared out, besides the weights."""

    model: str
    headers: list[HeaderRule]
    sticky: str | None
    shadows: list[Shadow]


class Canary(BaseModel):
    """A canary. `share` is what its version has now, in per cent; `since` is when the present step or the end began.

    `version` is null where that was deleted since.
    """

    id: str
    model: str
    version: str | None
    state: CanaryState
    reason: str
    share: int
    step: int
    steps: list[int]
    step_seconds: float
    least_requests: int
    error_rate: float
    latency_ratio: float
    since: datetime
    created_at: datetime
    created_by: str


class Replica(BaseModel):
    """One process of a deployment. `revision` is the one that it was started for; weights and rules may be newer."""

    id: str
    revision: int
    state: Literal["starting", "ready", "draining", "ended"]
    message: str
    started_at: datetime


class Deployment(BaseModel):
    """A deployment: what is `wanted`, and in `state` what is.

    `replicas` is 0 where autoscaling let it fall asleep. `traffic` lists the models that have rules, `canaries` the
    last canary of each model that had one.
    """

    id: str
    key: str
    environment: str
    lane: Lane
    replicas: int
    ready_replicas: int
    autoscale: Autoscale | None
    revision: int
    wanted: DeploymentWish
    state: DeploymentState
    message: str
    models: list[Deployed]
    traffic: list[Traffic]
    canaries: list[Canary]
    processes: list[Replica]
    created_at: datetime
    created_by: str


class Revision(BaseModel):
    """One content that a deployment had. `deleted` is how many of its versions are not there any more."""

    number: int
    models: list[Deployed]
    deleted: int
    traffic: list[Traffic]
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
