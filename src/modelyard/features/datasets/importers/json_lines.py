"""JSON lines: an object per line, or an array of objects. A key is a column, where it is missing the value is."""

# Names and strings in SQL are quoted; nothing in it is as a file has it.
# ruff: noqa: S608

import re
from pathlib import Path

import duckdb
import msgspec

from modelyard.features.datasets.importers.base import Column, Draft, Importer, Work
from modelyard.features.datasets.importers.engine import file, literal, write_parquet
from modelyard.features.datasets.importers.errors import DuplicateColumns, NoRows, Unreadable
from modelyard.features.datasets.importers.forms import ANY, DATES, TEXT
from modelyard.features.datasets.importers.naming import check_count
from modelyard.features.datasets.importers.text import HEAD, as_utf8, beginning, looks_like_text

LARGEST_OBJECT = 8 << 20
_OBJECT = re.compile(r'\[?\s*\{\s*["}]')
NAMES = (".jsonl", ".ndjson", ".json")


class JsonLinesImporter(Importer):
    """Objects whose values are numbers, strings, truth or null; what is nested becomes text."""

    def sniff(self, head: bytes, filename: str) -> float:
        if not looks_like_text(head):
            return 0.0
        start = beginning(head)
        if _OBJECT.match(start):
            return 0.95
        return 0.9 if start.startswith(("{", "[")) and filename.lower().endswith(NAMES) else 0.0

    def read(self, path: Path, work: Work) -> Draft:
        text = as_utf8(path, work.folder, mark=False)
        with text.open("rb") as source:
            array = beginning(source.read(HEAD)).startswith("[")
        form = "array" if array else "newline_delimited"
        objects = f"read_json_objects({file(text)}, format = '{form}', maximum_object_size = {LARGEST_OBJECT})"
        try:
            keys = _keys(work, objects)
            check_count(len(keys), work.columns_limit)
            table = _stage(work, objects, list(keys))
        except duckdb.Error as error:
            if "No space left" in str(error) or isinstance(error, duckdb.OutOfMemoryException):
                raise
            raise _unreadable(text, array) from error
        columns = [
            Column(key, f"c{number}", (*DATES, TEXT) if strings else ANY)
            for number, (key, strings) in enumerate(keys.items())
        ]
        return Draft(table, columns)


def _keys(work: Work, objects: str) -> dict[str, bool]:
    """Every key in the order of its first appearance, and whether all its values are strings.

    Raises Unreadable where something is no object, DuplicateColumns where an object has a key twice.
    """
    numbered = f"(SELECT row_number() OVER () AS number, json FROM {objects})"
    other = work.connection.execute(
        f"SELECT number, lower(json_type(json)) FROM {numbered} WHERE json_type(json) <> 'OBJECT' LIMIT 1"
    ).fetchone()
    if other is not None:
        raise Unreadable(
            f'Entry {other[0]:,} is {other[1]}, not an object. Write one object such as {{"name": 1}} per line.',
            detail={"row": other[0]},
        )
    found = work.connection.execute(
        "SELECT key, min(number), min(id), bool_and(type IN ('VARCHAR', 'NULL')), bool_or(type = 'VARCHAR'), "
        "count(*) - count(DISTINCT number) "
        f"FROM (SELECT number, entry.key, entry.id, entry.type FROM {numbered} AS row, json_each(row.json) AS entry) "
        "GROUP BY key ORDER BY min(number), min(id)"
    ).fetchall()
    twice = [key for key, *_, repeated in found if repeated]
    if twice:
        raise DuplicateColumns(
            f"An object has a key twice: {', '.join(map(repr, twice[:10]))}. Rename one of them.",
            detail={"columns": twice},
        )
    if not found:
        if work.connection.execute(f"SELECT 1 FROM {objects} LIMIT 1").fetchone() is None:
            raise NoRows("The file holds no objects. Write one per line.")
        raise Unreadable("The objects have no keys, so the table has no columns. Give each value a name.")
    return {key: strings and some for key, _, _, strings, some, _ in found}


def _stage(work: Work, objects: str, keys: list[str]) -> str:
    target = work.folder / "staged.parquet"
    pointers = ", ".join(literal("/" + key.replace("~", "~0").replace("/", "~1")) for key in keys)
    values = ", ".join(f"nullif(trim(found[{number + 1}]), '') AS c{number}" for number in range(len(keys)))
    query = f"SELECT {values} FROM (SELECT json_extract_string(json, [{pointers}]) AS found FROM {objects})"
    write_parquet(work.connection, query, target, columns=len(keys), codec="snappy")
    return f"read_parquet({file(target)})"


def _unreadable(path: Path, array: bool) -> Unreadable:
    """Names the first line that is no JSON."""
    if not array:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    msgspec.json.decode(line.removeprefix(b"\xef\xbb\xbf").strip() or b"null")
                except (msgspec.DecodeError, RecursionError) as error:
                    return Unreadable(
                        f"Line {number:,} is no JSON ({error}). Write one object per line.", detail={"line": number}
                    )
    return Unreadable("The file is no JSON that can be read. Write one object per line.")
