"""Rows of rate limits. Private to this feature."""

from sqlalchemy import String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from modelyard.features.limits.schemas import LimitKind
from modelyard.storage.db.base import Owned, Table


class RateLimitRow(Owned, Table):
    """The limit of a key (`subject` is its id) or of a prefix. It is replaced whole: `created_*` is of the present one.

    A key's row may outlive the key: no caller is limited by it then.
    """

    __tablename__ = "rate_limits"
    __table_args__ = (UniqueConstraint("organisation", "kind", "subject"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[LimitKind] = mapped_column(String)
    subject: Mapped[str]
    requests: Mapped[float | None]
    rows: Mapped[float | None]
