"""SQL over rate limits. Private to this feature."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from modelyard.features.limits.schemas import LimitKind
from modelyard.features.limits.tables import RateLimitRow
from modelyard.storage.db.paging import Paging, Rows, page


def limit(session: Session, organisation: str, kind: LimitKind, subject: str) -> RateLimitRow | None:
    """One limit."""
    wanted = (RateLimitRow.organisation == organisation, RateLimitRow.kind == kind, RateLimitRow.subject == subject)
    return session.scalars(select(RateLimitRow).where(*wanted)).first()


def limits(session: Session, organisation: str, visible: Sequence[str] | None, key: str | None, paging: Paging) -> Rows:
    """Limits, newest first; where `visible` prefixes are given, only theirs, those below them, and that of `key`."""
    statement = select(RateLimitRow).where(RateLimitRow.organisation == organisation)
    if visible is not None:
        subject = RateLimitRow.subject
        below = (or_(subject == one, subject.startswith(f"{one}/", autoescape=True)) for one in visible)
        own = and_(RateLimitRow.kind == "key", subject == key)
        statement = statement.where(or_(own, *(and_(RateLimitRow.kind == "prefix", each) for each in below)))
    return page(session, statement, RateLimitRow.id, paging)


def every_rate(session: Session) -> Sequence[tuple[LimitKind, str, float | None, float | None]]:
    """(kind, subject, requests, rows) of all limits of all organisations. Asked for often, so without row objects."""
    columns = (RateLimitRow.kind, RateLimitRow.subject, RateLimitRow.requests, RateLimitRow.rows)
    return session.execute(select(*columns).order_by(RateLimitRow.id)).all()


def put(session: Session, values: dict[str, Any]) -> None:
    """Write a limit, in the place of the one that its subject has. In one statement: two may set it at once."""
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    found = ("organisation", "kind", "subject")
    changed = {name: value for name, value in values.items() if name not in found}
    session.execute(insert(RateLimitRow).values(values).on_conflict_do_update(index_elements=found, set_=changed))
