"""Parquet: columns come with their types, which are brought to the canonical ones."""

# Names and strings in SQL are quoted; nothing in it is as a file has it.
# ruff: noqa: S608

from pathlib import Path

import duckdb

from modelyard.features.datasets.importers.base import Column, Draft, Importer, Work
from modelyard.features.datasets.importers.engine import file
from modelyard.features.datasets.importers.errors import Unreadable
from modelyard.features.datasets.importers.forms import Form
from modelyard.features.datasets.importers.naming import check_count, clean_names
from modelyard.features.datasets.profile import quoted

MAGIC = b"PAR1"
ENCRYPTED = b"PARE"
WHOLE = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"})
LARGE = frozenset({"UBIGINT", "HUGEINT", "UHUGEINT"})
_INDEX = "__index_level_"


class ParquetImporter(Importer):
    """Parquet files. Nested values become text, the unnamed index that pandas adds is left out."""

    def sniff(self, head: bytes, filename: str) -> float:
        if head.startswith((MAGIC, ENCRYPTED)):
            return 1.0
        return 0.4 if filename.lower().endswith((".parquet", ".pq")) else 0.0

    def read(self, path: Path, work: Work) -> Draft:
        source = f"read_parquet({file(path)})"
        try:
            # The names as they are written: DuckDB renames what it takes for duplicates.
            written = work.connection.execute(f"SELECT name, num_children FROM parquet_schema({file(path)})").fetchall()
            described = work.connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
        except duckdb.Error as error:
            raise Unreadable(
                "The file is no Parquet that can be read: it is damaged, encrypted or cut off. Write it again."
            ) from error
        check_count(len(described), work.columns_limit)
        clean_names([name for name in _top_level(written) if not name.startswith(_INDEX)])
        columns = [
            Column(name, quoted(name), (_form(kind),)) for name, kind, *_ in described if not name.startswith(_INDEX)
        ]
        if not columns:
            raise Unreadable("The Parquet file has no columns. Write it with at least one.")
        return Draft(source, columns)


def _top_level(schema: list[tuple[str, int | None]]) -> list[str]:
    """The names of the root's children, in a schema that lists its tree depth first."""
    names, skip = [], 0
    for name, children in schema[1:]:
        if skip == 0:
            names.append(name)
        else:
            skip -= 1
        skip += children or 0
    return names


def _form(kind: str) -> Form:
    if kind in WHOLE:
        return Form("BIGINT", "{v}::BIGINT")
    if kind in LARGE or kind in {"FLOAT", "DOUBLE"} or kind.startswith("DECIMAL"):
        return Form("DOUBLE", "CASE WHEN isfinite({v}::DOUBLE) THEN {v}::DOUBLE END")
    if kind in {"BOOLEAN", "DATE"}:
        return Form(kind, "{v}")
    if kind.startswith("TIMESTAMP"):
        return Form("TIMESTAMP", "{v}::TIMESTAMP")
    text = "decode({v})" if kind == "BLOB" else "{v}::VARCHAR"
    return Form("VARCHAR", f"CASE WHEN trim({text}) <> '' THEN {text} END")
