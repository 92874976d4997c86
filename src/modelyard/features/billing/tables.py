"""Rows of usage. Private to this feature."""

from datetime import datetime

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from modelyard.storage.db.base import Table


class UsageJournalRow(Table):
    """How far a gateway's journal was taken, in bytes. `shipped_at` once its file is deleted."""

    __tablename__ = "usage_journals"

    name: Mapped[str] = mapped_column(primary_key=True)
    accepted: Mapped[int] = mapped_column(BigInteger)
    shipped_at: Mapped[datetime | None] = mapped_column(index=True)


class UsageTotalRow(Table):
    """What one caller asked of one version of a model within one hour (its beginning, UTC), with one status.

    `prefix` and `model` have the names that were called, without each other; `version` is 0 where none was chosen.
    """

    __tablename__ = "usage_totals"

    organisation: Mapped[str] = mapped_column(primary_key=True)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    caller: Mapped[str] = mapped_column(primary_key=True)
    prefix: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    status: Mapped[int] = mapped_column(primary_key=True)
    requests: Mapped[int] = mapped_column(BigInteger)
    rows: Mapped[int] = mapped_column(BigInteger)
    bytes_in: Mapped[int] = mapped_column(BigInteger)
    bytes_out: Mapped[int] = mapped_column(BigInteger)
    micros: Mapped[int] = mapped_column(BigInteger)
