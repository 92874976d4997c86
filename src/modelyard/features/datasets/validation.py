"""What is wrong with a table, row by row, for the scenario it is meant for.

Runs inside the sandbox after the import, as SQL over the canonical table: DuckDB streams it, whatever its size. What
refuses a file outright (a missing column) is said by `roles.check`; here are the rows a person may want to look at.
"""

# Names and strings in SQL are quoted; nothing in it is as a file has it.
# ruff: noqa: S608

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from modelyard.features.datasets.profile import ColumnProfile, Profile, quoted

if TYPE_CHECKING:
    import duckdb

ROWS = 20
"""So many rows are named; all are counted."""
FEWEST_ROWS = 20
FEWEST_OF_A_SERIES = 10
WIDEST_COMPARED = 1000
"""Columns up to which whole rows are compared with each other."""
NAMED = 5
NORMAL, ANOMALY = ("0", "false", "normal"), ("1", "true", "anomaly")
_TRAINING = frozenset({"training", ""})

Severity = Literal["error", "warning", "info"]


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Something to look at: how many rows have it, and the numbers of the first of them, the table's first being 1."""

    code: str
    severity: Severity
    message: str
    count: int
    rows: tuple[int, ...] = ()


def validate(
    connection: "duckdb.DuckDBPyConnection",
    path: str,
    profile: Profile,
    *,
    scenario: str,
    target: str | None,
    roles: Mapping[str, str],
    purpose: str = "training",
) -> list[Problem]:
    """What is wrong with the canonical table at `path` (as SQL writes it), worst first.

    `profile` is the table's own, `target` and `roles` name columns that it has.
    """
    look = _Look(connection, path, profile, scenario, target, dict(roles), purpose)
    found = [problem for check in CHECKS.get(scenario, ()) for problem in check(look)]
    found += _of_any_table(look)
    order = ("error", "warning", "info")
    return sorted(found, key=lambda problem: order.index(problem.severity))


class _Look:
    """One table, and ways to count and to find rows of it."""

    def __init__(
        self,
        connection: "duckdb.DuckDBPyConnection",
        path: str,
        profile: Profile,
        scenario: str,
        target: str | None,
        roles: dict[str, str],
        purpose: str,
    ) -> None:
        self._connection = connection
        self.profile, self.scenario, self.target, self.roles, self.purpose = profile, scenario, target, roles, purpose
        # The row's number under a name that no column can have: names are never blank.
        self.number = quoted(" ")
        self.table = f"(SELECT *, file_row_number + 1 AS {self.number} FROM {_numbered(path)})"
        self.columns = {column.name: column for column in profile.columns}

    def column(self, name: str | None) -> ColumnProfile | None:
        return self.columns.get(name) if name is not None else None

    def fetch(self, sql: str) -> list[Any]:
        return list(self._connection.execute(sql).fetchall())

    def rows(self, condition: str, table: str | None = None) -> tuple[int, tuple[int, ...]]:
        """How many rows hold `condition`, and the first of them."""
        source = table or self.table
        count, first = self.fetch(
            f"SELECT count(*), list_sort(min({self.number}, {ROWS})) FROM {source} WHERE {condition}"
        )[0]
        return int(count), tuple(first or ())

    def problem(
        self, code: str, severity: Severity, message: str, condition: str, table: str | None = None
    ) -> Iterator[Problem]:
        """The problem where any row holds `condition`; `{n}` in the message becomes `3 rows`."""
        count, rows = self.rows(condition, table)
        if count:
            yield Problem(
                code=code, severity=severity, message=message.replace("{n}", rows_of(count)), count=count, rows=rows
            )


def rows_of(count: int) -> str:
    """`1 row`, `1,200 rows`."""
    return "1 row" if count == 1 else f"{count:,} rows"


def _numbered(path: str) -> str:
    return f"read_parquet({path}, file_row_number = true)"


def _texts(look: _Look) -> Iterator[Problem]:
    name = look.roles.get("text")
    column = look.column(name)
    if name is None or column is None:
        return
    yield from look.problem(
        "empty_texts", "warning", f"{{n}} without a text in {name!r}. They teach nothing: delete them.",
        f"trim(coalesce({quoted(name)}::VARCHAR, '')) = ''",
    )  # fmt: skip


def _labels(look: _Look) -> Iterator[Problem]:
    name = look.target
    column = look.column(name)
    if name is None or column is None:
        return
    whole = look.scenario == "tabular-classification"
    if column.missing:
        why = "Rows without one are not learned from." if whole else "They are used as unlabelled rows, or label them."
        yield from look.problem(
            "missing_labels", "warning", f"{{n}} without a label in {name!r}. {why}", f"{quoted(name)} IS NULL"
        )
    if column.distinct == 1 and look.purpose in _TRAINING:
        only = column.top[0][0] if column.top else ""
        yield Problem(
            code="one_class", severity="error", count=look.profile.rows - column.missing,
            message=f"Every label in {name!r} is {only!r}: there is nothing to tell apart. Add rows of another class.",
        )  # fmt: skip


def _values(look: _Look) -> Iterator[Problem]:
    name = look.target
    column = look.column(name)
    if name is None or column is None:
        return
    if column.type not in {"BIGINT", "DOUBLE"}:
        yield from look.problem(
            "not_numeric", "error", f"{{n}} without a number in {name!r}, the column to predict. Correct them.",
            f"{quoted(name)} IS NOT NULL AND try_cast({quoted(name)} AS DOUBLE) IS NULL",
        )  # fmt: skip
        return
    if column.missing:
        yield from look.problem(
            "missing_values", "warning", f"{{n}} without a value in {name!r}.", f"{quoted(name)} IS NULL"
        )
    if look.scenario == "time-series-prediction":
        yield from _negatives(look, name, column)


def _negatives(look: _Look, name: str, column: ColumnProfile) -> Iterator[Problem]:
    """Values below zero, where they are so few that they are rather a slip than a temperature."""
    condition = f"{quoted(name)} < 0"
    count, rows = look.rows(condition)
    present = look.profile.rows - column.missing
    if count and count <= max(1, 0.05 * present):
        message = f"{rows_of(count)} of {present:,} with a value below zero in {name!r}. Check whether that can be."
        yield Problem(code="negative_values", severity="info", message=message, count=count, rows=rows)


def _anomaly_labels(look: _Look) -> Iterator[Problem]:
    name = look.target
    column = look.column(name)
    if name is None or column is None:
        return
    known = ", ".join(f"'{word}'" for word in (*NORMAL, *ANOMALY))
    yield from look.problem(
        "not_a_label", "error",
        f"{{n}} with something else than 0 or 1 (true or false, anomaly or normal) in {name!r}. Correct them.",
        f"{quoted(name)} IS NOT NULL AND lower(trim({_plain(name, column)})) NOT IN ({known})",
    )  # fmt: skip
    if column.missing:
        yield from look.problem(
            "missing_labels", "info", f"{{n}} without a label in {name!r}: they are learned from, but judge nothing.",
            f"{quoted(name)} IS NULL",
        )  # fmt: skip
    if column.distinct == 1 and look.purpose == "test":
        yield Problem(
            code="one_class", severity="warning", count=look.profile.rows - column.missing,
            message=f"Every label in {name!r} is the same: nothing can be judged on these rows.",
        )  # fmt: skip


def _plain(name: str, column: ColumnProfile) -> str:
    """A label as text; 1.0 as 1."""
    value = quoted(name)
    if column.type == "DOUBLE":
        return f"CASE WHEN {value} = floor({value}) THEN {value}::BIGINT::VARCHAR ELSE {value}::VARCHAR END"
    return f"{value}::VARCHAR"


def _times(look: _Look) -> Iterator[Problem]:
    """What is wrong with the order and the distances of rows in time, within each series."""
    name = look.roles.get("time")
    column = look.column(name)
    if name is None or column is None or column.type not in {"DATE", "TIMESTAMP"}:
        return
    if column.missing:
        yield from look.problem(
            "missing_times", "error", f"{{n}} without a time in {name!r}. Give every row one, or delete them.",
            f"{quoted(name)} IS NULL",
        )  # fmt: skip
    series = look.roles.get("series")
    yield from _series_names(look, series)
    within = f"PARTITION BY {quoted(series)} " if series in look.columns and series is not None else ""
    yield from _steps(look, name, within, "in its series" if within else "in the table")
    yield from _short_series(look, name, series if within else None)


def _series_names(look: _Look, series: str | None) -> Iterator[Problem]:
    column = look.column(series)
    if column is not None and column.missing:
        yield from look.problem(
            "missing_series", "error", f"{{n}} without a name of the series in {series!r}.",
            f"{quoted(column.name)} IS NULL",
        )  # fmt: skip


def _steps(look: _Look, name: str, within: str, place: str) -> Iterator[Problem]:
    time, number = quoted(name), look.number
    as_written = (
        f"(SELECT {number}, {time} < lag({time}) OVER ({within}ORDER BY {number}) AS late "
        f"FROM {look.table} WHERE {time} IS NOT NULL)"
    )
    yield from look.problem(
        "unsorted", "info", f"{{n}} earlier than the row before {place}. All are read in order of {name!r}.",
        "late", as_written,
    )  # fmt: skip
    group = within.removeprefix("PARTITION BY ").strip()
    own = f"{group} AS series, " if group else "0 AS series, "
    stepped = (
        f"(SELECT {own}{number}, epoch_us({time}::TIMESTAMP) - "
        f"lag(epoch_us({time}::TIMESTAMP)) OVER ({within}ORDER BY {time}, {number}) AS step "
        f"FROM {look.table} WHERE {time} IS NOT NULL)"
    )
    yield from look.problem(
        "duplicate_times", "warning", f"{{n}} with the same time in {name!r} as another row {place}.",
        "step = 0", stepped,
    )  # fmt: skip
    yield from _distances(look, name, stepped)


def _distances(look: _Look, name: str, stepped: str) -> Iterator[Problem]:
    """Gaps and steps that are not the usual one; months and years count as even however long they are."""
    usual = (
        f"(SELECT series AS of_series, quantile_disc(step, 0.5) AS usual FROM {stepped} WHERE step > 0 GROUP BY series)"
    )
    found = look.fetch(f"SELECT min(usual), max(usual), count(*) FROM {usual}")[0]
    if found[0] is None:
        return
    if found[1] > 2 * found[0]:
        few = f"from {_span(found[0])} to {_span(found[1])}"
        yield Problem(
            code="mixed_steps", severity="warning", count=int(found[2]),
            message=f"The series have different steps in {name!r}, {few}. Bring them to one, or part them.",
        )  # fmt: skip
    # A month is between 28 and 31 days, a day between 23 and 25 hours: that is no gap.
    joined = f"(SELECT * FROM {stepped} JOIN {usual} ON series IS NOT DISTINCT FROM of_series)"
    yield from look.problem(
        "gaps", "warning",
        f"{{n}} after a gap in {name!r}: the step is longer than the usual one.",
        "step > 1.5 * usual", joined,
    )  # fmt: skip
    yield from look.problem(
        "irregular_steps", "info", f"{{n}} sooner in {name!r} than the usual step.",
        "step > 0 AND step < 0.75 * usual", joined,
    )  # fmt: skip


def _short_series(look: _Look, name: str, series: str | None) -> Iterator[Problem]:
    if look.scenario != "time-series-prediction":
        return
    if series is None:
        if look.profile.rows < FEWEST_OF_A_SERIES and look.purpose in _TRAINING:
            yield Problem(
                code="short_series", severity="error", count=look.profile.rows,
                message=f"The series has {rows_of(look.profile.rows)}, at least {FEWEST_OF_A_SERIES} are needed.",
            )  # fmt: skip
        return
    column = quoted(series)
    short = (
        f"(SELECT {column} AS series, count(*) AS times, min({look.number}) AS {look.number} FROM {look.table} "
        f"WHERE {quoted(name)} IS NOT NULL GROUP BY {column} HAVING count(*) < {FEWEST_OF_A_SERIES})"
    )
    names = [str(row[0]) for row in look.fetch(f"SELECT series FROM {short} ORDER BY {look.number} LIMIT {NAMED}")]
    count, rows = look.rows("true", short)
    if count and look.purpose in _TRAINING:
        shown = ", ".join(repr(each) for each in names) + (", …" if count > len(names) else "")
        yield Problem(
            code="short_series", severity="warning", count=count, rows=rows,
            message=f"{count:,} series are shorter than {FEWEST_OF_A_SERIES} rows: {shown}.",
        )  # fmt: skip


def _of_any_table(look: _Look) -> Iterator[Problem]:
    rows = look.profile.rows
    if rows < FEWEST_ROWS and look.purpose in _TRAINING:
        yield Problem(
            code="too_few_rows", severity="warning", count=rows,
            message=f"The file has {rows_of(rows)}; at least {FEWEST_ROWS} are needed to learn and to judge.",
        )  # fmt: skip
    if look.scenario == "log-clustering":
        return
    named = {look.target, *look.roles.values()}
    constant = [
        column.name for column in look.profile.columns if rows > 1 and column.distinct <= 1 and column.name not in named
    ]
    if constant:
        shown = ", ".join(repr(name) for name in constant[:NAMED]) + (", …" if len(constant) > NAMED else "")
        yield Problem(
            code="constant_columns", severity="info", count=len(constant),
            message=f"These columns have the same value in every row, or none: {shown}. They are not learned from.",
        )  # fmt: skip
    yield from _duplicates(look)


def _duplicates(look: _Look) -> Iterator[Problem]:
    """Rows that say the same as a row before, by a hash of all values."""
    if look.profile.rows < 2 or not 1 < len(look.columns) <= WIDEST_COMPARED:
        return
    hashed = f"hash({', '.join(map(quoted, look.columns))})"
    different = look.fetch(f"SELECT count(DISTINCT {hashed}) FROM {look.table}")[0][0]
    count = look.profile.rows - int(different)
    if not count:
        return
    repeated = (
        f"(SELECT {look.number}, row_number() OVER (PARTITION BY same ORDER BY {look.number}) AS nth "
        f"FROM (SELECT {look.number}, {hashed} AS same FROM {look.table}))"
    )
    yield from look.problem(
        "duplicate_rows", "warning", "{n} the same as a row before in every column.", "nth > 1", repeated
    )


def _span(micros: int) -> str:
    for unit, size in (("d", 86_400_000_000), ("h", 3_600_000_000), ("min", 60_000_000), ("s", 1_000_000)):
        if micros >= size:
            return f"{micros / size:.3g} {unit}"
    return f"{micros:,} µs"


CHECKS: dict[str, tuple[Callable[[_Look], Iterator[Problem]], ...]] = {
    "tabular-classification": (_labels,),
    "tabular-regression": (_values,),
    "anomaly-detection": (_anomaly_labels, _times),
    "time-series-prediction": (_values, _times),
    "text-classification": (_texts, _labels),
    "log-clustering": (_texts,),
}
