"""What a scenario expects of a column: times where there are to be times, numbers where there are to be numbers.

A column takes the form that fits all its values (`forms.settle`). Where most values of an expected form are there and a
few are not, those few are broken rows: they refuse the file by name, or are left out where that is tolerated.
"""

# Names and strings in SQL are quoted; nothing in it is as a file has it.
# ruff: noqa: S608

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from modelyard.features.datasets.importers.base import Column, Draft, Work
from modelyard.features.datasets.importers.errors import BrokenRows
from modelyard.features.datasets.importers.forms import DATES, DECIMAL_COMMA, NUMBER, Form, present
from modelyard.features.datasets.roles import completed, named_like_time
from modelyard.features.datasets.validation import ROWS, Problem, rows_of

SERIES = frozenset({"time-series-prediction", "anomaly-detection"})
NUMERIC_TARGET = frozenset({"time-series-prediction", "tabular-regression"})
MOSTLY = 0.5
FIRST, LAST = 100_000_000, 4_200_000_000
"""Seconds since 1970 that are taken for such: from 1973 to 2103."""
_UNITS = {1: "seconds", 1_000: "milliseconds", 1_000_000: "microseconds", 1_000_000_000: "nanoseconds"}
_NUMBERS = frozenset({"BIGINT", "DOUBLE"})
# A number of so many digits stays text elsewhere: it is rather a code.
_NANOSECONDS = Form("BIGINT", "try_cast({v} AS BIGINT)", r"[1-4]\d{18}")
# Months, quarters and years are times where series are meant; elsewhere they may be codes.
_PERIODS = (
    Form("DATE", "try_strptime(replace({v}, '/', '-') || '-01', '%Y-%m-%d')::DATE", r"[12]\d{3}[-/](0[1-9]|1[0-2])"),
    Form(
        "DATE",
        "make_date(left({v}, 4)::INT, 3 * right({v}, 1)::INT - 2, 1)",
        r"[12]\d{3}[- ]?[qQ][1-4]",
    ),
)
_YEAR_NAME = re.compile(r"(^|[\s_.\-])(year|yr|jahr)$", re.IGNORECASE)
_ZONE = r"(Z|[+-]\d{2}(:?\d{2})?)$"


class Settled(NamedTuple):
    """The forms of all columns, and SQL for the rows that are taken: `true` where all are."""

    forms: list[Form]
    taken: str


def expect(work: Work, draft: Draft, names: Sequence[str], forms: Sequence[Form]) -> Settled:
    """The forms as the scenario wants them. Raises BrokenRows; adds to `work.problems` what was done."""
    chosen, taken = list(forms), []
    if work.scenario in SERIES:
        _read_epochs(work, draft, names, chosen)
        _read_periods(work, draft, names, chosen)
    for place, wanted in _wanted(work, names, chosen):
        column, form = draft.columns[place], chosen[place]
        if form.type == "VARCHAR":
            chosen[place], condition = _mostly(work, draft, names[place], column, wanted)
            taken += [condition] if condition else []
        if chosen[place].type == "TIMESTAMP" and len(column.forms) > 1:
            _tell_zones(work, draft, names[place], column)
    return Settled(chosen, " AND ".join(taken) or "true")


def _wanted(work: Work, names: Sequence[str], forms: Sequence[Form]) -> Iterator[tuple[int, tuple[Form, ...]]]:
    """Which columns are to have which forms."""
    columns = [{"name": name, "type": form.type} for name, form in zip(names, forms, strict=True)]
    target, roles = completed(work.scenario, work.target, work.roles, {"columns": columns})
    places = {name: place for place, name in enumerate(names)}
    if work.scenario in SERIES and roles.get("time") in places:
        yield places[roles["time"]], DATES
    if work.scenario in NUMERIC_TARGET and target in places and target is not None:
        yield places[target], (NUMBER, DECIMAL_COMMA)


def _read_epochs(work: Work, draft: Draft, names: Sequence[str], forms: list[Form]) -> None:
    """Reads numbers as times where the column is called so and they are in the range of such."""
    for place, (name, settled) in enumerate(zip(names, forms, strict=True)):
        if not (name == work.roles.get("time") or named_like_time(name)):
            continue
        long = settled.type == "VARCHAR" and _fits_all(work, draft, draft.columns[place].value, _NANOSECONDS)
        form = _NANOSECONDS if long else settled
        if form.type not in _NUMBERS:
            continue
        value = f"({form.convert(draft.columns[place].value)})"
        low, high = _one(work, f"SELECT min({value}), max({value}) FROM {draft.table}")
        unit = next((unit for unit in _UNITS if low is not None and FIRST * unit <= low <= high < LAST * unit), None)
        if unit is None:
            continue
        micros = f"({form.sql})::DOUBLE * 1000000" if unit == 1 else _scaled(f"({form.sql})::BIGINT", unit)
        forms[place] = Form("TIMESTAMP", f"make_timestamp(({micros})::BIGINT)", form.pattern)
        message = f"{name!r} was read as {_UNITS[unit]} since 1970, in UTC."
        work.problems.append(Problem(code="unix_times", severity="info", message=message, count=0))


def _read_periods(work: Work, draft: Draft, names: Sequence[str], forms: list[Form]) -> None:
    """Reads months and quarters as their first days, and numbers as years where the column is called so."""
    for place, (name, settled) in enumerate(zip(names, forms, strict=True)):
        value = draft.columns[place].value
        if settled.type == "VARCHAR":
            fitting = (form for form in _PERIODS if _fits_all(work, draft, present(value), form))
            forms[place] = next(fitting, settled)
        elif settled.type == "BIGINT" and (name == work.roles.get("time") or _YEAR_NAME.search(name)):
            number = f"({settled.convert(value)})"
            low, high = _one(work, f"SELECT min({number}), max({number}) FROM {draft.table}")
            if low is not None and 1000 <= low <= high < 3000:
                forms[place] = Form("DATE", f"make_date(({settled.sql})::INT, 1, 1)", settled.pattern)


def _fits_all(work: Work, draft: Draft, value: str, form: Form) -> bool:
    there, fitting = _one(work, f"SELECT count({value}), count({form.convert(value)}) FROM {draft.table}")
    return bool(there) and there == fitting


def _scaled(value: str, unit: int) -> str:
    """Microseconds, without a detour over numbers that are not exact."""
    return f"{value} * {1_000_000 // unit}" if unit <= 1_000_000 else f"{value} // {unit // 1_000_000}"


def _mostly(work: Work, draft: Draft, name: str, column: Column, wanted: tuple[Form, ...]) -> tuple[Form, str]:
    """The form that most values of a column of words fit, and SQL for the rows that do; or its own form and nothing."""
    value = column.value
    there = f"{present(value)} IS NOT NULL"
    counts = ", ".join(f"count({form.convert(present(value))})" for form in wanted)
    rivals = ", ".join(f"count({form.rival.convert(present(value))})" if form.rival else "-1" for form in wanted)
    found = _one(work, f"SELECT count({present(value)}), {counts}, {rivals} FROM {draft.table}")
    total, fitting, rival = found[0], found[1 : len(wanted) + 1], found[len(wanted) + 1 :]
    certain = [(count, -place) for place, count in enumerate(fitting) if count != rival[place]]
    most, place = max(certain, default=(0, 0))
    if not total or most <= MOSTLY * total:
        return column.forms[-1], ""
    form = wanted[-place]
    broken = f"({there} AND {form.convert(value)} IS NULL)"
    _broken(work, draft, name, value, broken, "time" if form.type != "DOUBLE" else "number")
    return form, f"NOT {broken}"


def _broken(work: Work, draft: Draft, name: str, value: str, condition: str, what: str) -> None:
    rows = f"(SELECT row_number() OVER () AS number, {value} AS value, {condition} AS broken FROM {draft.table})"
    count, first, values = _one(
        work,
        f"SELECT count(*), list_sort(min(number, {ROWS})), arg_min(value, number, 3) FROM {rows} WHERE broken",
    )
    examples = ", ".join(repr(str(each)[:40]) for each in values or ())
    if not count:
        return
    if not work.tolerant:
        shown = ", ".join(f"{row:,}" for row in first[:5]) + (", …" if count > 5 else "")
        raise BrokenRows(
            f"{rows_of(count)} without a {what} in {name!r}: row {shown} ({examples}). Correct them, or upload with "
            "on_error=tolerant to leave them out.",
            detail={"column": name, "rows": first, "count": count},
        )
    message = f"{rows_of(count)} of the file left out: no {what} in {name!r} ({examples})."
    work.problems.append(
        Problem(code=f"no_{what}", severity="warning", message=message, count=count, rows=tuple(first))
    )


def _tell_zones(work: Work, draft: Draft, name: str, column: Column) -> None:
    """Times of several zones were brought to one: a person should know."""
    value = present(column.value)
    zone = f"CASE WHEN contains({value}, ':') THEN regexp_extract({value}, '{_ZONE}', 1) END"
    numbered = f"(SELECT row_number() OVER () AS number, {zone} AS zone FROM {draft.table})"
    found = work.connection.execute(
        f"SELECT replace(replace(zone, ':', ''), 'Z', '+0000') AS plain, count(*) AS times, min(number, {ROWS}) "
        f"FROM {numbered} WHERE zone IS NOT NULL GROUP BY plain ORDER BY times DESC, plain"
    ).fetchall()
    zones = [zone for zone, *_ in found]
    if len(found) < 2:
        return
    shown = ", ".join(zone or "without a zone" for zone in zones[:5])
    others = sum(count for _, count, _ in found[1:])
    without = " Those without a zone were taken for UTC." if "" in zones else ""
    rows = tuple(sorted(row for _, _, first in found[1:] for row in first)[:ROWS])
    message = f"The times in {name!r} are of several zones ({shown}); they were brought to UTC.{without}"
    work.problems.append(Problem(code="mixed_time_zones", severity="warning", message=message, count=others, rows=rows))


def _one(work: Work, sql: str) -> tuple[Any, ...]:
    return work.connection.execute(sql).fetchone() or ()
