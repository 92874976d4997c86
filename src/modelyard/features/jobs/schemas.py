"""What the job routes answer."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel

JobState = Literal["queued", "starting", "running", "stopping", "needs_input", "succeeded", "failed", "stopped"]
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


class JobRecord(BaseModel):
    """Something a job found on its way, such as a trial of a search; `at` is Unix time in seconds."""

    kind: str
    key: str
    data: dict[str, Any]
    at: float
