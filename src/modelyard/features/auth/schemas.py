"""What the auth routes take and answer."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

Role = Literal["viewer", "editor", "administrator"]
Prefix = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*(/[a-z0-9][a-z0-9_-]*)*$", max_length=200)]


class Login(BaseModel):
    """A user's name and password."""

    username: str = Field(max_length=200)
    password: str = Field(max_length=1000)


class Token(BaseModel):
    """What a login answers: send it as `Authorization: Bearer <access_token>` for `expires_in` seconds."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - the kind of token, not one
    expires_in: int


class Me(BaseModel):
    """Who the caller is and what the caller may do."""

    user: str
    username: str
    role: Role
    organisation: str
    api_key: str | None = None
    read_only: bool = False
    prefixes: list[str] | None = None
    enterprise_mode: bool = False


class PasswordChange(BaseModel):
    """The caller's own password, old and new."""

    old: str = Field(max_length=1000)
    new: str = Field(min_length=10, max_length=1000)


class ApiKeyCreate(BaseModel):
    """A key to make. Without `prefixes` it reaches every prefix its owner reaches."""

    name: str = Field(default="", max_length=200)
    read_only: bool = False
    prefixes: list[Prefix] | None = Field(default=None, max_length=100)
    expires_at: datetime | None = None


class ApiKey(BaseModel):
    """A key as it is listed: `hint` is its public beginning."""

    id: str
    name: str
    hint: str
    read_only: bool
    prefixes: list[str] | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class NewApiKey(ApiKey):
    """A key just made. `key` is shown this once."""

    key: str
