"""What the platform tells about usage: totals of what the caller may see."""

import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple

import msgspec
from sqlalchemy.orm import Session

from modelyard.core.errors import Invalid
from modelyard.features.auth import operations as auth
from modelyard.features.auth.operations import Principal, check
from modelyard.features.billing import counting, queries
from modelyard.features.billing.queries import Wanted
from modelyard.features.billing.schemas import Counts, Dimension, Usage, UsageTotal
from modelyard.features.billing.tables import UsageTotalRow
from modelyard.storage.db.paging import Paging

_Text = Annotated[str, msgspec.Meta(pattern="^[^\x00]*$")]
_COLUMNS: dict[str, tuple[queries.Column, Any]] = {
    "hour": (UsageTotalRow.hour, datetime),
    "prefix": (UsageTotalRow.prefix, _Text),
    "model": (UsageTotalRow.model, _Text),
    "version": (UsageTotalRow.version, counting.Number),
    "caller": (UsageTotalRow.caller, _Text),
    "status": (UsageTotalRow.status, counting.Number),
}
_GROUPED: dict[Dimension, tuple[str, ...]] = {
    "hour": ("hour",),
    "key": ("caller",),
    "prefix": ("prefix",),
    "model": ("prefix", "model"),
    "version": ("prefix", "model", "version"),
    "status": ("status",),
}
"""The columns that each way of grouping needs: a model's name means nothing without its prefix."""


class Filter(NamedTuple):
    """Which calls are asked for; None is all. `prefix` reaches what is below it, `model` is `prefix/name`."""

    begin: datetime | None = None
    end: datetime | None = None
    key: str | None = None
    prefix: str | None = None
    model: str | None = None


def usage(session: Session, principal: Principal, by: Sequence[str], asked: Filter, paging: Paging) -> Usage:
    """Totals of what the caller may see: administrators all of their organisation's, others their own keys'.

    A key that is narrowed to prefixes shows these only. Raises Invalid, NotFound for a prefix that is not the caller's.
    """
    names = _columns(by)
    columns = [_COLUMNS[name][0] for name in names]
    wanted = _wanted(session, principal, asked)
    after = None if paging.cursor is None else _read_cursor(paging.cursor, names)
    found = queries.totals(session, wanted, columns, after, paging.limit + 1)
    shown = found[: paging.limit]
    return Usage(
        items=[_total(dict(zip(names, row, strict=False)), row[len(names) :]) for row in shown],
        next_cursor=_cursor(shown[-1][: len(names)]) if len(found) > len(shown) else None,
        total=queries.groups(session, wanted, columns),
        overall=_counts(queries.overall(session, wanted)),
    )


def _wanted(session: Session, principal: Principal, asked: Filter) -> Wanted:
    callers = None if principal.role == "administrator" else set(auth.callers_of(session, principal))
    if asked.key is not None:
        callers = {asked.key} if callers is None else callers & {asked.key}
    prefix, _, model = (asked.model or "").rpartition("/")
    for path in (asked.prefix, prefix):
        if path:
            check(principal, "read", prefix=path)
    begin, end = _utc(asked.begin, "from"), _utc(asked.end, "to")
    if begin is not None and end is not None and begin > end:
        raise _wrong("from", "lies behind `to`.")
    return Wanted(
        organisation=principal.organisation,
        begin=begin.replace(minute=0, second=0, microsecond=0) if begin else None,
        end=end,
        callers=callers,
        prefixes=principal.prefixes,
        within=asked.prefix,
        model=(prefix, model) if asked.model else None,
    )


def _columns(by: Sequence[str]) -> list[str]:
    """The columns to group by, in the order of the answer. Raises Invalid."""
    unknown = [name for name in by if name not in _GROUPED]
    if unknown or not by:
        what = f"has no {unknown[0][:50]!r}" if unknown else "is empty"
        raise _wrong("by", f"{what}. Choose among {', '.join(_GROUPED)}.")
    needed = {column for name, columns in _GROUPED.items() if name in by for column in columns}
    return [name for name in _COLUMNS if name in needed]


def _utc(moment: datetime | None, field: str) -> datetime | None:
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise _wrong(field, "needs a time zone, as in 2030-01-01T00:00:00Z.")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise _wrong(field, "is no time that can be meant.") from None


def _total(group: dict[str, Any], sums: Sequence[Any]) -> UsageTotal:
    shown: dict[str, Any] = {
        "hour": group.get("hour"),
        "key": group.get("caller"),
        "prefix": group.get("prefix"),
        "model": f"{group['prefix']}/{group['model']}" if "model" in group else None,
        "version": (f"v{group['version']}" if group["version"] else "") if "version" in group else None,
        "status": group.get("status"),
    }
    return UsageTotal(**shown, **_counts(sums).model_dump())


def _counts(sums: Sequence[Any]) -> Counts:
    # PostgreSQL's sums of large integers are decimals.
    return Counts(**{name: int(value) for name, value in zip(queries.SUMS, sums, strict=True)})


def _cursor(values: Sequence[Any]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(list(values))).decode()


def _read_cursor(cursor: str, names: Sequence[str]) -> tuple[Any, ...]:
    kind: Any = tuple.__class_getitem__(tuple(_COLUMNS[name][1] for name in names))
    try:
        values: tuple[Any, ...] = msgspec.json.decode(base64.urlsafe_b64decode(cursor), type=kind)
    except (ValueError, msgspec.DecodeError):
        raise _wrong("cursor", "is none of this listing. Take `next_cursor` as it came.") from None
    return tuple(_utc(value, "cursor") if isinstance(value, datetime) else value for value in values)


def _wrong(field: str, reason: str) -> Invalid:
    return Invalid(f"{field}: {reason}", fields=[{"field": field, "message": reason}])
