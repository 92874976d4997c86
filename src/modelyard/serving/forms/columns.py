"""Columns of values become what a model takes: shared by the forms that send a table column by column.

A column is a list of JSON-like values, or an array where it came as one. Few rows are quickest as Python values, many
as arrays. Either way a column that is not plainly right is looked at value by value by the slow way
(`Codec.reference`), which takes what is unusual but right, and otherwise says why not, in the words used for JSON.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelyard.core.errors import Invalid, TooLarge
from modelyard.formats.base import Batch
from modelyard.formats.codec import LARGEST, MOST_PROBLEMS, Codec, Row
from modelyard.protocol.signature import Field

FEW_ROWS = 16
"""Up to here Python values are quicker than arrays."""

MOST_CELLS = 1 << 25
"""Rows times columns of one request: a body of no size at all may claim any number of missing values."""

_NUMBERS = frozenset({int, float, type(None)})
_WHOLE = frozenset({int, type(None)})
_TRUTHS = frozenset({bool, type(None)})
_TEXTS = frozenset({str, type(None)})


class Array(NamedTuple):
    """A column of numbers or booleans; `missing` marks the ones that are none (None: all are there). NaN is missing."""

    values: NDArray[Any]
    missing: NDArray[np.bool_] | None = None


Column = Array | list[Any]
"""One column. In a list None is missing, and there is no NaN."""


class Columns:
    """Reads columns for one signature."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._reference = codec.reference
        self.fields = codec.reference.fields
        self._split = len(codec.signature.numeric_inputs)

    def check_size(self, rows: int) -> None:
        """Raise Invalid where there are no rows and some are needed, TooLarge where there are too many to be kept."""
        if not rows and not self._reference.empty:
            raise Invalid("There are no rows. Send at least one value in each column.")
        if rows * max(len(self.fields), 1) > MOST_CELLS:
            most = MOST_CELLS // max(len(self.fields), 1)
            raise TooLarge(f"The body has {rows} rows, more than the {most} that are taken at once. Send fewer.")

    def read(self, columns: Sequence[Column], rows: int) -> Sequence[Row] | Batch:
        """The rows of these columns, which are in the order of `fields` and of this length.

        Raises Invalid naming field and row.
        """
        if rows <= FEW_ROWS:
            return list(zip(*self._checked(columns), strict=True))
        numbers = np.empty((rows, self._split), np.float32)
        strings = np.empty((rows, len(self.fields) - self._split), object)
        wrongs = []
        for place, (field, column) in enumerate(zip(self.fields, columns, strict=True)):
            ready: Any = _as_numbers(field, column) if isinstance(column, Array) else None
            if ready is None:
                ready, wrong = self._values(place, listed(column))
                wrongs += wrong
            if wrongs:
                continue
            if place < self._split:
                numbers[:, place] = ready if isinstance(ready, np.ndarray) else np.array(ready, np.float32)
            else:
                strings[:, place - self._split] = [text or "" for text in ready]
        self._settle(wrongs)
        return Batch(numbers, strings)

    def _checked(self, columns: Sequence[Column]) -> list[list[Any]]:
        checked: list[list[Any]] = []
        wrongs: list[dict[str, Any]] = []
        for place, column in enumerate(columns):
            ready = _plain_numbers(self.fields[place], column) if isinstance(column, Array) else None
            if ready is None:
                ready, wrong = self._values(place, listed(column))
                wrongs += wrong
            checked.append(ready)
        self._settle(wrongs)
        return checked

    def _values(self, place: int, values: list[Any]) -> tuple[list[Any], list[dict[str, Any]]]:
        """One column's values as the model's rows have them, and what is wrong with them."""
        if _is_plain(self.fields[place], values):
            return values, []
        return self._reference.column(place, values)

    @staticmethod
    def _settle(wrongs: list[dict[str, Any]]) -> None:
        """Raise Invalid where anything is wrong, in the order of the rows, as the slow way finds it."""
        if wrongs:
            wrongs = sorted(wrongs, key=lambda wrong: int(wrong["row"]))[:MOST_PROBLEMS]
            first = wrongs[0]
            raise Invalid(f'Row {first["row"]}, column "{first["field"]}": {first["message"]}', fields=wrongs)


def named(codec: Codec, columns: Mapping[str, Any], twice: Collection[str], what: str) -> list[Any]:
    """The columns that the model takes, in its order; None for an optional one that was not sent.

    `twice` are names sent more than once.

    Raises Invalid, saying `what` is missing or there twice.
    """
    for field in codec.reference.fields if twice else ():
        if field.name in twice:
            reason = f"this {what} is there more than once."
            raise Invalid(f'"{field.name}": {reason}', fields=[{"field": field.name, "message": reason}])
    found = [columns.get(field.name) for field in codec.reference.fields]
    if None in found:
        # Raises for what is missing and needed.
        codec.reference.places(list(columns))
    return found


def listed(column: Column) -> list[Any]:
    """A column as a list, None where a value is missing."""
    if isinstance(column, list):
        return column
    values: list[Any] = column.values.tolist()
    missing = column.missing
    if column.values.dtype.kind == "f":
        return [None if value != value else value for value in _masked(values, missing)]  # noqa: PLR0124 - NaN
    return _masked(values, missing)


def _masked(values: list[Any], missing: NDArray[np.bool_] | None) -> list[Any]:
    if missing is None:
        return values
    return [None if gone else value for value, gone in zip(values, missing.tolist(), strict=True)]


def _is_plain(field: Field, values: list[Any]) -> bool:
    """Whether the slow way would take every value just as it is."""
    kinds = set(map(type, values))
    match field.kind:
        case "number":
            return kinds <= _NUMBERS and _in_range(values, kinds)
        case "integer":
            return kinds <= _WHOLE and _in_range(values, kinds)
        case "boolean":
            return kinds <= _TRUTHS
        case "date":
            return kinds <= _TEXTS and _are_strings(values) and all(map(_is_date, filter(None, values)))
        case _:
            return kinds <= _TEXTS and _are_strings(values)


def _plain_numbers(field: Field, column: Array) -> list[Any] | None:
    """The most frequent case at once: numbers, all there, in a column of numbers. None where it is another."""
    values, missing = column
    if missing is not None or field.kind != "number" or values.dtype.kind == "b":
        return None
    ready: list[Any] = values.tolist()
    # NaN is not in range either.
    return None if any(not -LARGEST <= value <= LARGEST for value in ready) else ready


def _in_range(values: list[Any], kinds: set[type]) -> bool:
    present = [value for value in values if value is not None] if type(None) in kinds else values
    return not present or (min(present) >= -LARGEST and max(present) <= LARGEST)


def _is_date(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _are_strings(values: list[str | None]) -> bool:
    """Whether none holds a NUL, which would end it in the model, or half a surrogate pair."""
    text = "".join(filter(None, values))
    try:
        return "\x00" not in text and (text.isascii() or bool(text.encode()))
    except UnicodeEncodeError:
        return False


def _as_numbers(field: Field, column: Array) -> NDArray[np.float64] | None:
    """The column with NaN for what is missing, fit to become float32; None where the slow way has to look at it.

    By way of float64, as a Python number goes: rounding a 64-bit integer once only would give other values.
    """
    values, missing = column
    if not field.numeric or (values.dtype.kind == "b" and field.kind != "boolean"):
        return None
    wide = values.astype(np.float64, copy=missing is not None)
    if missing is not None:
        wide[missing] = np.nan
    elif field.kind == "number" and np.maximum.reduce(np.abs(wide)) <= LARGEST:
        return wide
    present = wide[~np.isnan(wide)]
    if field.kind == "boolean":
        return wide if ((present == 0) | (present == 1)).all() else None
    if not (np.abs(present) <= LARGEST).all():
        return None
    if field.kind == "integer" and values.dtype.kind == "f" and not (np.trunc(present) == present).all():
        return None
    return wide
