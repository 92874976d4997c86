"""Rows in order of time: what anomaly detection and prediction of series share before learning."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelyard.algorithms.scenarios.base import Tables, Unfit
from modelyard.algorithms.tabular.split import Purpose
from modelyard.algorithms.tabular.table import Column, Table, merged
from modelyard.formats.series import DAY, Step, step_of

PURPOSES: Mapping[Purpose, int] = {"training": 0, "validation": 1, "test": 2}
YEARS = (1000, 3000)


class Ordered(NamedTuple):
    """All rows by series and time. `bounds[i]` to `bounds[i + 1]` are the rows of series i.

    `purposes` are numbers as in PURPOSES, as the release says them. `warnings` tell what was left out.
    """

    table: Table
    times: NDArray[np.datetime64]
    bounds: NDArray[np.intp]
    names: tuple[str, ...]
    purposes: NDArray[np.int8]
    warnings: tuple[str, ...]

    @property
    def step(self) -> Step:
        """The usual distance between values: of the longest series."""
        longest = int(np.argmax(np.diff(self.bounds)))
        return step_of(self.times[self.bounds[longest] : self.bounds[longest + 1]])


def ordered(tables: Tables, time: str, series: str | None) -> Ordered:
    """The rows of all tables; those without a time are left out, of those with the same time the last one stays.

    Raises Unfit where a column is not there, or is no time.
    """
    first = tables["training"]
    for role, name in (("time", time), ("series", series)):
        if name is not None and name not in first.columns:
            raise Unfit(f"{role}_missing", f"The table has no column {name!r}, which is to be its {role}.")
    purposes = np.concatenate([np.full(table.rows, PURPOSES[purpose], np.int8) for purpose, table in tables.items()])
    table = merged(list(tables.values()))
    written, warnings = _times(table[time])
    table = Table([column for column in table.columns.values() if column.name != time] + [written])
    if series is not None:
        table = _named(table, series)
    times = written.values.astype("U").astype("datetime64[us]")
    usable = ~np.isnat(times)
    if not usable.any():
        raise Unfit("time_empty", f"The column {time!r} holds no times.")
    if not usable.all():
        warnings = (*warnings, f"{int((~usable).sum()):,} rows were left out: they have no {time!r}.")
    codes, names = _codes(table, series)
    places = np.flatnonzero(usable)
    order = places[np.lexsort((times[places], codes[places]))]
    same = np.r_[(codes[order][1:] == codes[order][:-1]) & (times[order][1:] == times[order][:-1]), False]
    if same.any():
        each = " of one series" if series is not None else ""
        warnings = (*warnings, f"{int(same.sum()):,} rows{each} were left out: a later row has the same {time!r}.")
        order = order[~same]
    bounds = np.searchsorted(codes[order], np.arange(len(names) + 1))
    return Ordered(table.taken(order), times[order], bounds, names, purposes[order], warnings)


def _times(column: Column) -> tuple[Column, tuple[str, ...]]:
    """The column as texts of ISO 8601. Numbers are years, or else count days."""
    if column.type == "date":
        return column, ()
    if column.values.dtype == object:
        try:
            parsed = np.array([value or "NaT" for value in column.values.tolist()], "datetime64[us]")
        except ValueError:
            raise Unfit(
                "time_type",
                f"The column {column.name!r} holds texts that are no times. Write them as 2026-01-31 13:00.",
            ) from None
        texts = np.array(["" if text == "NaT" else text for text in np.datetime_as_string(parsed, unit="s")], object)
        return Column(column.name, "date", texts), ()
    values = column.values
    whole = values[~np.isnan(values)]
    if len(whole) and (whole != np.round(whole)).any():
        raise Unfit(
            "time_type", f"The column {column.name!r} holds fractions, which are no times. Name another column."
        )
    years = len(whole) > 0 and bool((whole >= YEARS[0]).all() and (whole <= YEARS[1]).all())
    numbers = np.where(np.isnan(values), 0, values).astype(np.int64)
    if years:
        moments = (numbers - 1970).astype("datetime64[Y]").astype("datetime64[D]")
        warnings: tuple[str, ...] = ()
    else:
        moments = numbers.astype("datetime64[D]")
        warnings = (f"{column.name!r} holds whole numbers: they count as days since 1970-01-01.",)
    texts = np.datetime_as_string(moments, unit="D").astype(object)
    texts[np.isnan(values)] = ""
    return Column(column.name, "date", texts), warnings


def _named(table: Table, series: str) -> Table:
    """The series' names as texts."""
    column = table[series]
    if column.values.dtype == object:
        return table
    texts = np.array(["" if np.isnan(value) else f"{value:g}" for value in column.values.tolist()], object)
    return Table(
        [*(other for other in table.columns.values() if other.name != series), Column(series, "string", texts)]
    )


def _codes(table: Table, series: str | None) -> tuple[NDArray[np.intp], tuple[str, ...]]:
    if series is None:
        return np.zeros(table.rows, np.intp), ("",)
    found: dict[str, int] = {}
    codes = np.array([found.setdefault(name, len(found)) for name in table[series].values.tolist()], np.intp)
    return codes, tuple(found)


def usual_season(step: Step) -> int:
    """How many steps make the period that values at this distance usually have; 1 where they have none."""
    if step.months:
        return max(1, 12 // step.months)
    if step.micros < DAY:
        return max(1, DAY // max(1, step.micros))
    return {1: 7, 7: 52}.get(step.micros // DAY, 1)


def usual_horizon(step: Step) -> int:
    """How far ahead is usually looked, in steps."""
    if step.months:
        return {1: 12, 3: 8}.get(step.months, 6)
    if step.micros < DAY:
        return min(96, usual_season(step) * 2)
    return {1: 14, 7: 13}.get(step.micros // DAY, 6)
