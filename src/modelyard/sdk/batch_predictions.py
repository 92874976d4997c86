"""Batch predictions: the rows of a table, predicted as a job."""

from __future__ import annotations

import importlib
import io
import uuid
from pathlib import Path
from typing import Any, Literal

from modelyard.core.errors import Invalid
from modelyard.features.predictions import schemas
from modelyard.sdk.bodies import body_of
from modelyard.sdk.calls import call, delete, fetch, get, opened, pages, path, post, rest, save
from modelyard.sdk.entity import Entity, Listing, PandasMissing
from modelyard.sdk.flow import Flow, Mode, Request, Resource, operation
from modelyard.sdk.jobs import Job, Jobs, waiting
from modelyard.sdk.progress import Report
from modelyard.sdk.training import reference

Purpose = Literal["training", "validation", "test"]
Output = Literal["csv", "jsonl", "parquet"]
OnError = Literal["strict", "tolerant"]
READ_SECONDS = 600.0
"""How long a large result may pause on its way."""


class BatchPrediction(Entity[Mode, schemas.BatchPrediction]):
    """One batch prediction."""

    @property
    def job(self) -> Job[Mode]:
        """Its job, with progress and log."""
        return Job(self._connection, self.data.job)

    @operation
    def refresh(self) -> Flow[BatchPrediction[Mode]]:
        """Look again; the same object with what is known now."""
        yield from self._refresh()
        return self

    @operation
    def wait(self, *, progress: bool | Report = False, timeout: float | None = None) -> Flow[BatchPrediction[Mode]]:
        """Wait for the end; the same object then. As `Job.wait`."""
        yield from waiting(self.job, progress, timeout)
        yield from self._refresh()
        return self

    @operation
    def stop(self) -> Flow[Job[Mode]]:
        """Ask its job to stop; it has within two seconds. Raises JobOver."""
        return (yield from Jobs(self._connection).stop.flow(self.data.job.id))

    @operation
    def download(self, to: str | Path = ".") -> Flow[Path]:
        """The rows with their predictions as a file at `to` (a file, or a folder); where it is now.

        Raises BatchGoing, NoResult.
        """
        name = f"{Path(self.data.filename).stem}-predictions.{self.data.output}"
        request = get("batch-predictions", self.data.id, "result")
        return (yield from save(self, request, Path(to).expanduser(), name))

    @operation
    def to_pandas(self) -> Flow[Any]:
        """The rows with their predictions as a pandas DataFrame. Raises BatchGoing, NoResult, PandasMissing."""
        request = get("batch-predictions", self.data.id, "result")
        found = yield from opened(self, Request(method="GET", path=request.path, patience=READ_SECONDS))
        content = yield from rest(found)
        return _frame(content, self.data.output)

    @operation
    def delete(self) -> Flow[None]:
        """Delete it with its result. Raises BatchGoing while it runs."""
        yield from call(self, delete("batch-predictions", self.data.id))

    def _refresh(self) -> Flow[None]:
        self.data = yield from fetch(self, get("batch-predictions", self.data.id), schemas.BatchPrediction)

    def _label(self) -> str:
        return f"{self.data.id}: {self.data.filename} by {self.data.model} ({self.data.job.state})"


class BatchPredictions(Resource[Mode]):
    """Tables predicted as jobs."""

    @operation
    def create(
        self,
        model: str,
        data: Any,
        *,
        purpose: Purpose | None = None,
        parameters: dict[str, Any] | None = None,
        output: Output = "csv",
        on_error: OnError = "strict",
    ) -> Flow[BatchPrediction[Mode]]:
        """Predict all rows of `data` by `model` (`prefix/name`, or that with `/vN`, `/latest` or a stage).

        `data` is a file (a path, bytes, an open binary file, a data frame), or a dataset as `name` or `name@release`,
        of which `purpose` takes some rows only. A text that names a file that is there is its path. The result has all
        columns of the rows, and the predictions beside them. With `on_error` tolerant, rows that do not fit stay
        without a prediction. Raises NotFound, and Invalid for what cannot be chosen.
        """
        body: dict[str, Any] = {
            "model": model, "purpose": purpose, "parameters": parameters or {}, "output": output, "on_error": on_error
        }  # fmt: skip
        if isinstance(data, str) and not Path(data).expanduser().is_file():
            body["dataset"], body["release"] = reference(data)
        else:
            if purpose is not None:
                raise Invalid("Only rows of a dataset have a purpose. Leave it out for a file.")
            body["file"] = (yield from self._send(data)).id
        created = yield from fetch(self, post("batch-predictions", body=body), schemas.BatchPrediction)
        return BatchPrediction(self._connection, created)

    @operation
    def get(self, batch_prediction: str) -> Flow[BatchPrediction[Mode]]:
        """One batch prediction. Raises NotFound."""
        data = yield from fetch(self, get("batch-predictions", batch_prediction), schemas.BatchPrediction)
        return BatchPrediction(self._connection, data)

    @operation
    def list(self, *, limit: int | None = None) -> Flow[Listing[BatchPrediction[Mode]]]:
        """The batch predictions, newest first."""
        found = yield from pages(self, get("batch-predictions"), schemas.BatchPrediction, limit)
        return Listing(BatchPrediction(self._connection, data) for data in found)

    def _send(self, data: Any) -> Flow[schemas.PredictionFile]:
        body = body_of(data)
        request = Request(
            method="POST",
            path=path("batch-predictions", "files"),
            params={"filename": body.name},
            headers={"content-type": "application/octet-stream", "idempotency-key": uuid.uuid4().hex},
            content=body,
        )
        return (yield from fetch(self, request, schemas.PredictionFile))


def _frame(content: bytes, output: Output) -> Any:
    try:
        pandas = importlib.import_module("pandas")
    except ModuleNotFoundError:
        raise PandasMissing("pandas is not installed here. Install it: pip install modelyard[pandas]") from None
    if output == "csv":
        return pandas.read_csv(io.BytesIO(content))
    if output == "jsonl":
        return pandas.read_json(io.BytesIO(content), lines=True)
    try:
        return pandas.read_parquet(io.BytesIO(content))
    except ImportError:
        raise PandasMissing("pandas reads Parquet by pyarrow. Install it, or choose another output.") from None
