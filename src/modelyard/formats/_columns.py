"""Answers as columns, for the forms that are tables: CSV, Arrow, the tensors of V2.

A column has one kind. What no column of a table can hold, such as a list, is written in it as JSON.
"""

import csv
import io
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import msgspec

Kind = Literal["text", "double", "single", "integer", "truth"]
"""`single` is a float that has the precision of 32 bits."""

_encode = msgspec.json.Encoder().encode


class Column(NamedTuple):
    """One column of an answer; None where a value is missing."""

    name: str
    kind: Kind
    values: Sequence[Any]


def columns_of(entries: Sequence[dict[str, Any]]) -> list[Column]:
    """A column for each key. All entries have the same keys; no entries are no columns."""
    return [_column(name, [entry[name] for entry in entries]) for name in (entries[0] if entries else ())]


def csv_of(columns: Sequence[Column]) -> bytes:
    """CSV with a header: truths as true and false, nothing where a value is missing."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([column.name for column in columns])
    cells = [list(map(_truth, column.values)) if column.kind == "truth" else column.values for column in columns]
    writer.writerows(zip(*cells, strict=True))
    return text.getvalue().encode()


def _column(name: str, values: list[Any]) -> Column:
    kinds = set(map(type, values)) - {type(None)}
    if kinds == {bool}:
        return Column(name, "truth", values)
    if kinds == {int} and all(value is None or -(2**63) <= value < 2**63 for value in values):
        return Column(name, "integer", values)
    if kinds <= {int, float}:
        return Column(name, "double", [None if value is None else float(value) for value in values])
    if kinds == {str}:
        return Column(name, "text", values)
    return Column(name, "text", [None if value is None else _encode(value).decode() for value in values])


def _truth(value: bool | None) -> str | None:
    return value if value is None else ("true" if value else "false")
