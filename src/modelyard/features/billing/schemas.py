"""What the usage route answers."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from modelyard.core.paging import Page

Dimension = Literal["hour", "key", "prefix", "model", "version", "status"]
ModelPath = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*(/[a-z0-9][a-z0-9_-]*)+$", max_length=400)]
CallerId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]*$", max_length=200)]


class Counts(BaseModel):
    """Sums over calls: bodies in bytes as they were on the wire, time from the last byte read to the answer."""

    requests: int
    rows: int
    bytes_in: int
    bytes_out: int
    micros: int


class UsageTotal(Counts):
    """The calls of one group. What they are not grouped by is None; a version's come with its model.

    `hour` is its beginning, `key` the id of an API key, or of a user who was logged in, `model` is `prefix/name`, and
    `version` is empty where no version was chosen.
    """

    hour: datetime | None = None
    key: str | None = None
    prefix: str | None = None
    model: str | None = None
    version: str | None = None
    status: int | None = None


class Usage(Page[UsageTotal]):
    """Groups, newest hour first, and what all of them make together, those of other pages included."""

    overall: Counts
