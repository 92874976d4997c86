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
from modelyard.features.datasets.importers.text import HEAD, Dropped, as_utf8, beginning, looks_like_text
from modelyard.features.datasets.validation import ROWS, Problem, rows_of

LARGEST_OBJECT = 8 << 20
MOST_BROKEN = 0.5
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
        dropped = Dropped() if work.tolerant else None
        text = as_utf8(path, work.folder, mark=False, dropped=dropped)
        if dropped and dropped.count:
            work.problems.append(no_objects(dropped))
        with text.open("rb") as source:
            array = beginning(source.read(HEAD)).startswith("[")
        try:
            keys, table = _read(text, work, array=array)
        except Unreadable:
            if array or not work.tolerant:
                raise
            keys, table = _read(_only_objects(text, work), work, array=False)
        columns = [
            Column(key, f"c{number}", (*DATES, TEXT) if strings else ANY)
            for number, (key, strings) in enumerate(keys.items())
        ]
        return Draft(table, columns)


def _read(text: Path, work: Work, *, array: bool) -> tuple[dict[str, bool], str]:
    """The keys, as `_keys` has them, and the staged table. Raises Unreadable."""
    form = "array" if array else "newline_delimited"
    objects = f"read_json_objects({file(text)}, format = '{form}', maximum_object_size = {LARGEST_OBJECT})"
    try:
        keys = _keys(work, objects)
        check_count(len(keys), work.columns_limit)
        return keys, _stage(work, objects, list(keys))
    except duckdb.Error as error:
        if "No space left" in str(error) or isinstance(error, duckdb.OutOfMemoryException):
            raise
        raise _unreadable(text, array) from error


def _only_objects(path: Path, work: Work) -> Path:
    """A copy with those lines alone that are objects. Raises Unreadable where they are not even half of all."""
    target, dropped, number = work.folder / "objects", Dropped(), 0
    with path.open("rb") as lines, target.open("wb") as file:
        for line in lines:
            if not line.strip():
                continue
            number += 1
            if _is_object(line):
                file.write(line)
            else:
                dropped.add(number)
    if dropped.count > MOST_BROKEN * number:
        raise _unreadable(path, array=False)
    work.problems.append(no_objects(dropped))
    return target


def no_objects(dropped: Dropped) -> Problem:
    """What is told of lines that were left out."""
    message = f"{rows_of(dropped.count)} of the file left out: no JSON objects."
    return Problem(
        code="broken_rows", severity="warning", message=message, count=dropped.count, rows=tuple(dropped.first)
    )


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(line), dict)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


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
    """Names the first lines that are no JSON."""
    first, broken = "", Dropped()
    if not array:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    msgspec.json.decode(line.removeprefix(b"\xef\xbb\xbf").strip() or b"null")
                except (msgspec.DecodeError, RecursionError) as error:
                    first = first or f"Line {number:,} is no JSON ({error})."
                    broken.add(number)
                    if broken.count == ROWS:
                        break
    if first:
        others = ", ".join(f"{number:,}" for number in broken.first[1:6])
        more = f" Neither is line {others}." if others else ""
        return Unreadable(
            f"{first}{more} Write one object per line, or upload with on_error=tolerant.",
            detail={"line": broken.first[0], "lines": broken.first},
        )
    return Unreadable("The file is no JSON that can be read. Write one object per line.")
