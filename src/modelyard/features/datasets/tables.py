"""Rows of datasets. Private to this feature."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from modelyard.features.datasets.schemas import ReleaseState
from modelyard.storage.db.base import Owned, Table


class DatasetRow(Owned, Table):
    """A dataset; `target` is the column to predict, where its owner named one."""

    __tablename__ = "datasets"
    __table_args__ = (UniqueConstraint("organisation", "name"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    scenario: Mapped[str]
    description: Mapped[str]
    target: Mapped[str | None]


class SampleRow(Owned, Table):
    """One uploaded file.

    `state`: importing until it is whole, ready, removed while a release still holds its objects.
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


class ReleaseRow(Owned, Table):
    """An immutable snapshot: `manifest` names each file with its checksum, `checksum` is the manifest's own."""

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
    published_at: Mapped[datetime | None]
