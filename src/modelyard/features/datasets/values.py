"""Values that people write, checked against the type of their column; as JSON keeps them."""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from modelyard.features.datasets.errors import BadValue

LONGEST_TEXT = 1 << 20
SMALLEST, LARGEST = -(1 << 63), (1 << 63) - 1
_WANTED = {
    "BIGINT": "a whole number", "DOUBLE": "a number", "BOOLEAN": "true or false", "DATE": "a date such as 2024-01-31",
    "TIMESTAMP": "a time such as 2024-01-31T10:00:00Z", "VARCHAR": "a text",
}  # fmt: skip


def checked(column: str, kind: str, value: Any) -> Any:
    """`value` as it is kept in a column of this DuckDB type; None and an empty text are missing. Raises BadValue."""
    if value is None or value == "":
        return None
    try:
        return _reader(kind)(value)
    except (ValueError, TypeError, OverflowError):
        wanted = _WANTED.get(kind, "a text")
        shown = repr(value) if len(repr(value)) <= 50 else f"{repr(value)[:49]}…"
        raise BadValue(
            f"{shown} does not fit the column {column!r}: it holds {wanted}. Leave it out to make the value missing.",
            fields=[{"field": column, "message": f"must be {wanted}"}],
        ) from None


def _reader(kind: str) -> Callable[[Any], Any]:
    return _READERS.get(kind, _text)


def parsed(column: str, kind: str, text: str) -> Any:
    """The same of a text, as a filter has it. Raises BadValue."""
    if kind == "BIGINT":
        return checked(column, "DOUBLE", _number(text)) if _number(text) is not None else checked(column, kind, text)
    if kind == "DOUBLE":
        number = _number(text)
        return checked(column, kind, text if number is None else number)
    if kind == "BOOLEAN":
        return checked(column, kind, {"true": True, "false": False}.get(text.casefold(), text))
    return checked(column, kind, text)


def _number(text: str) -> int | float | None:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return None


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise ValueError
    if not SMALLEST <= value <= LARGEST:
        raise ValueError
    return int(value)


def _float(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError
    if isinstance(value, int) and not SMALLEST <= value <= LARGEST:
        return float(value)
    return value


def _truth(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError


def _day(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return date.fromisoformat(value).isoformat()


def _moment(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return moment.isoformat()


def _text(value: Any) -> str | None:
    if not isinstance(value, str) or len(value) > LONGEST_TEXT or "\0" in value:
        raise ValueError
    return value if value.strip() else None


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "BIGINT": _whole, "DOUBLE": _float, "BOOLEAN": _truth, "DATE": _day, "TIMESTAMP": _moment, "VARCHAR": _text,
}  # fmt: skip
