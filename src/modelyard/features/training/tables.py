"""Rows of jobs, training tasks and runs. Private to this feature."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from modelyard.features.training.schemas import JobState, RunKind
from modelyard.storage.db.base import Owned, Table


class JobRow(Owned, Table):
    """A job: the row is the queue. Whoever holds `token` while `lease_until` has not passed may write.

    `sequence` is the number of the next event the api takes, `first_sequence` that of the present worker's first.
    `fraction` runs from 0 to 1, `eta_seconds` is an estimate.
    """

    __tablename__ = "jobs"
    __table_args__ = (Index("ix_jobs_state_id", "state", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    title: Mapped[str]
    state: Mapped[JobState] = mapped_column(String)
    token: Mapped[int]
    attempts: Mapped[int]
    lease_until: Mapped[datetime | None]
    not_before: Mapped[datetime | None]
    stop_wanted: Mapped[bool]
    sequence: Mapped[int] = mapped_column(BigInteger)
    first_sequence: Mapped[int] = mapped_column(BigInteger)
    phase: Mapped[str]
    fraction: Mapped[float]
    eta_seconds: Mapped[float | None]
    payload: Mapped[dict[str, Any]] = mapped_column(JSON)
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    failure: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


class JobLineRow(Table):
    """One line of a job's log, numbered by its event."""

    __tablename__ = "job_lines"

    job: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    at: Mapped[float]
    stream: Mapped[str]
    line: Mapped[str]


class JobMetricRow(Table):
    """One point of a metric's history, numbered by its event."""

    __tablename__ = "job_metrics"

    job: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    name: Mapped[str]
    step: Mapped[int] = mapped_column(BigInteger)
    value: Mapped[float]
    at: Mapped[float]


class TaskRow(Owned, Table):
    """A training task: algorithm, parameters and release, to be run again and again. `model` is `<prefix>/<name>`."""

    __tablename__ = "training_tasks"

    id: Mapped[str] = mapped_column(primary_key=True)
    algorithm: Mapped[str]
    parameters: Mapped[dict[str, Any]] = mapped_column(JSON)
    release: Mapped[str] = mapped_column(ForeignKey("releases.id"))
    target: Mapped[str]
    model: Mapped[str]


class RunRow(Owned, Table):
    """One execution of a task or of a build. `task` is None for a build; `plan` what a build understood."""

    __tablename__ = "runs"
    __table_args__ = (UniqueConstraint("job"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[RunKind] = mapped_column(String)
    task: Mapped[str | None] = mapped_column(ForeignKey("training_tasks.id"), index=True)
    job: Mapped[str] = mapped_column(ForeignKey("jobs.id"))
    release: Mapped[str] = mapped_column(ForeignKey("releases.id"))
    model: Mapped[str]
    intent: Mapped[str | None]
    plan: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    version: Mapped[str | None]
