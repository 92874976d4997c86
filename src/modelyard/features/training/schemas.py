"""What the job, task and run routes take and answer."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from modelyard.features.models.schemas import ModelPath

JobState = Literal["queued", "starting", "running", "stopping", "needs_input", "succeeded", "failed", "stopped"]
RunKind = Literal["training", "build"]
ENDED = frozenset({"succeeded", "failed", "stopped"})


class Progress(BaseModel):
    """How far a job is: `fraction` from 0 to 1, `eta_seconds` an estimate of what remains."""

    phase: str
    fraction: float
    eta_seconds: float | None


class Job(BaseModel):
    """A long-running operation. `place` is its place in the queue, from 1, while it waits."""

    id: str
    kind: str
    title: str
    state: JobState
    progress: Progress
    place: int | None
    attempts: int
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    created_at: datetime
    created_by: str
    started_at: datetime | None
    ended_at: datetime | None


class LogLine(BaseModel):
    """One line of a job's log; `at` is Unix time in seconds."""

    sequence: int
    at: float
    stream: str
    line: str


class MetricPoint(BaseModel):
    """One point of a metric's history."""

    sequence: int
    name: str
    step: int
    value: float
    at: float


class TaskCreate(BaseModel):
    """A training task to make. `dataset` is a name or id; `release` its number, the newest where none is given."""

    dataset: str
    release: int | None = Field(default=None, ge=1)
    algorithm: str = Field(examples=["tabular-classification/lightgbm"])
    parameters: dict[str, Any] = Field(default_factory=dict)
    target: str | None = None
    model: ModelPath


class Task(BaseModel):
    """A training task."""

    id: str
    algorithm: str
    parameters: dict[str, Any]
    release: str
    target: str
    model: str
    created_at: datetime
    created_by: str


class Run(BaseModel):
    """One execution: its job, and the version it made once it has."""

    id: str
    kind: RunKind
    task: str | None
    job: Job
    release: str
    model: str
    intent: str | None
    plan: dict[str, Any] | None
    version: str | None
    created_at: datetime
    created_by: str
