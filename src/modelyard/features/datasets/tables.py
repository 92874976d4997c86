"""Rows of datasets. Private to this feature."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from modelyard.features.datasets.schemas import ReleaseState
from modelyard.storage.db.base import Owned, Table


class DatasetRow(Owned, Table):
    """A dataset.

    `target` is the column to predict, `roles` name the columns that the scenario asks for besides (roles.py).
    `revision` counts every change of what a release would hold.
    """

    __tablename__ = "datasets"
    __table_args__ = (UniqueConstraint("organisation", "name"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    scenario: Mapped[str]
    description: Mapped[str]
    target: Mapped[str | None]
    roles: Mapped[dict[str, str]] = mapped_column(JSON)
    revision: Mapped[int] = mapped_column(BigInteger)


class SampleRow(Owned, Table):
    """One uploaded file.

    `state`: importing until it is whole, ready, failed, removed while a release still holds its objects. `original` is
    the key of the file as it came, `table` that of the canonical table. `purpose` is what all its rows are for, unless
    `purposes` is the key of an array that says it for each row; `counts` are the rows of each purpose. `problems` are
    what validation found. `job` imports it.
    """

    __tablename__ = "samples"

    id: Mapped[str] = mapped_column(primary_key=True)
    dataset: Mapped[str] = mapped_column(ForeignKey("datasets.id"), index=True)
    filename: Mapped[str]
    purpose: Mapped[str]
    state: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    rows: Mapped[int] = mapped_column(BigInteger)
    profile: Mapped[dict[str, Any]] = mapped_column(JSON)
    original: Mapped[str]
    table: Mapped[str]
    purposes: Mapped[str | None]
    counts: Mapped[dict[str, int]] = mapped_column(JSON)
    problems: Mapped[list[Any]] = mapped_column(JSON)
    job: Mapped[str | None]


class RowEditRow(Table):
    """A row of a sample that a person changed: new values of some columns, a deletion, or both None and False."""

    __tablename__ = "row_edits"

    sample: Mapped[str] = mapped_column(ForeignKey("samples.id"), primary_key=True)
    row: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    values: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    deleted: Mapped[bool]


class ChangeRow(Owned, Table):
    """One entry of a dataset's history: who did what, when."""

    __tablename__ = "dataset_changes"

    id: Mapped[str] = mapped_column(primary_key=True)
    dataset: Mapped[str] = mapped_column(index=True)
    action: Mapped[str]
    detail: Mapped[dict[str, Any]] = mapped_column(JSON)


class UploadRow(Owned, Table):
    """A file that arrives in pieces: `received` of `size` bytes are there, as objects below `uploads/<id>/`."""

    __tablename__ = "uploads"

    id: Mapped[str] = mapped_column(primary_key=True)
    dataset: Mapped[str] = mapped_column(ForeignKey("datasets.id"), index=True)
    filename: Mapped[str]
    purpose: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    received: Mapped[int] = mapped_column(BigInteger)
    pieces: Mapped[list[Any]] = mapped_column(JSON)
    options: Mapped[dict[str, Any]] = mapped_column(JSON)
    state: Mapped[str]
    touched_at: Mapped[datetime]


class ReleaseRow(Owned, Table):
    """An immutable snapshot: `manifest` names each table with its checksum, `checksum` is the manifest's own.

    `revision` is the dataset's when it was taken, `roles` are the columns' as they were then, `job` publishes it.
    """

    __tablename__ = "releases"
    __table_args__ = (UniqueConstraint("dataset", "number"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    dataset: Mapped[str] = mapped_column(ForeignKey("datasets.id"), index=True)
    number: Mapped[int]
    state: Mapped[ReleaseState] = mapped_column(String)
    note: Mapped[str]
    manifest: Mapped[list[Any]] = mapped_column(JSON)
    checksum: Mapped[str]
    rows: Mapped[int] = mapped_column(BigInteger)
    revision: Mapped[int] = mapped_column(BigInteger)
    roles: Mapped[dict[str, Any]] = mapped_column(JSON)
    profile: Mapped[dict[str, Any]] = mapped_column(JSON)
    failure: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    job: Mapped[str | None]
    published_at: Mapped[datetime | None]
