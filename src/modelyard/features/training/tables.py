"""Rows of training tasks and runs. Private to this feature."""

from typing import Any

from sqlalchemy import JSON, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from modelyard.features.training.schemas import RowKind
from modelyard.storage.db.base import Owned, Table


class TaskRow(Owned, Table):
    """A training task: algorithm, parameters and release, to be run again and again. `model` is `<prefix>/<name>`.

    `parameters` are all of them, `fixed` the names of those that somebody gave; a search leaves these alone.
    `configuration` is the id of the one they come from. `target` is "" where nothing is to be predicted. `horizon` is
    in steps. `previous` is the version, `<prefix>/<name>/vN`, that learning goes on from.
    """

    __tablename__ = "training_tasks"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    algorithm: Mapped[str]
    parameters: Mapped[dict[str, Any]] = mapped_column(JSON)
    fixed: Mapped[list[Any]] = mapped_column(JSON)
    configuration: Mapped[str | None] = mapped_column(index=True)
    release: Mapped[str] = mapped_column(ForeignKey("releases.id"), index=True)
    target: Mapped[str]
    model: Mapped[str]
    horizon: Mapped[int | None]
    seed: Mapped[int]
    search: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    metric: Mapped[str | None]
    previous: Mapped[str | None]


class RunRow(Owned, Table):
    """One execution of a task or of a build. `task` is None for a build; `plan` what a build understood.

    `made` says of the version that came of it: `algorithm`, `parameters`, `environment`. It stays when the version
    goes.
    """

    __tablename__ = "runs"
    __table_args__ = (UniqueConstraint("job"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[RowKind] = mapped_column(String)
    task: Mapped[str | None] = mapped_column(ForeignKey("training_tasks.id"), index=True)
    job: Mapped[str] = mapped_column(ForeignKey("jobs.id"))
    release: Mapped[str] = mapped_column(ForeignKey("releases.id"), index=True)
    model: Mapped[str]
    intent: Mapped[str | None]
    plan: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    version: Mapped[str | None]
    made: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
