"""What the task and run routes take and answer."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from modelyard.features.jobs.schemas import Job, JobState
from modelyard.features.models.schemas import ModelPath

RowKind = Literal["training", "build"]
RunKind = Literal["training", "build", "trial"]
RunState = JobState | Literal["pruned"]
TaskName = Annotated[str, Field(min_length=1, max_length=200)]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
Horizon = Annotated[int, Field(ge=1, le=10_000, description="How many steps ahead, for time series.")]
MetricName = Annotated[str, Field(pattern=r"^[a-z0-9_]+$", max_length=64, examples=["roc_auc"])]
VersionPath = Annotated[str, Field(max_length=320, examples=["operations/logs/v3"])]


class Search(BaseModel):
    """A search for better parameters: at most `trials`, for at most `seconds`.

    It ends early after `patience` trials without a better one. Parameters that were given are left as they are.
    """

    trials: int = Field(ge=1, le=10_000)
    seconds: float | None = Field(default=None, gt=0, le=604_800)
    patience: int | None = Field(default=None, ge=1, le=10_000)


class TaskCreate(BaseModel):
    """A training task to make. `dataset` is a name or id; `release` its number, the newest where none is given.

    Without `algorithm` the scenario's default counts, without `configuration` (an id or a name) the algorithm's; "none"
    is no configuration. `parameters` overrule the configuration's. `metric` decides between trials. `previous` is a
    version that learning goes on from, where the algorithm can.
    """

    name: TaskName | None = None
    dataset: str
    release: int | None = Field(default=None, ge=1)
    algorithm: str | None = Field(default=None, examples=["tabular-classification/lightgbm"])
    configuration: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    target: str | None = None
    model: ModelPath
    horizon: Horizon | None = None
    seed: Seed = 0
    search: Search | None = None
    metric: MetricName | None = None
    previous: VersionPath | None = None


class TaskChange(BaseModel):
    """What is to change of a task. `parameters` take the place of those that were given before."""

    name: TaskName | None = None
    parameters: dict[str, Any] | None = None


class TaskClone(BaseModel):
    """How a copy of a task is to differ from it. `parameters` are laid over those that were given to it."""

    name: TaskName | None = None
    dataset: str | None = None
    release: int | None = Field(default=None, ge=1)
    algorithm: str | None = None
    configuration: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    target: str | None = None
    model: ModelPath | None = None
    horizon: Horizon | None = None
    seed: Seed | None = None
    search: Search | None = None
    metric: MetricName | None = None
    previous: VersionPath | None = None


class RunBrief(BaseModel):
    """A run in short. `value` is the metric `metric` of its version on the test rows."""

    id: str
    state: RunState
    version: str | None
    metric: str | None
    value: float | None
    created_at: datetime


class Task(BaseModel):
    """A training task. `dataset` is the release as `name@number`; `fixed` names the parameters that somebody gave.

    `best_run` is the best of those that succeeded, by the task's metric or the one that decided.
    """

    id: str
    name: str
    algorithm: str
    configuration: str | None
    parameters: dict[str, Any]
    fixed: list[str]
    dataset: str
    release: str
    target: str
    model: str
    horizon: int | None
    seed: int
    search: Search | None
    metric: str | None
    previous: str | None
    last_run: RunBrief | None
    best_run: RunBrief | None
    created_at: datetime
    created_by: str


class RunMetric(BaseModel):
    """A metric on the test rows with its 95 % interval, and what a trivial predictor reaches on the same rows."""

    name: str
    value: float
    lower: float
    upper: float
    baseline: float
    direction: str


class FailureReason(BaseModel):
    """Why a run failed, for a reader who knows the problem but not the platform: `what` happened, what to do `next`.

    The technical message is the job's `error`.
    """

    code: str
    what: str
    next: str


class Run(BaseModel):
    """One execution: its job, and the version it made once it has.

    A trial of a search is a run of kind `trial` whose id is its `parent`'s with a number, `run_01….3`; its job is the
    parent's. `primary` names the metric that decided, `value` is that of the version on the test rows, of a trial on
    the validation rows. `parameters` are the version's once there is one, before that what was asked for.
    `environment` is what the version was made with.
    """

    id: str
    kind: RunKind
    state: RunState
    parent: str | None
    task: str | None
    job: Job
    release: str
    model: str
    intent: str | None
    plan: dict[str, Any] | None
    version: str | None
    algorithm: str | None
    parameters: dict[str, Any]
    environment: dict[str, Any]
    primary: str | None
    value: float | None
    metrics: list[RunMetric]
    seconds: float | None
    reason: FailureReason | None
    note: str
    created_at: datetime
    created_by: str


class Difference(BaseModel):
    """A parameter that is not the same in all runs that are compared; null where a run has no such parameter."""

    name: str
    values: list[Any]


class MetricRow(BaseModel):
    """One metric of all runs that are compared; null where a run does not have it."""

    name: str
    direction: str
    values: list[RunMetric | None]


class Curve(BaseModel):
    """One metric's history in all runs that are compared: for each step the value of each run, null where it has none.

    Of a long history some steps are left out, evenly.
    """

    name: str
    steps: list[int]
    values: list[list[float | None]]


class Comparison(BaseModel):
    """Runs side by side; every list of values is in the order of `runs`."""

    runs: list[Run]
    parameters: list[Difference]
    metrics: list[MetricRow]
    curves: list[Curve]
