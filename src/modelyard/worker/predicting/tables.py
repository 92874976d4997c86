"""The rows of canonical tables as a model takes them, range by range, and what is wrong with which.

A value that does not fit its column's kind is found by SQL, over all rows at once, before anything is predicted. What
fits is made the text or number that training made of it.
"""

# Names and paths in SQL are quoted; nothing in it is as a user has it.
# ruff: noqa: S608

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelyard.formats.base import Batch
from modelyard.protocol.signature import Field, Kind, Signature
from modelyard.worker.failures import failed

LARGEST = 3.4028234663852886e38
MOST_PROBLEMS = 20
MEMORY = "2GB"
_NUMERIC = frozenset(
    {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT",
     "FLOAT", "DOUBLE"}
)  # fmt: skip
_FIRST_SECOND, _LAST_SECOND = -62135596800, 253402300799
_WANTED: dict[Kind, str] = {
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "date": "a date such as 2024-05-31 or 2024-05-31T12:00:00Z",
    "category": "a text",
    "text": "a text",
}


class Rows(NamedTuple):
    """Some rows as a model takes them; `unfit` marks those with a value that does not fit, which count as missing."""

    batch: Batch
    unfit: NDArray[np.bool_]


class Span(NamedTuple):
    """Rows `first` to `last` (not included) of the table at `place`; `place` None is all rows of all tables."""

    place: int | None
    first: int
    last: int


class Tables:
    """Canonical Parquet tables, read for one signature. Raises JobFailed where a column is missing."""

    def __init__(self, paths: Sequence[Path], signature: Signature) -> None:
        self.paths = list(paths)
        self.types = _described(f"read_parquet([{', '.join(map(literal, self.paths))}], union_by_name=true)")
        self._own = [_described(f"read_parquet({literal(path)})").keys() for path in self.paths]
        self.counts = [self._count(path) for path in self.paths]
        self._fields = (*signature.numeric_inputs, *signature.string_inputs)
        self._split = len(signature.numeric_inputs)
        optional = {signature.target} if signature.scenario == "time-series-prediction" else set()
        self._columns = self._found(optional)
        read = [_expressions(field, self._columns.get(field.name), self.types) for field in self._fields]
        values = [f"{value} AS v{place}" for place, (value, _) in enumerate(read)]
        self._values = ", ".join(values)
        self._wrong = [wrong for _, wrong in read]
        self._unfit = " OR ".join(f"({wrong})" for wrong in self._wrong) or "false"

    @property
    def rows(self) -> int:
        """How many rows there are in all."""
        return sum(self.counts)

    def spans(self, size: int, *, after: int = 0) -> Iterator[Span]:
        """All rows in order from number `after` on, in ranges of at most `size`, none of them over two tables."""
        begun = 0
        for place, count in enumerate(self.counts):
            first = max(0, after - begun)
            for start in range(first, count, size):
                yield Span(place, start, min(count, start + size))
            begun += count

    def read(self, span: Span) -> Rows:
        """The rows of a range."""
        with _connect() as connection:
            query = f"SELECT {self._values or '1 AS nothing'}, ({self._unfit}) AS unfit FROM {self.source(span)}"
            found = connection.execute(query).fetchnumpy()
        unfit = np.ma.filled(found["unfit"], False).astype(np.bool_)
        numbers = np.empty((len(unfit), self._split), np.float32)
        strings = np.empty((len(unfit), len(self._fields) - self._split), object)
        for place, field in enumerate(self._fields):
            values = found[f"v{place}"]
            if place < self._split:
                numbers[:, place] = np.ma.filled(values.astype(np.float64), np.nan)
            else:
                strings[:, place - self._split] = _known(field, np.asarray(values, object))
        return Rows(Batch(numbers, strings), unfit)

    def source(self, span: Span) -> str:
        """The rows of a range as SQL reads them."""
        if span.place is None:
            wholes = (self.source(Span(place, 0, rows)) for place, rows in enumerate(self.counts))
            return f"({' UNION ALL '.join(f'SELECT * FROM {whole}' for whole in wholes)})"
        own = self._own[span.place]
        # A file that lacks a column has it all the same, without values.
        chosen = ", ".join(
            quoted(name) if name in own else f"CAST(NULL AS {kind}) AS {quoted(name)}"
            for name, kind in self.types.items()
        )
        query = f"SELECT {chosen} FROM read_parquet({literal(self.paths[span.place])})"
        if (span.first, span.last) == (0, self.counts[span.place]):
            return f"({query})"
        if "file_row_number" in own:
            return f"({query} LIMIT {span.last - span.first} OFFSET {span.first})"
        return f"({query} WHERE file_row_number >= {span.first} AND file_row_number < {span.last})"

    def problems(self) -> tuple[int, list[dict[str, Any]]]:
        """How many rows have a value that does not fit, and what is wrong with the first of them, rows from 1 on."""
        count, told, before = 0, list[dict[str, Any]](), 0
        with _connect() as connection:
            for place, rows in enumerate(self.counts):
                whole = self.source(Span(place, 0, rows))
                found = connection.execute(f"SELECT count(*) FROM {whole} WHERE {self._unfit}").fetchone()
                count += int(found[0]) if found else 0
                if found and found[0] and len(told) < MOST_PROBLEMS:
                    told += self._told(connection, whole, before)
                before += rows
        return count, told[:MOST_PROBLEMS]

    def _told(self, connection: Any, source: str, before: int) -> list[dict[str, Any]]:
        flags = ", ".join(f"({wrong})" for wrong in self._wrong)
        shown = ", ".join(self._shown(field) for field in self._fields)
        numbered = f"(SELECT *, row_number() OVER () AS {quoted(_NUMBER)} FROM {source})"
        query = f"SELECT {quoted(_NUMBER)}, {flags}, {shown} FROM {numbered} WHERE {self._unfit} LIMIT {MOST_PROBLEMS}"
        told = []
        width = len(self._fields)
        for row, *rest in connection.execute(query).fetchall():
            for field, wrong, value in zip(self._fields, rest[:width], rest[width:], strict=True):
                if wrong:
                    message = f'expected {_WANTED[field.kind]}, got "{str(value)[:40]}".'
                    told.append({"row": before + row, "column": field.name, "message": message})
        return told

    def _shown(self, field: Field) -> str:
        column = self._columns.get(field.name)
        return f"CAST({quoted(column)} AS VARCHAR)" if column else "NULL"

    @staticmethod
    def _count(path: Path) -> int:
        with _connect() as connection:
            found = connection.execute(f"SELECT count(*) FROM read_parquet({literal(path)})").fetchone()
        return int(found[0]) if found else 0

    def _found(self, optional: set[str]) -> dict[str, str]:
        """The table's column for each field that is there."""
        found = {field.name: field.name for field in self._fields if field.name in self.types}
        missing = [field for field in self._fields if field.name not in found and field.name not in optional]
        if len(missing) == len(self._fields) == len(self.types) == 1 and not missing[0].numeric:
            # One text is all that is needed, and the table has one column: a log's lines, for one.
            return {missing[0].name: next(iter(self.types))}
        if missing:
            raise failed(
                "columns_missing",
                f"The table lacks {_listed([field.name for field in missing])}. {self._near(missing)}",
                missing=[field.name for field in missing],
            )
        return found

    def _near(self, missing: Sequence[Field]) -> str:
        lowered = {name.strip().casefold(): name for name in self.types}
        near = [
            f"{lowered[match]!r} for {field.name!r}"
            for field in missing[:5]
            for match in difflib.get_close_matches(field.name.strip().casefold(), lowered, n=1, cutoff=0.75)
        ]
        if near:
            return f"Did you mean {' and '.join(near)}? Rename it, or add the column."
        return f"It has {_listed(list(self.types))}. Add what is missing; a value that is not known may stay empty."


_NUMBER = "the number of the row"


def literal(path: Path) -> str:
    """A path in SQL."""
    return "'" + str(path).replace("'", "''") + "'"


def quoted(name: str) -> str:
    """A column's name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def _described(source: str) -> dict[str, str]:
    with _connect() as connection:
        found = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
    return {name: kind for name, kind, *_ in found}


def _connect() -> Any:
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"SET threads = 2; SET TimeZone = 'UTC'; SET memory_limit = '{MEMORY}'")
    return connection


def _expressions(field: Field, column: str | None, types: Mapping[str, str]) -> tuple[str, str]:
    """What is selected for a field, and when a value does not fit."""
    if column is None:
        return ("CAST(NULL AS DOUBLE)" if field.numeric else "''"), "false"
    name, kind = quoted(column), types[column]
    text = f"nullif(trim(CAST({name} AS VARCHAR)), '')"
    plain = kind in _NUMERIC or kind.startswith("DECIMAL")
    match field.kind:
        case "number" | "integer":
            number = f"CAST({name} AS DOUBLE)" if plain else f"TRY_CAST({text} AS DOUBLE)"
            number = f"nullif({number}, 'nan'::DOUBLE)"
            there = f"{text} IS NOT NULL AND lower({text}) <> 'nan'"
            wrong = f"{there} AND ({number} IS NULL OR abs({number}) > {LARGEST})"
            if field.kind == "integer":
                wrong += f" OR {number} <> trunc({number})"
            return f"CASE WHEN {wrong} THEN NULL ELSE {number} END", wrong
        case "boolean":
            truth = f"TRY_CAST({text} AS BOOLEAN)"
            if plain:
                truth = f"CASE CAST({name} AS DOUBLE) WHEN 0 THEN false WHEN 1 THEN true END"
            return f"CAST({truth} AS DOUBLE)", f"{text} IS NOT NULL AND {truth} IS NULL"
        case "date":
            return _date(name, text, seconds=plain)
        case _:
            return f"coalesce(CAST({name} AS VARCHAR), '')", "false"


def _date(name: str, text: str, *, seconds: bool) -> tuple[str, str]:
    moment = f"CAST(TRY_CAST({text} AS TIMESTAMPTZ) AS TIMESTAMP)"
    if seconds:
        inside = f"CAST({name} AS DOUBLE) BETWEEN {_FIRST_SECOND} AND {_LAST_SECOND}"
        moment = f"CAST(to_timestamp(CASE WHEN {inside} THEN CAST({name} AS DOUBLE) END) AS TIMESTAMP)"
    shown = (
        f"CASE WHEN {moment} = date_trunc('day', {moment}) THEN strftime({moment}, '%Y-%m-%d') "
        f"WHEN {moment} = date_trunc('second', {moment}) THEN strftime({moment}, '%Y-%m-%dT%H:%M:%S') "
        f"ELSE strftime({moment}, '%Y-%m-%dT%H:%M:%S.%f') END"
    )
    return f"coalesce({shown}, '')", f"{text} IS NOT NULL AND {moment} IS NULL"


def _known(field: Field, values: NDArray[Any]) -> NDArray[Any]:
    """Categories as training wrote them: a column of whole numbers with gaps comes as 7.0 where it was 7."""
    if field.kind != "category" or not field.categories:
        return values
    known = set(field.categories)
    odd = set(values.tolist()) - known
    other = {text: text.removesuffix(".0") for text in odd if text.removesuffix(".0") in known}
    return np.array([other.get(text, text) for text in values.tolist()], object) if other else values


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:10]))
    return f"{shown} and {len(names) - 10} more" if len(names) > 10 else shown
