"""Conditions on rows as people write them, `column:operator:value`, turned into SQL whose values are all parameters.

age:>=:30    plan:=:gold    note:contains:refund    income:missing    label:!=:spam
"""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from modelyard.features.datasets.contents.view import PURPOSES, View
from modelyard.features.datasets.errors import BadFilter, BadValue
from modelyard.features.datasets.schemas import Where
from modelyard.features.datasets.values import parsed

COMPARING = {"=": "=", "!=": "IS DISTINCT FROM", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
WITHOUT_VALUE = {"missing": "IS NULL", "present": "IS NOT NULL"}
OPERATORS = (*COMPARING, "contains", *WITHOUT_VALUE)


class Condition(NamedTuple):
    """SQL that is true for the rows that are meant, and its parameters in order."""

    sql: str = "true"
    parameters: tuple[Any, ...] = ()

    def and_also(self, other: "Condition") -> "Condition":
        """Both."""
        return Condition(f"{self.sql} AND {other.sql}", (*self.parameters, *other.parameters))


def condition(view: View, where: Where) -> Condition:
    """The rows of a view that fit all that `where` says. Raises BadFilter."""
    found = Condition()
    if where.sample is not None:
        places = [place for place, part in enumerate(view.parts) if part.sample == where.sample]
        found = found.and_also(Condition("s = ?", (places[0] if places else -1,)))
    if where.purpose is not None:
        found = found.and_also(Condition("p = ?", (PURPOSES.index(where.purpose),)))
    if where.search:
        found = found.and_also(_search(view, where.search))
    return found.and_also(filtered(view, where.filter))


def filtered(view: View, texts: Sequence[str]) -> Condition:
    """The rows that fit every one of these filters. Raises BadFilter."""
    found = Condition()
    for text in texts:
        found = found.and_also(_parse(view, text))
    return found


def order(view: View, sort: str | None) -> str:
    """`column`, `column:asc` or `column:desc` as SQL; missing values come last. Raises BadFilter."""
    if sort is None:
        return "s, r"
    name, _, way = sort.rpartition(":")
    if way not in {"asc", "desc"}:
        name, way = sort, "asc"
    if name not in view.columns:
        raise _no_column(name, view.columns)
    return f"{view.column(name)} {way} NULLS LAST, s, r"


def _search(view: View, text: str) -> Condition:
    words = [view.column(name) for name, kind in view.columns.items() if kind == "VARCHAR"]
    if not words:
        return Condition("false")
    # One text in all columns: each is a parameter of its own.
    sql = " OR ".join(f"contains(lower({column}), lower(?))" for column in words)
    return Condition(f"({sql})", (text,) * len(words))


def _parse(view: View, text: str) -> Condition:
    name, operator, value = _taken_apart(view.columns, text)
    column, kind = view.column(name), view.columns[name]
    if operator in WITHOUT_VALUE:
        return Condition(f"{column} {WITHOUT_VALUE[operator]}")
    if operator == "contains":
        return Condition(f"contains(lower({column}::VARCHAR), lower(?))", (value,))
    try:
        given = value if kind == "VARCHAR" else parsed(name, kind, value)
    except BadValue as error:
        raise BadFilter(error.message, fields=error.fields) from None
    if given is None:
        raise BadFilter(f"The filter {text!r} has no value. To find missing values write `{name}:missing`.")
    cast = "DOUBLE" if kind == "BIGINT" and isinstance(given, float) else kind
    return Condition(f"{column} {COMPARING[operator]} CAST(? AS {cast})", (given,))


def _taken_apart(columns: Mapping[str, str], text: str) -> tuple[str, str, str]:
    """(column, operator, value); the longest column whose name the text begins with, as names may hold colons."""
    names = sorted((name for name in columns if text.startswith(f"{name}:")), key=len, reverse=True)
    if not names:
        raise _no_column(text.partition(":")[0], columns)
    operator, separator, value = text[len(names[0]) + 1 :].partition(":")
    if operator not in OPERATORS or (operator not in WITHOUT_VALUE and not separator):
        raise BadFilter(
            f"{text!r} is no filter. Write column:operator:value with one of {', '.join(OPERATORS)}, such as "
            f"`{names[0]}:=:value` or `{names[0]}:missing`.",
            fields=[{"field": "filter", "message": "is no filter"}],
        )
    return names[0], operator, value


def _no_column(name: str, columns: Mapping[str, str]) -> BadFilter:
    lowered = {column.casefold(): column for column in columns}
    near = [lowered[each] for each in difflib.get_close_matches(name.casefold(), lowered, n=3, cutoff=0.4)]
    hint = f"The nearest are {', '.join(near)}." if near else f"There are {', '.join(list(columns)[:20])}."
    return BadFilter(
        f"There is no column {name!r}. {hint}",
        detail={"nearest": near},
        fields=[{"field": "filter", "message": f"no column {name!r}"}],
    )
