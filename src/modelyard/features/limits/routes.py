"""REST: rate limits.

A prefix may be nested (`sales/europe`); in a path it is then written with `%2F` or simply with its slashes.
"""

from fastapi import APIRouter, Request

from modelyard.core.paging import Page
from modelyard.features.auth.dependencies import Manager, Reader
from modelyard.features.auth.operations import Principal
from modelyard.features.auth.schemas import Prefix
from modelyard.features.limits import operations, schemas
from modelyard.features.limits.tables import RateLimitRow
from modelyard.protocol.routing import Rate, RoutingTable
from modelyard.web.paging import PagingOf
from modelyard.web.requests import StrictRoute
from modelyard.web.session import DbSession, PlatformOf

router = APIRouter(prefix="/api/v1", tags=["limits"], route_class=StrictRoute)


@router.get("/limits")
def list_all(caller: Reader, session: DbSession, paging: PagingOf) -> Page[schemas.RateLimit]:
    """The rate limits, newest first."""
    found = operations.list_all(session, caller, paging)
    return Page(items=[_limit(row) for row in found.rows], next_cursor=found.next_cursor, total=found.total)


@router.put("/limits/prefixes/{prefix:path}")
def limit_prefix(
    prefix: Prefix, body: schemas.RateLimitSet, caller: Manager, platform: PlatformOf, request: Request
) -> schemas.RateLimit:
    """Limit what all callers together may ask of a prefix and those below it. Every gateway knows when this answers."""
    return _put("prefix", prefix, body, caller, platform, request)


@router.put("/limits/keys/{key}")
def limit_key(
    key: str, body: schemas.RateLimitSet, caller: Manager, platform: PlatformOf, request: Request
) -> schemas.RateLimit:
    """Limit what an API key may ask for. Every gateway knows when the answer comes."""
    return _put("key", key, body, caller, platform, request)


@router.delete("/limits/prefixes/{prefix:path}", status_code=204)
def remove_of_prefix(prefix: Prefix, caller: Manager, platform: PlatformOf, request: Request) -> None:
    """Limit a prefix no longer."""
    _remove("prefix", prefix, caller, platform, request)


@router.delete("/limits/keys/{key}", status_code=204)
def remove_of_key(key: str, caller: Manager, platform: PlatformOf, request: Request) -> None:
    """Limit an API key no longer."""
    _remove("key", key, caller, platform, request)


def _put(
    kind: schemas.LimitKind,
    subject: str,
    body: schemas.RateLimitSet,
    caller: Principal,
    platform: PlatformOf,
    request: Request,
) -> schemas.RateLimit:
    with platform.database.session() as session:
        row = operations.put(session, caller, kind, subject, body, platform.clock.now())
    _tell(request, kind, subject, operations.rate_of(row))
    return _limit(row)


def _remove(kind: schemas.LimitKind, subject: str, caller: Principal, platform: PlatformOf, request: Request) -> None:
    with platform.database.session() as session:
        operations.remove(session, caller, kind, subject)
    _tell(request, kind, subject, None)


def _tell(request: Request, kind: schemas.LimitKind, subject: str, rate: Rate | None) -> None:
    """Wait until every gateway goes by this rate, a second at the most."""

    def known(table: RoutingTable) -> bool:
        if kind == "prefix":
            return table.rates.get(subject) == rate
        return all(caller.rate == rate for caller in table.keys.values() if caller.id == subject)

    request.app.state.tell(known)


def _limit(row: RateLimitRow) -> schemas.RateLimit:
    return schemas.RateLimit(
        kind=row.kind,
        subject=row.subject,
        requests=row.requests,
        rows=row.rows,
        set_at=row.created_at,
        set_by=row.created_by,
    )
