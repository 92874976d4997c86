"""What a worker and the api say to each other about one job."""

from typing import Any, Literal

import msgspec

State = Literal["queued", "starting", "running", "stopping", "needs_input", "succeeded", "failed", "stopped"]
TERMINAL: frozenset[str] = frozenset({"succeeded", "failed", "stopped"})


class TableInput(msgspec.Struct, frozen=True, kw_only=True):
    """One Parquet table in the object store and what its rows are for."""

    key: str
    purpose: Literal["training", "validation", "test"]
    rows: int


class CandidateSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One algorithm to try: `<scenario>/<name>` and its parameters as the form gives them."""

    algorithm: str
    parameters: dict[str, Any] = {}


class SearchSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A search for better parameters of the one candidate: at most `trials`, for at most `seconds`.

    It ends early after `patience` trials without a better one. Parameters that the candidate fixes are not searched.
    """

    trials: int
    seconds: float | None = None
    patience: int | None = None


class TrainSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A training run: tables in, one version folder out, below the object-store prefix `output`.

    Where no table has the purpose test (or validation), the platform splits training rows with `seed`.
    `drop` are columns that are not used (identifiers, leaks). `seconds` is a budget: after it no further candidate
    begins. `roles` name columns by what they are (features/datasets/roles.py): time, series, text. `horizon` is how
    many steps ahead series are predicted. `previous` is the object-store prefix of a version to go on from.
    """

    scenario: str
    target: str
    tables: tuple[TableInput, ...]
    candidates: tuple[CandidateSpec, ...]
    output: str
    model: str
    release: str
    positive: str | None = None
    metric: str | None = None
    drop: tuple[str, ...] = ()
    seed: int = 0
    seconds: float | None = None
    intent: str | None = None
    reasons: tuple[str, ...] = ()
    roles: dict[str, str] = {}
    horizon: int | None = None
    search: SearchSpec | None = None
    previous: str | None = None


class JobSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is given when it claims its job. `kind` chooses the recipe `worker/recipes/<kind>.py`.

    `checkpoint` is the last one that a worker before this one left.
    """

    id: str
    kind: str
    token: int
    lease_seconds: float
    payload: dict[str, Any]
    attempt: int = 1
    checkpoint: dict[str, Any] | None = None


class Progress(msgspec.Struct, frozen=True, kw_only=True, tag="progress"):
    """How far: a phase in words, the fraction of the whole from 0 to 1, and the estimated seconds that remain."""

    phase: str
    fraction: float
    eta_seconds: float | None = None


class LogLine(msgspec.Struct, frozen=True, kw_only=True, tag="log"):
    """One line of the job's log."""

    line: str
    at: float
    stream: Literal["out", "err", "platform"] = "out"


class MetricPoint(msgspec.Struct, frozen=True, kw_only=True, tag="metric"):
    """One point of a metric's history."""

    name: str
    step: int
    value: float
    at: float


class Record(msgspec.Struct, frozen=True, kw_only=True, tag="record"):
    """Something found on the way, such as a trial of a search; a later one of the same kind and key replaces it."""

    kind: str
    key: str
    data: dict[str, Any]
    at: float


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True, tag="checkpoint"):
    """What the next worker is to know, should this one be lost; it replaces the one before."""

    data: dict[str, Any]


Told = Progress | LogLine | MetricPoint
"""What a command that runs shut in may say."""

Event = Told | Record | Checkpoint


class EventBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Events in order; `sequence` is the number of the first. The api takes each number once."""

    token: int
    sequence: int
    events: tuple[Event, ...]


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """A worker's sign of life."""

    token: int


class HeartbeatAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the job is to stop."""

    stop: bool = False


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a job failed: a stable code, a sentence with the next step, and fields where they are known."""

    code: str
    message: str
    detail: dict[str, Any] = {}
    fields: tuple[dict[str, Any], ...] = ()


class Finish(msgspec.Struct, frozen=True, kw_only=True):
    """A job's end.

    `released` gives the lease back without an end: the worker was asked to leave, another takes over.
    """

    token: int
    outcome: Literal["succeeded", "failed", "stopped", "released"]
    result: dict[str, Any] = {}
    failure: Failure | None = None
