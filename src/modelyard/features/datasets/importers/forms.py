"""What the text in a column may mean: whole numbers, numbers, truth, dates, or just text.

A column takes the first form that fits all its values. Fitting is strict: a code such as 01234 stays text, a number of
twenty digits stays text, and 03/04/2024 is a date only where another row shows which of its parts is the day.
"""

# Names and strings in SQL are quoted; nothing in it is as a file has it.
# ruff: noqa: S608

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import duckdb

MISSING = (
    *("", "na", "n/a", "#n/a", "null", "none", "nan", "?", "-"),
    # No number that could be learned from.
    *("inf", "-inf", "+inf", "infinity", "-infinity", "+infinity"),
)
SAMPLE_ROWS, SAMPLE_VALUES = 500, 200_000
AT_ONCE = 50  # columns in one query


class Form(NamedTuple):
    """One way to read a value: a DuckDB type and the SQL that converts `{v}`, or gives null where that fails.

    What does not match `pattern` (as RE2 and Python read it alike) does not fit. Where `rival` is given, that form must
    not fit all values too: then it would be a guess which of both is meant.
    """

    type: str
    sql: str = "{v}"
    pattern: str = ""
    rival: "Form | None" = None

    def convert(self, value: str) -> str:
        """The SQL that converts `value`, null where it does not fit."""
        result = self.sql.replace("{v}", value)
        return f"CASE WHEN regexp_full_match({value}, '{self.pattern}') THEN {result} END" if self.pattern else result


def _parsed(pattern: str, separator: str, order: str, *, times: bool) -> Form:
    """Dates of three numbers, with or without a time of the day."""
    date = order.replace("/", separator)
    if not times:
        return Form("DATE", f"try_strptime({{v}}, '{date}')::DATE", pattern)
    formats = [f"{date} %H:%M:%S", f"{date} %H:%M"]
    return Form("TIMESTAMP", f"try_strptime({{v}}, {formats})", pattern + r" \d{1,2}:\d{2}(:\d{2})?")


def _day_or_month_first(separator: str) -> list[Form]:
    pattern = rf"\d{{1,2}}{separator}\d{{1,2}}{separator}\d{{4}}"
    forms = []
    for order, other in (("%d/%m/%Y", "%m/%d/%Y"), ("%m/%d/%Y", "%d/%m/%Y")):
        for times in (False, True):
            rival = _parsed(pattern, separator, other, times=times)
            forms.append(_parsed(pattern, separator, order, times=times)._replace(rival=rival))
    return forms


_WHOLE = r"-?(0|[1-9]\d{0,17})"
_EXPONENT = r"([eE][+-]?\d{1,3})?"
_DATE = r"\d{4}-\d{2}-\d{2}"
_CLOCK = r"\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?"
_OFFSET = r"(Z|[+-]\d{2}(:?\d{2})?)?"
_DOTTED = r"\d{1,2}\.\d{1,2}\.\d{4}"
_FINITE = "CASE WHEN isfinite(try_cast({n} AS DOUBLE)) THEN try_cast({n} AS DOUBLE) END"

TEXT = Form("VARCHAR")
BOOLEAN = Form("BOOLEAN", "lower({v}) = 'true'", "(?i)true|false")
INTEGER = Form("BIGINT", "try_cast({v} AS BIGINT)", _WHOLE)
NUMBER = Form("DOUBLE", _FINITE.replace("{n}", "{v}"), rf"({_WHOLE}(\.\d*)?|-?\.\d+){_EXPONENT}")
DECIMAL_COMMA = Form(
    "DOUBLE", _FINITE.replace("{n}", "replace({v}, ',', '.')"), rf"({_WHOLE}(,\d*)?|-?,\d+){_EXPONENT}"
)
# 1,234 where semicolons do not say that the comma is a decimal one: a thousand, or a bit more than one?
DECIMAL_COMMA_UNLESS_THOUSANDS = DECIMAL_COMMA._replace(rival=Form("DOUBLE", "1", r"-?(0|[1-9]\d{0,2}(,\d{3})*)"))
DATES = (
    Form("DATE", "try_cast({v} AS DATE)", _DATE),
    Form("DATE", "try_strptime({v}, '%Y/%m/%d')::DATE", r"\d{4}/\d{2}/\d{2}"),
    # An offset is applied: times are stored in UTC.
    Form("TIMESTAMP", "try_cast({v} AS TIMESTAMPTZ)::TIMESTAMP", rf"{_DATE}([T ]{_CLOCK}{_OFFSET})?"),
    _parsed(_DOTTED, ".", "%d/%m/%Y", times=False),
    _parsed(_DOTTED, ".", "%d/%m/%Y", times=True),
    *_day_or_month_first("/"),
    *_day_or_month_first("-"),
)
ANY = (BOOLEAN, INTEGER, NUMBER, *DATES, TEXT)


class Candidate(NamedTuple):
    """A column whose form is not settled: SQL for its text, and its forms, the last of which always fits."""

    value: str
    forms: tuple[Form, ...]


def settle(connection: "duckdb.DuckDBPyConnection", table: str, candidates: list[Candidate]) -> list[Form]:
    """The first form of each column that fits all its values; the last where it has no values."""
    left = [list(candidate.forms) for candidate in candidates]
    undecided = [index for index, forms in enumerate(left) if len(forms) > 1]
    for start in range(0, len(undecided), AT_ONCE):
        _match_first_rows(connection, table, candidates, left, undecided[start : start + AT_ONCE])
    while undecided := [index for index in undecided if len(left[index]) > 1]:
        for start in range(0, len(undecided), AT_ONCE):
            _confirm(connection, table, candidates, left, undecided[start : start + AT_ONCE])
    return [forms[0] for forms in left]


def _match_first_rows(
    connection: "duckdb.DuckDBPyConnection",
    table: str,
    candidates: list[Candidate],
    left: list[list[Form]],
    some: Sequence[int],
) -> None:
    """Leaves the forms whose patterns match the first rows: nearly all that is not meant is out then."""
    limit = max(20, min(SAMPLE_ROWS, SAMPLE_VALUES // len(candidates)))
    values = ", ".join(candidates[index].value for index in some)
    rows = connection.execute(f"SELECT {values} FROM {table} LIMIT {limit}").fetchall()
    for index, column in zip(some, zip(*rows, strict=True), strict=False):
        some_values = {value for value in column if value is not None and value.lower() not in MISSING}
        left[index][:-1] = [
            form for form in left[index][:-1] if all(re.fullmatch(form.pattern, value) for value in some_values)
        ]


def _confirm(
    connection: "duckdb.DuckDBPyConnection",
    table: str,
    candidates: list[Candidate],
    left: list[list[Form]],
    some: Sequence[int],
) -> None:
    """Leaves the first form alone where it fits all rows, and takes it away where it does not."""
    values = [candidates[index].value for index in some]
    shown = ", ".join(f"{present(value)} AS {value}" for value in values)
    wanted: list[str] = []
    for index, value in zip(some, values, strict=True):
        form = left[index][0]
        rival = f"count({form.rival.convert(value)})" if form.rival else "-1"
        wanted += [f"count({value})", f"count({form.convert(value)})", rival]
    counts: tuple[Any, ...] = (
        connection.execute(f"SELECT {', '.join(wanted)} FROM (SELECT {shown} FROM {table})").fetchone() or ()
    )
    for position, index in enumerate(some):
        all_of_them, fitting, rival_fitting = counts[3 * position : 3 * position + 3]
        if not all_of_them:
            left[index][:] = left[index][-1:]
        elif fitting < all_of_them or rival_fitting == all_of_them:
            left[index].pop(0)
        else:
            left[index][:] = left[index][:1]


def present(value: str) -> str:
    """SQL for a value as text, null where it is but a word for nothing."""
    return f"CASE WHEN NOT {_nothing(value)} THEN {value} END"


def _nothing(value: str) -> str:
    """SQL for: there is but a word for nothing. Not by IN, of which DuckDB makes a join for each column."""
    return f"regexp_full_match({value}, '(?i){'|'.join(map(re.escape, MISSING))}')"
