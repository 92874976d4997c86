"""What the platform does about rate limits: keeps them. Gateways hold callers to them."""

from datetime import datetime

from sqlalchemy.orm import Session

from modelyard.core import ids
from modelyard.core.errors import Invalid, NotFound
from modelyard.features.auth import operations as auth
from modelyard.features.auth.operations import Principal, check
from modelyard.features.limits import queries
from modelyard.features.limits.schemas import LimitKind, RateLimitSet
from modelyard.features.limits.tables import RateLimitRow
from modelyard.protocol.routing import Rate
from modelyard.storage.db.paging import Paging, Rows


def put(
    session: Session, principal: Principal, kind: LimitKind, subject: str, wanted: RateLimitSet, now: datetime
) -> RateLimitRow:
    """Limit a key or a prefix, in the place of the limit it has.

    Raises Invalid where nothing is limited, NotFound where there is no such key.
    """
    _check(principal, kind, subject)
    if wanted.requests is None and wanted.rows is None:
        fields = [{"field": name, "message": "is missing"} for name in ("requests", "rows")]
        raise Invalid("A limit needs requests or rows. To have none, delete it.", fields=fields)
    if kind == "key":
        auth.find_key(session, principal, subject)
    values = {
        "id": ids.new("limit"),
        "kind": kind,
        "subject": subject,
        "requests": wanted.requests,
        "rows": wanted.rows,
    }
    queries.put(session, {**values, **principal.stamp(now)})
    return _get(session, principal, kind, subject)


def remove(session: Session, principal: Principal, kind: LimitKind, subject: str) -> None:
    """Limit a key or a prefix no longer. Raises NotFound where it has no limit."""
    _check(principal, kind, subject)
    session.delete(_get(session, principal, kind, subject))


def list_all(session: Session, principal: Principal, paging: Paging) -> Rows:
    """The limits, newest first: a narrowed key is shown those of its prefixes and its own."""
    return queries.limits(session, principal.organisation, principal.prefixes, principal.key, paging)


def rate_of(row: RateLimitRow) -> Rate:
    """A limit as the routing table has it."""
    return Rate(requests=row.requests, rows=row.rows)


def rates(session: Session) -> tuple[dict[str, Rate], dict[str, Rate]]:
    """All limits as the routing table has them: by key id, and by prefix."""
    found: dict[LimitKind, dict[str, Rate]] = {"key": {}, "prefix": {}}
    for kind, subject, requests, rows in queries.every_rate(session):
        found[kind][subject] = Rate(requests=requests, rows=rows)
    return found["key"], found["prefix"]


def _check(principal: Principal, kind: LimitKind, subject: str) -> None:
    check(principal, "manage", prefix=subject if kind == "prefix" else None)
    if kind == "key" and principal.prefixes is not None and subject != principal.key:
        raise NotFound(f"There is no API key {subject!r}, or it is not yours to see.")


def _get(session: Session, principal: Principal, kind: LimitKind, subject: str) -> RateLimitRow:
    row = queries.limit(session, principal.organisation, kind, subject)
    if row is None:
        raise NotFound(f"The {kind} {subject!r} has no rate limit. See `modelyard limit list`.")
    return row
