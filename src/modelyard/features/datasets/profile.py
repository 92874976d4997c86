"""What a table holds, column by column: what a person looks at before training, and what a plan is made from.

Computed by DuckDB in a few passes over some columns at a time. The same table gives the same profile.
"""

# Names and strings in SQL are quoted; nothing in it is as a file has it.
# ruff: noqa: S608

import math
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from modelyard.protocol.signature import Kind

if TYPE_CHECKING:
    import duckdb

NUMERIC = frozenset({"BIGINT", "DOUBLE"})
DATES = frozenset({"DATE", "TIMESTAMP"})
QUANTILES = {"p5": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}
EXACT_ROWS = 100_000  # up to here distinct values are counted, above estimated first
EXACT_QUANTILES = 1_000_000
COUNTED_VALUES = 200_000  # columns of more values have no `top`
TOP = 20
BINS = 20
EXAMPLES = 5
EXAMPLE_ROWS = 200
LONGEST_VALUE = 200
LARGEST_SQUARED = 1e150
AT_ONCE = 40  # columns in one query
TEXT_WORDS = 4.0
TEXT_LENGTH = 50.0
# The last word of a name: customerID, order_key, "Passenger Id".
_KEY_NAME = re.compile(
    r"(^|[\s_.\-]|(?<=[a-z]))(id|ids|key|uuid|guid|index|number|no|nr|code|row)$|^(id|index|unnamed|row)", re.IGNORECASE
)


class Histogram(msgspec.Struct, frozen=True):
    """`counts[i]` values lie from `edges[i]` up to `edges[i + 1]`, the last edge included."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


class ColumnProfile(msgspec.Struct, frozen=True, kw_only=True):
    """One column. `kind` is a guess at what it means, `type` how it is stored (a DuckDB type).

    `missing` counts rows without a value; `distinct` is estimated above 100,000. `minimum` and `maximum` are given for
    numbers and dates (ISO 8601), `mean`, `deviation`, `quantiles` and `histogram` for numbers. `top` are the most
    frequent values with their counts, empty where nearly every row has its own. `identifier`: it names the row.
    """

    name: str
    kind: Kind
    type: str
    missing: int
    distinct: int
    minimum: float | str | None = None
    maximum: float | str | None = None
    mean: float | None = None
    deviation: float | None = None
    quantiles: dict[str, float] | None = None
    top: tuple[tuple[Any, int], ...] = ()
    histogram: Histogram | None = None
    examples: tuple[Any, ...] = ()
    identifier: bool = False


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """A whole table: its number of rows and its columns in order."""

    rows: int
    columns: tuple[ColumnProfile, ...]


def quoted(name: str) -> str:
    """A name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def describe(connection: "duckdb.DuckDBPyConnection", table: str) -> Profile:
    """The profile of `table`, an SQL table expression of columns of the six canonical types."""
    columns = [(name, kind) for name, kind, *_ in _fetch(connection, f"DESCRIBE SELECT * FROM {table}")]
    rows: int = _fetch(connection, f"SELECT count(*) FROM {table}")[0][0]
    profiles = [
        profile
        for start in range(0, len(columns), AT_ONCE)
        for profile in _Part(connection, table, rows, columns[start : start + AT_ONCE]).profiles()
    ]
    return Profile(rows=rows, columns=tuple(profiles))


class _Part:
    """Some columns of a table, profiled together."""

    def __init__(
        self, connection: "duckdb.DuckDBPyConnection", table: str, rows: int, columns: Sequence[tuple[str, str]]
    ) -> None:
        self._connection, self._table, self._rows = connection, table, rows
        self._names = [quoted(name) for name, _ in columns]
        self._columns = columns

    def profiles(self) -> Iterator[ColumnProfile]:
        facts = self._facts()
        self._count_distinct(facts)
        quantiles, tops = self._quantiles(), self._tops(facts)
        histograms, examples = self._histograms(facts), self._examples()
        for index, (name, kind) in enumerate(self._columns):
            fact = facts[index]
            guess = _kind(kind, fact, self._rows)
            yield ColumnProfile(
                name=name,
                kind=guess,
                type=kind,
                missing=self._rows - fact["present"],
                distinct=fact["distinct"],
                minimum=_extreme(fact.get("minimum")),
                maximum=_extreme(fact.get("maximum")),
                mean=_rounded(fact.get("mean")) if _usual(fact) else None,
                deviation=_rounded(fact.get("deviation")) if _usual(fact) else None,
                quantiles=quantiles.get(index),
                top=tuple((_shown(value), count) for value, count in tops.get(index, ())),
                histogram=histograms.get(index),
                examples=tuple(_shown(value) for value in examples[index]) or _values(tops.get(index, ())),
                identifier=_names_rows(name, kind, guess, fact, self._rows),
            )

    def _facts(self) -> list[dict[str, Any]]:
        """What one pass over the columns tells of each."""
        wanted = [self._fact(column, kind) for column, (_, kind) in zip(self._names, self._columns, strict=True)]
        values = iter(self._select([sql for fact in wanted for sql in fact.values()]))
        return [{name: next(values) for name in fact} for fact in wanted]

    def _fact(self, column: str, kind: str) -> dict[str, str]:
        exact = self._rows <= EXACT_ROWS
        fact = {
            "present": f"count({column})",
            "distinct": f"count(DISTINCT {column})" if exact else f"approx_count_distinct({column})",
        }
        if kind in NUMERIC:
            fact |= {"minimum": f"min({column})", "maximum": f"max({column})"}
            # Sums of squares of larger numbers do not fit.
            usual = f"CASE WHEN abs({column}::DOUBLE) < {LARGEST_SQUARED!r} THEN {column} END"
            fact |= {"mean": f"avg({usual})", "deviation": f"stddev_samp({usual})"}
        elif kind in DATES:
            fact |= {"minimum": f"min({column})::VARCHAR", "maximum": f"max({column})::VARCHAR"}
        elif kind == "VARCHAR":
            fact["length"] = f"avg(length({column}))"
            fact["words"] = f"avg(1 + length({column}) - length(replace({column}, ' ', '')))"
            fact["spaced"] = f"count(*) FILTER (contains({column}, ' '))"
        return fact

    def _count_distinct(self, facts: list[dict[str, Any]]) -> None:
        """Replaces estimates by counts where they are few, and where a column may name its rows."""
        if self._rows <= EXACT_ROWS:
            return
        some = [
            index
            for index, fact in enumerate(facts)
            if fact["distinct"] <= 1.2 * EXACT_ROWS
            or (fact["distinct"] >= 0.9 * self._rows and _KEY_NAME.search(self._columns[index][0]))
        ]
        counted = self._select([f"count(DISTINCT {self._names[index]})" for index in some])
        for index, distinct in zip(some, counted, strict=True):
            facts[index]["distinct"] = distinct

    def _quantiles(self) -> dict[int, dict[str, float]]:
        numeric = [index for index, (_, kind) in enumerate(self._columns) if kind in NUMERIC]
        at = list(QUANTILES.values())
        exact = self._rows <= EXACT_QUANTILES
        function = "quantile_cont" if exact else "approx_quantile"
        if not exact:
            # The estimate depends on the order of its input.
            self._connection.execute("SET threads = 1")
        found = self._select([f"{function}({self._names[index]}::DOUBLE, {at})" for index in numeric])
        if not exact:
            self._connection.execute("RESET threads")
        return {
            index: {name: _short(value) for name, value in zip(QUANTILES, values, strict=True)}
            for index, values in zip(numeric, found, strict=True)
            if values
        }

    def _tops(self, facts: list[dict[str, Any]]) -> dict[int, list[tuple[Any, int]]]:
        wanted = [
            index
            for index, fact in enumerate(facts)
            if 0 < fact["distinct"] <= COUNTED_VALUES
            and (fact["distinct"] <= 1000 or fact["distinct"] <= 0.9 * fact["present"])
        ]
        few = {index for index in wanted if self._rows <= EXACT_ROWS and facts[index]["distinct"] <= 1000}
        counts = self._select([f"histogram({self._names[index]})" for index in sorted(few)])
        tops = {index: _most_frequent(found) for index, found in zip(sorted(few), counts, strict=True)}
        return tops | {index: self._top(self._names[index]) for index in wanted if index not in few}

    def _top(self, column: str) -> list[tuple[Any, int]]:
        return _fetch(
            self._connection,
            f"SELECT {column} AS value, count(*) AS times FROM {self._table} WHERE {column} IS NOT NULL "
            f"GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {TOP}",
        )

    def _histograms(self, facts: list[dict[str, Any]]) -> dict[int, Histogram]:
        edges = {index: _edges(fact) for index, fact in enumerate(facts) if self._columns[index][1] in NUMERIC}
        wanted = {index: found for index, found in edges.items() if found}
        bins = self._select([_binned(self._names[index], found) for index, found in wanted.items()])
        return {
            index: Histogram(
                tuple(map(_short, found)), tuple(int(counts.get(number, 0)) for number in range(len(found) - 1))
            )
            for (index, found), counts in zip(wanted.items(), bins, strict=True)
        }

    def _examples(self) -> list[list[Any]]:
        """The first different values of each column, from the first rows."""
        rows = _fetch(self._connection, f"SELECT {', '.join(self._names)} FROM {self._table} LIMIT {EXAMPLE_ROWS}")
        columns = zip(*rows, strict=True) if rows else [()] * len(self._names)
        return [list(dict.fromkeys(value for value in column if value is not None))[:EXAMPLES] for column in columns]

    def _select(self, expressions: list[str]) -> list[Any]:
        if not expressions:
            return []
        return list(_fetch(self._connection, f"SELECT {', '.join(expressions)} FROM {self._table}")[0])


def _fetch(connection: "duckdb.DuckDBPyConnection", sql: str) -> list[Any]:
    return list(connection.execute(sql).fetchall())


def _most_frequent(counts: dict[Any, int]) -> list[tuple[Any, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:TOP]


def _kind(kind: str, fact: dict[str, Any], rows: int) -> Kind:
    if kind != "VARCHAR":
        kinds: dict[str, Kind] = {"BIGINT": "integer", "DOUBLE": "number", "BOOLEAN": "boolean"}
        return kinds.get(kind, "date")
    if not fact["present"]:
        return "category"
    sentences = fact["words"] >= TEXT_WORDS or fact["length"] >= TEXT_LENGTH
    return "text" if sentences and fact["distinct"] > min(1000, 0.2 * rows) else "category"


def _names_rows(name: str, kind: str, guess: Kind, fact: dict[str, Any], rows: int) -> bool:
    """Whether a column is a key: another value in every row, and nothing that one would measure or tell."""
    if fact["distinct"] != rows or fact["present"] != rows or rows < 2:
        return False
    if kind == "BIGINT":
        counts_up = rows > 20 and fact["maximum"] - fact["minimum"] == rows - 1
        return bool(_KEY_NAME.search(name)) or counts_up
    return kind == "VARCHAR" and guess == "category" and (bool(_KEY_NAME.search(name)) or not fact["spaced"])


def _usual(fact: dict[str, Any]) -> bool:
    """Whether mean and deviation are those of all values."""
    return all(abs(fact.get(end) or 0) < LARGEST_SQUARED for end in ("minimum", "maximum") if "mean" in fact)


def _edges(fact: dict[str, Any]) -> tuple[float, ...] | None:
    if fact["minimum"] is None:
        return None
    low, high = float(fact["minimum"]), float(fact["maximum"])
    if not math.isfinite(high - low):
        return None
    if high == low:
        return (low, high)
    bins = min(BINS, int(fact["distinct"]))
    width = (high - low) / bins
    # Numbers that lie too near to each other for so many edges.
    edges = (*(low + width * number for number in range(bins)), high)
    return edges if len(set(edges)) == len(edges) else (low, high)


def _binned(column: str, edges: tuple[float, ...]) -> str:
    bins = len(edges) - 1
    if bins == 1:
        return f"MAP {{0: count({column})}}"
    position = f"(({column}::DOUBLE - {edges[0]!r}) / {(edges[-1] - edges[0]) / bins!r})"
    return f"histogram(least(floor({position}), {bins - 1})::INTEGER) FILTER ({column} IS NOT NULL)"


def _values(top: Sequence[tuple[Any, int]]) -> tuple[Any, ...]:
    return tuple(_shown(value) for value, _ in top[:EXAMPLES])


def _extreme(value: Any) -> Any:
    """DuckDB writes a time as `2024-01-01 10:00:00`."""
    return value.replace(" ", "T") if isinstance(value, str) else _shown(value)


def _shown(value: Any) -> Any:
    """A value as JSON holds it: short, and dates as text."""
    if isinstance(value, bool | int | float) or value is None:
        return _rounded(value) if isinstance(value, float) else value
    text = value if isinstance(value, str) else value.isoformat()
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"


def _short(value: float) -> float:
    return float(f"{value:.10g}")


def _rounded(value: float | None) -> float | None:
    """Ten digits: sums that threads add up in another order differ in the sixteenth."""
    if value is None or not math.isfinite(value):
        return None
    return _short(value)
