"""Rate limits of keys and prefixes."""

from __future__ import annotations

from modelyard.core.errors import Invalid
from modelyard.features.limits import schemas
from modelyard.sdk.calls import call, delete, fetch, get, pages, put
from modelyard.sdk.entity import Listing
from modelyard.sdk.flow import Flow, Mode, Resource, operation


class Limits(Resource[Mode]):
    """How fast a key may ask, and how fast all callers together may ask of a prefix."""

    @operation
    def list(self, *, limit: int | None = None) -> Flow[Listing[schemas.RateLimit]]:
        """The limits, newest first."""
        return Listing((yield from pages(self, get("limits"), schemas.RateLimit, limit)))

    @operation
    def set(
        self,
        *,
        prefix: str | None = None,
        key: str | None = None,
        requests: float | None = None,
        rows: float | None = None,
    ) -> Flow[schemas.RateLimit]:
        """Allow a prefix, or the API key with this id, so many requests and rows a second; None is no limit.

        It takes the place of the limit there was, and holds at every gateway within a second. Raises Invalid, NotFound.
        """
        body = {"requests": requests, "rows": rows}
        # Written out for each, so that a look at this file tells which routes it calls.
        if _is_of_prefix(prefix, key):
            request = put("limits", "prefixes", prefix or "", body=body)
        else:
            request = put("limits", "keys", key or "", body=body)
        return (yield from fetch(self, request, schemas.RateLimit))

    @operation
    def remove(self, *, prefix: str | None = None, key: str | None = None) -> Flow[None]:
        """Limit a prefix, or the API key with this id, no longer. Raises NotFound where it has no limit."""
        of_prefix = _is_of_prefix(prefix, key)
        yield from call(
            self, delete("limits", "prefixes", prefix or "") if of_prefix else delete("limits", "keys", key or "")
        )


def _is_of_prefix(prefix: str | None, key: str | None) -> bool:
    if (prefix is None) == (key is None):
        raise Invalid("A rate limit is of a prefix or of a key: name one of the two.")
    return prefix is not None
