"""Rows of batch predictions. Private to this feature."""

from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from modelyard.storage.db.base import Owned, Table


class PredictionFileRow(Owned, Table):
    """A file that was uploaded to be predicted: the object `prediction-files/<id>`, `size` in bytes."""

    __tablename__ = "prediction_files"

    id: Mapped[str] = mapped_column(primary_key=True)
    filename: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]


class BatchRow(Owned, Table):
    """One batch prediction by `version` (`prefix/model/vN`), whose prefix is `prefix`.

    Its rows are those of `release`, which has this `number`, of `dataset` with this `purpose` (None: all), or of a
    `file`. `result` is protocol.batch.Predicted, once there is one; all objects lie below `predictions/<id>`.
    """

    __tablename__ = "batch_predictions"

    id: Mapped[str] = mapped_column(primary_key=True)
    prefix: Mapped[str]
    version: Mapped[str]
    dataset: Mapped[str | None]
    release: Mapped[str | None] = mapped_column(index=True)
    number: Mapped[int | None]
    purpose: Mapped[str | None]
    file: Mapped[str | None]
    filename: Mapped[str]
    parameters: Mapped[dict[str, Any]] = mapped_column(JSON)
    output: Mapped[str]
    on_error: Mapped[str]
    job: Mapped[str] = mapped_column(ForeignKey("jobs.id"), index=True)
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
