"""Reading tables: Parquet as the platform keeps it, or a CSV of the same columns, into plain arrays.

The same reader serves training on the platform and a version's own `train.py`, so that both learn from the same values.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelyard.formats.base import Batch
from modelyard.protocol.signature import Field, Kind

if TYPE_CHECKING:
    import duckdb

Type = Literal["integer", "number", "boolean", "string", "date"]

LARGEST = float(np.finfo(np.float32).max)

_TYPES: dict[str, Type] = {
    "BOOLEAN": "boolean", "DATE": "date", "TIMESTAMP": "date", "TIMESTAMP_S": "date", "TIMESTAMP_MS": "date",
    "TIMESTAMP_NS": "date", "TIMESTAMP WITH TIME ZONE": "date", "FLOAT": "number", "DOUBLE": "number",
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"), "integer"),
    **dict.fromkeys(("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"), "integer"),
}  # fmt: skip
_OF_KIND: dict[Kind, Type] = {
    "number": "number", "integer": "integer", "boolean": "boolean", "date": "date",
    "category": "string", "text": "string",
}  # fmt: skip


class Column(NamedTuple):
    """One column: numbers are float64 with NaN for missing, everything else strings with "" for missing."""

    name: str
    type: Type
    values: NDArray[Any]

    def taken(self, rows: NDArray[Any]) -> "Column":
        """Some rows: places, or a mask."""
        return self._replace(values=self.values[rows])


class Table:
    """The columns of one or more files with the same header."""

    def __init__(self, columns: Iterable[Column]) -> None:
        self.columns = {column.name: column for column in columns}
        self.rows = len(next(iter(self.columns.values())).values) if self.columns else 0

    def __getitem__(self, name: str) -> Column:
        return self.columns[name]

    def taken(self, rows: NDArray[Any]) -> "Table":
        """Some rows."""
        return Table(column.taken(rows) for column in self.columns.values())

    def batch(self, fields: Sequence[Field]) -> Batch:
        """The rows as a model is given them."""
        return Batch(
            _matrix([self[field.name].values for field in fields if field.numeric], self.rows, np.float32),
            _matrix([self[field.name].values for field in fields if not field.numeric], self.rows, object),
        )


def schema(paths: Sequence[Path]) -> dict[str, Type]:
    """The columns of Parquet files and what they hold. DECIMAL counts as number, what is unknown as string.

    Of a column that files disagree about, those say what it holds in which it has values.
    """
    import duckdb

    with duckdb.connect() as connection:
        each = {path: _described(connection, [path]) for path in paths}
        found = _described(connection, paths)
        for name in found:
            said = {path: kinds[name] for path, kinds in each.items() if name in kinds}
            if len(set(said.values())) > 1:
                with_values = [path for path in said if _has_values(connection, path, name)]
                found[name] = _described(connection, with_values or paths)[name]
    return {
        name: _TYPES.get(kind, "number" if kind.startswith("DECIMAL") else "string") for name, kind in found.items()
    }


def _described(connection: "duckdb.DuckDBPyConnection", paths: Sequence[Path]) -> dict[str, str]:
    """The columns of Parquet files by name, as DuckDB calls their types."""
    found = connection.execute(f"DESCRIBE SELECT * FROM {_parquet(paths)}").fetchall()  # noqa: S608 - quoted
    return {name: kind for name, kind, *_ in found}


def _has_values(connection: "duckdb.DuckDBPyConnection", path: Path, name: str) -> bool:
    found = connection.execute(f"SELECT count({_quoted(name)}) FROM {_parquet([path])}").fetchone()  # noqa: S608 - quoted
    return bool(found and found[0])


def read_parquet(path: Path, types: dict[str, Type]) -> Table:
    """The rows of a Parquet file in order, as `types` say; a column that the file lacks is missing."""
    return _read(_parquet([path]), types, schema([path]))


def read_csv(path: Path, fields: Sequence[Field], target: str, target_type: Type) -> Table:
    """The rows of a CSV file in order: the columns of a signature and the target."""
    types: dict[str, Type] = {**{field.name: _OF_KIND[field.kind] for field in fields}, target: target_type}
    return _read(f"read_csv({_literal(path)}, header=true, all_varchar=true)", types, types)


def read_file(path: Path, types: dict[str, Type]) -> Table:
    """The rows of a CSV file in order, as `types` say; of any other file the lines, as the first of these columns."""
    if path.suffix == ".csv":
        present = _header(path)
        return _read(f"read_csv({_literal(path)}, header=true, all_varchar=true)", types, present)
    lines = path.read_text(encoding="utf-8").split("\n")
    name = next(iter(types))
    return Table([Column(name, "string", np.array(lines if lines[-1] else lines[:-1], object))])


def _header(path: Path) -> list[str]:
    import duckdb

    with duckdb.connect() as connection:
        query = f"DESCRIBE SELECT * FROM read_csv({_literal(path)}, header=true, all_varchar=true)"  # noqa: S608 - quoted
        return [name for name, *_ in connection.execute(query).fetchall()]


def merged(tables: Sequence[Table]) -> Table:
    """All rows, in order."""
    first = tables[0]
    return Table(
        column._replace(values=np.concatenate([table[column.name].values for table in tables]))
        for column in first.columns.values()
    )


def _read(source: str, types: dict[str, Type], present: Iterable[str]) -> Table:
    import duckdb

    known = set(present)
    chosen = [
        f"{_expression(_quoted(name), kind) if name in known else _absent(kind)} AS c{place}"
        for place, (name, kind) in enumerate(types.items())
    ]
    with duckdb.connect() as connection:
        connection.execute("SET threads = 2; SET TimeZone = 'UTC'")
        found = connection.execute(f"SELECT {', '.join(chosen)} FROM {source}").fetchnumpy()  # noqa: S608 - quoted
    return Table(
        Column(name, kind, _plain(found[f"c{place}"], kind)) for place, (name, kind) in enumerate(types.items())
    )


def _expression(column: str, kind: Type) -> str:
    """What is selected for a column. A value that does not fit the type counts as missing."""
    if kind == "string":
        return f"coalesce(CAST({column} AS VARCHAR), '')"
    if kind == "date":
        moment = f"TRY_CAST({column} AS TIMESTAMP)"
        whole = f"{moment} = date_trunc('day', {moment})"
        day, time = f"strftime({moment}, '%Y-%m-%d')", f"strftime({moment}, '%Y-%m-%dT%H:%M:%S')"
        return f"coalesce(CASE WHEN {whole} THEN {day} ELSE {time} END, '')"
    inner = f"TRY_CAST({column} AS BOOLEAN)" if kind == "boolean" else column
    return f"TRY_CAST({inner} AS DOUBLE)"


def _absent(kind: Type) -> str:
    return "''" if kind in {"string", "date"} else "CAST(NULL AS DOUBLE)"


def _plain(values: Any, kind: Type) -> NDArray[Any]:
    if kind in {"string", "date"}:
        return np.asarray(values, object)
    numbers = np.ma.filled(values.astype(np.float64), np.nan) if np.ma.isMaskedArray(values) else values
    numbers = np.array(numbers, np.float64)
    # What a float32 cannot hold can be sent to no model.
    numbers[np.abs(numbers) > LARGEST] = np.nan
    return numbers


def _matrix(columns: list[NDArray[Any]], rows: int, dtype: type) -> NDArray[Any]:
    matrix: NDArray[Any] = np.empty((rows, len(columns)), dtype)
    for place, values in enumerate(columns):
        matrix[:, place] = values
    return matrix


def _parquet(paths: Sequence[Path]) -> str:
    return f"read_parquet([{', '.join(map(_literal, paths))}], union_by_name=true)"


def _literal(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
