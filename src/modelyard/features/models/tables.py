"""Rows of prefixes, models and versions. Private to this feature."""

from typing import Any

from sqlalchemy import JSON, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from modelyard.features.models.schemas import Stage
from modelyard.storage.db.base import Owned, Table


class PrefixRow(Owned, Table):
    """A namespace of models."""

    __tablename__ = "prefixes"
    __table_args__ = (UniqueConstraint("organisation", "path"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    path: Mapped[str]


class ModelRow(Owned, Table):
    """`<prefix>/<name>`. `last_number` is the newest version ever made: a number is never given twice."""

    __tablename__ = "models"
    __table_args__ = (UniqueConstraint("organisation", "prefix", "name"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    prefix: Mapped[str]
    name: Mapped[str]
    description: Mapped[str]
    last_number: Mapped[int]


class VersionRow(Owned, Table):
    """One immutable result. `folder` is its object-store prefix, `checksum` the SHA-256 of its SHA256SUMS.

    `job` is unique: a run that reports twice makes one version.
    """

    __tablename__ = "versions"
    __table_args__ = (UniqueConstraint("model", "number"), UniqueConstraint("job"))

    id: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(ForeignKey("models.id"), index=True)
    number: Mapped[int]
    stage: Mapped[Stage | None] = mapped_column(String)
    job: Mapped[str | None]
    folder: Mapped[str]
    checksum: Mapped[str]
    files: Mapped[list[Any]] = mapped_column(JSON)
    signature: Mapped[dict[str, Any]] = mapped_column(JSON)
    artifact: Mapped[dict[str, Any]] = mapped_column(JSON)
    evaluation: Mapped[dict[str, Any]] = mapped_column(JSON)
    lineage: Mapped[dict[str, Any]] = mapped_column(JSON)


class HoldRow(Table):
    """Somebody who needs a version: while a row is here, the version cannot be deleted."""

    __tablename__ = "version_holds"

    version: Mapped[str] = mapped_column(ForeignKey("versions.id"), primary_key=True)
    holder: Mapped[str] = mapped_column(primary_key=True)
