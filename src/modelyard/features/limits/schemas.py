"""What the routes of rate limits take and answer."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

LimitKind = Literal["key", "prefix"]
# Strict: neither true nor "5" is a number.
PerSecond = Annotated[float, Field(gt=0, le=1e9, strict=True)]


class RateLimitSet(BaseModel):
    """How many requests and rows are allowed in a second, on average; null is no limit. One of the two is needed.

    What a second gives may come at once.
    """

    requests: PerSecond | None = None
    rows: PerSecond | None = None


class RateLimit(BaseModel):
    """A limit of one API key, or of one prefix and all prefixes below it. `subject` is the key's id or the prefix."""

    kind: LimitKind
    subject: str
    requests: float | None
    rows: float | None
    set_at: datetime
    set_by: str
