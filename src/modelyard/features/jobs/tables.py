"""Rows of jobs. Private to this feature."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from modelyard.features.jobs.schemas import JobState
from modelyard.storage.db.base import Owned, Table


class JobRow(Owned, Table):
    """A job: the row is the queue. Whoever holds `token` while `lease_until` has not passed may write.

    `sequence` is the number of the next event the api takes, `first_sequence` that of the present worker's first.
    `fraction` runs from 0 to 1, `eta_seconds` is an estimate. `checkpoint` is what a worker wants the next one to know.
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
    checkpoint: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
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


class JobRecordRow(Table):
    """Something a job found on its way, such as a trial: the last word on it, by its kind and key."""

    __tablename__ = "job_records"

    job: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger)
    data: Mapped[dict[str, Any]] = mapped_column(JSON)
    at: Mapped[float]
