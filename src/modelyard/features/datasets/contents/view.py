"""Samples as one table: rows in order, each with its purpose, edited values in place, deleted rows left out.

The api reads pages of it, the sandbox makes a release's tables from it: both see the same rows.
"""

# Names and strings in SQL are quoted or numbered; nothing in it is as a user has it.
# ruff: noqa: S608

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelyard.features.datasets.importers.engine import file, literal
from modelyard.features.datasets.profile import quoted

if TYPE_CHECKING:
    import duckdb

PURPOSES: tuple[Literal["training", "validation", "test"], ...] = ("training", "validation", "test")
_ROW = "file_row_number"
_NUMBERS, _TIMES = frozenset({"BIGINT", "DOUBLE"}), frozenset({"DATE", "TIMESTAMP"})


class Edit(msgspec.Struct, frozen=True, array_like=True):
    """What was changed in one row of a table: new values of some columns, or that it is gone."""

    row: int
    values: dict[str, Any] | None = None
    deleted: bool = False


@dataclass(frozen=True, kw_only=True)
class Part:
    """One sample: its table, what its rows are for (`purposes` has a code for each where they differ), its edits.

    `blank` are columns without a value: their type says nothing.
    """

    sample: str
    path: Path
    purpose: str = "training"
    purposes: NDArray[np.uint8] | None = None
    edits: Sequence[Edit] = field(default=())
    blank: frozenset[str] = frozenset()


class View:
    """Parts as one table of the columns s (place of the part), r (row number), p (purpose code), e (edited), c0, c1, …

    `columns` are the names and types of c0, c1, …, in order: those of all parts, of types that hold the values of all.
    """

    def __init__(self, connection: "duckdb.DuckDBPyConnection", parts: Sequence[Part]) -> None:
        self.parts = parts
        self._connection = connection
        self._types = [self._described(part) for part in parts]
        self.columns = _common_types(parts, self._types)
        self._places = {name: place for place, name in enumerate(self.columns)}
        self._selects = [self._select(place, part) for place, part in enumerate(parts)]

    def column(self, name: str) -> str:
        """What a column is called in SQL."""
        return f"c{self._places[name]}"

    @property
    def sql(self) -> str:
        """The table expression. Its rows come in no particular order: by `s, r` they are in that of the files."""
        return f"({' UNION ALL '.join(self._selects)})"

    def named(self, where: str = "true", order: str = "") -> str:
        """A query for the rows that fit `where`, under the names that the columns have."""
        chosen = ", ".join(f"c{place} AS {quoted(name)}" for name, place in self._places.items())
        return f"SELECT {chosen} FROM {self.sql} WHERE {where} {order}"

    @property
    def joined(self) -> bool:
        """Whether rows may come in another order than that of the files."""
        return any(part.edits for part in self.parts)

    def _described(self, part: Part) -> dict[str, str]:
        rows = self._connection.execute(f"DESCRIBE SELECT * FROM read_parquet({file(part.path)})").fetchall()
        return {name: kind for name, kind, *_ in rows}

    def _select(self, place: int, part: Part) -> str:
        types = self._types[place]
        source, row = f"read_parquet({file(part.path)}, file_row_number = true)", _ROW
        if any(name.casefold() == _ROW for name in types):
            # The name is taken by a column of the user's.
            row = "#row"
            source = f"(SELECT *, row_number() OVER () - 1 AS {quoted(row)} FROM read_parquet({file(part.path)}))"
        purpose, joins, where = str(PURPOSES.index(part.purpose)), "", "true"
        if part.purposes is not None:
            self._keep_purposes(place, part.purposes)
            purpose, joins = "p.p", f" POSITIONAL JOIN p{place} p"
        edited: dict[str, str] = {}
        if part.edits:
            edited = self._keep_edits(place, part, types)
            joins += f" LEFT JOIN e{place} e ON e.r = t.{quoted(row)}"
            where = "NOT coalesce(e.d, false)"
        values = ", ".join(
            f"({self._value(name, types, edited)})::{kind} AS c{number}"
            for number, (name, kind) in enumerate(self.columns.items())
        )
        touched = "e.t IS NOT NULL AND e.t" if part.edits else "false"
        fixed = f"{place}::INTEGER AS s, t.{quoted(row)}::BIGINT AS r, {purpose}::UTINYINT AS p, {touched} AS e"
        return f"SELECT {fixed}, {values} FROM {source} t{joins} WHERE {where}"

    def _value(self, name: str, types: dict[str, str], edited: dict[str, str]) -> str:
        if name not in types:
            return "NULL"
        number = edited.get(name)
        return (
            f"t.{quoted(name)}"
            if number is None
            else f"CASE WHEN e.s{number} THEN e.v{number} ELSE t.{quoted(name)} END"
        )

    def _keep_purposes(self, place: int, purposes: NDArray[np.uint8]) -> None:
        self._connection.register(f"given{place}", {"p": np.ascontiguousarray(purposes, np.uint8)})
        self._connection.execute(f"CREATE OR REPLACE TEMP TABLE p{place} AS SELECT p FROM given{place}")
        self._connection.unregister(f"given{place}")

    def _keep_edits(self, place: int, part: Part, types: dict[str, str]) -> dict[str, str]:
        """Makes the table of edits: r, d (deleted), t (touched), and for each edited column s (set) and v (value)."""
        edited = {name for edit in part.edits for name in edit.values or ()}
        columns = [name for name in types if name in edited]
        shape = {"r": "BIGINT", "d": "BOOLEAN", "t": "BOOLEAN"}
        for number, name in enumerate(columns):
            shape |= {f"s{number}": "BOOLEAN", f"v{number}": types[name]}
        rows = [_flat(edit, columns) for edit in part.edits]
        query = f"SELECT unnest(from_json(?, {literal(msgspec.json.encode([shape]).decode())}), recursive := true)"
        given = msgspec.json.encode(rows).decode()
        self._connection.execute(f"CREATE OR REPLACE TEMP TABLE e{place} AS {query}", [given])
        return {name: str(number) for number, name in enumerate(columns)}


def _common_types(parts: Sequence[Part], types: Sequence[dict[str, str]]) -> dict[str, str]:
    """Every column of the parts with a type that holds the values of all."""
    found = {name: "" for kinds in types for name in kinds}
    for part, kinds in zip(parts, types, strict=True):
        edited = {name for edit in part.edits for name in edit.values or ()}
        for name, kind in kinds.items():
            if name in edited or name not in part.blank:
                found[name] = common(found[name] or kind, kind)
    return {name: kind or next(kinds[name] for kinds in types if name in kinds) for name, kind in found.items()}


def common(one: str, other: str) -> str:
    """The type that holds values of both."""
    if one == other:
        return one
    if {one, other} <= _NUMBERS:
        return "DOUBLE"
    return "TIMESTAMP" if {one, other} <= _TIMES else "VARCHAR"


def _flat(edit: Edit, columns: Sequence[str]) -> dict[str, Any]:
    values = edit.values or {}
    flat: dict[str, Any] = {"r": edit.row, "d": edit.deleted, "t": bool(values)}
    for number, name in enumerate(columns):
        flat[f"s{number}"], flat[f"v{number}"] = name in values, values.get(name)
    return flat
