"""Who is calling, for routes.

`Annotated[Principal, Depends(allow("write"))]`. A route without one is a failing test.
"""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant

from modelyard.features.auth import operations
from modelyard.features.auth.permissions import Action, Principal, check
from modelyard.web.session import PlatformOf


def current(request: Request, platform: PlatformOf) -> Principal:
    """FastAPI dependency: the principal. Raises Unauthenticated.

    A transaction of its own, over before the route begins: an upload of an hour must not hold one.
    """
    now = platform.clock.now()
    with platform.database.session(read_only=True) as session:
        principal = operations.identify(session, request.headers, platform.presented, platform.settings, now)
        stale = operations.use_is_stale(session, principal, now)
    if stale:
        with platform.database.session() as session:
            operations.note_use(session, principal, now)
    return principal


def allow(action: Action) -> Callable[..., Principal]:
    """A dependency that lets only those in who may do `action`, and gives the route who it is."""

    def allowed(principal: Annotated[Principal, Depends(current)]) -> Principal:
        check(principal, action)
        return principal

    return _marked(allowed, action)


def public() -> Callable[..., None]:
    """A dependency that says: this route is meant to be open to everybody."""

    def everybody() -> None:
        return None

    return _marked(everybody, "public")


def permission_of(dependant: Dependant) -> str | None:
    """What a route asks its caller to be allowed to do; "public" for nothing, None where none of its parts says."""
    waiting = list(dependant.dependencies)
    while waiting:
        dependency = waiting.pop()
        found: str | None = getattr(dependency.call, "permission", None)
        if found is not None:
            return found
        waiting += dependency.dependencies
    return None


def _marked(dependency: Callable[..., Any], permission: str) -> Callable[..., Any]:
    dependency.permission = permission  # type: ignore[attr-defined]
    return dependency


_reader, _writer, _manager = allow("read"), allow("write"), allow("manage")
Reader = Annotated[Principal, Depends(_reader)]
Writer = Annotated[Principal, Depends(_writer)]
Manager = Annotated[Principal, Depends(_manager)]
Public = Depends(public())
