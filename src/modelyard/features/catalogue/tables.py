"""Rows of configurations and of what administrators decided. Private to this feature."""

from typing import Any

from sqlalchemy import JSON, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from modelyard.storage.db.base import Owned, Table


class ConfigurationRow(Owned, Table):
    """Named parameters of an algorithm, `<scenario>/<name>`: only those that were given, as its form reads them."""

    __tablename__ = "configurations"
    __table_args__ = (UniqueConstraint("organisation", "algorithm", "name"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    algorithm: Mapped[str]
    name: Mapped[str]
    title: Mapped[str]
    description: Mapped[str]
    parameters: Mapped[dict[str, Any]] = mapped_column(JSON)
    enabled: Mapped[bool]


class ChoiceRow(Table):
    """What was decided about a scenario or an algorithm (`subject`); without a row, what the platform comes with.

    `default` is the algorithm or the configuration's id to take where nobody names one.
    """

    __tablename__ = "catalogue_choices"

    organisation: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    enabled: Mapped[bool]
    default: Mapped[str | None]
