"""Rows of users and what they hold. Private to this feature."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from modelyard.features.auth.schemas import Role
from modelyard.storage.db.base import Table


class OrganisationRow(Table):
    """The owner of everything else."""

    __tablename__ = "organisations"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    created_at: Mapped[datetime]


class UserRow(Table):
    """A person who may log in."""

    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("username"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    organisation: Mapped[str] = mapped_column(ForeignKey("organisations.id"), index=True)
    username: Mapped[str]
    role: Mapped[Role] = mapped_column(String)
    password_hash: Mapped[str]
    disabled: Mapped[bool]
    created_at: Mapped[datetime]


class ApiKeyRow(Table):
    """A key: its digest, never its text. `prefixes` None: every prefix."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    organisation: Mapped[str] = mapped_column(ForeignKey("organisations.id"), index=True)
    user: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[str]
    hint: Mapped[str]
    digest: Mapped[str] = mapped_column(unique=True)
    read_only: Mapped[bool]
    prefixes: Mapped[list[Any] | None] = mapped_column(JSON(none_as_null=True))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
