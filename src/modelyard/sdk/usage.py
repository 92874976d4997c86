"""Usage: what was called, how often and how much."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from modelyard.core.errors import Invalid
from modelyard.features.billing import schemas
from modelyard.sdk.calls import PAGE, fetch, get
from modelyard.sdk.entity import Listing
from modelyard.sdk.flow import Flow, Mode, Resource, operation


class Totals(Listing[schemas.UsageTotal]):
    """Totals by group, newest hour first; `overall` is what all of them make together."""

    overall: schemas.Counts


class Usage(Resource[Mode]):
    """What was called: administrators see all of it, others what their own keys called."""

    @operation
    def totals(
        self,
        by: str | Sequence[schemas.Dimension] = "model",
        *,
        since: datetime | timedelta | None = None,
        until: datetime | None = None,
        key: str | None = None,
        prefix: str | None = None,
        model: str | None = None,
    ) -> Flow[Totals]:
        """Totals, grouped by one or more of hour, key, prefix, model, version and status.

        `since` is a time with a zone, or how long ago; both ends are taken in whole hours. `key` is the id of a key or
        a user, `prefix` takes those below it too, `model` is `prefix/name`. A call is counted a second or two after
        its answer. Raises Invalid.
        """
        if isinstance(since, timedelta):
            since = datetime.now(UTC) - since
        wanted: dict[str, Any] = {
            "by": by if isinstance(by, str) else ",".join(by),
            "from": _iso(since, "since"),
            "to": _iso(until, "until"),
            "key": key,
            "prefix": prefix,
            "model": model,
        }
        found, cursor = Totals(), None
        while True:
            page = yield from fetch(self, get("usage", **wanted, cursor=cursor, limit=PAGE), schemas.Usage)
            found += page.items
            found.overall = page.overall
            cursor = page.next_cursor
            if cursor is None:
                return found


def _iso(moment: datetime | None, name: str) -> str | None:
    if moment is not None and moment.tzinfo is None:
        raise Invalid(f"{name} needs a time zone: datetime.now(UTC), for instance.")
    return moment.isoformat() if moment is not None else None
