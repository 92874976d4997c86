"""What the routes of batch predictions take and answer."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from modelyard.features.jobs.schemas import Job
from modelyard.protocol.batch import OnError, Output

Purpose = Literal["training", "validation", "test"]


class BatchCreate(BaseModel):
    """Rows to predict: those of a dataset's release (the newest where none is named), or of a file that was uploaded.

    `model` is `prefix/name`, or that with a version or stage. `purpose` takes only rows that are for it. With
    `on_error` tolerant, rows that do not fit stay without a prediction; with strict they end the job.
    """

    model: str = Field(min_length=3, max_length=320, examples=["sales/churn/v3"])
    dataset: str | None = Field(default=None, max_length=100)
    release: int | None = Field(default=None, ge=1)
    purpose: Purpose | None = None
    file: str | None = Field(default=None, max_length=64)
    parameters: dict[str, Any] = Field(default_factory=dict)
    output: Output = "csv"
    on_error: OnError = "strict"


class PredictionFile(BaseModel):
    """A file that may be predicted; `size` in bytes."""

    id: str
    filename: str
    size: int
    sha256: str
    created_at: datetime


class RowProblem(BaseModel):
    """What is wrong with one row, counted from 1."""

    row: int
    column: str
    message: str


class BatchResult(BaseModel):
    """What came of it: `rows` in the file, `unfit` of the table's rows without a prediction, the first ones named."""

    filename: str
    size: int
    rows: int
    unfit: int
    seconds: float
    problems: list[RowProblem]


class BatchPrediction(BaseModel):
    """A batch prediction: where its rows come from, its job, and its result once there is one."""

    id: str
    model: str
    dataset: str | None
    release: int | None
    purpose: Purpose | None
    file: str | None
    filename: str
    parameters: dict[str, Any]
    output: Output
    on_error: OnError
    job: Job
    result: BatchResult | None
    created_at: datetime
    created_by: str
