"""Delimited text: which delimiter and quotes a file has, its header, and its rows as a table of text."""

# Names and strings in SQL are quoted; nothing in it is as a file has it.
# ruff: noqa: S608

import csv
import io
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import duckdb

from modelyard.features.datasets.importers.engine import file, literal, write_parquet
from modelyard.features.datasets.importers.errors import EmptyFile, NoHeader, NotATable, RaggedRows, Unreadable

SAMPLE = 4 << 20
RECORDS = 500
LONGEST_LINE = 4 << 20
DELIMITERS = ",;\t|"
NONE = "\x1f"  # the delimiter of a file of one column: it occurs nowhere
WORDS_OF_A_SENTENCE = 6
MOSTLY = 0.8
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")
_WHOLE = re.compile(r"\d+")
_DATE = re.compile(r"\d{1,4}([-/.])\d{1,2}\1\d{1,4}([T ].*)?")


class Dialect(NamedTuple):
    """How a file separates its values and quotes them."""

    delimiter: str = ","
    quote: str = '"'
    escape: str = '"'

    def reader(self, lines: Iterator[str]) -> Iterator[list[str]]:
        """The records of `lines`, read strictly."""
        csv.field_size_limit(LONGEST_LINE)
        escape = None if self.escape == self.quote else self.escape
        return csv.reader(
            lines, delimiter=self.delimiter, quotechar=self.quote, doublequote=escape is None, escapechar=escape,
            skipinitialspace=True, strict=True,
        )  # fmt: skip


class Head(NamedTuple):
    """The beginning of a file: its dialect and its first records, that of the names first."""

    dialect: Dialect
    records: list[list[str]]


def read_head(path: Path) -> Head:
    """The dialect of a UTF-8 file, told from its first rows. Raises EmptyFile, NotATable."""
    with path.open("rb") as source:
        content = source.read(SAMPLE)
        whole = not source.read(1)
    text = content.decode("utf-8", "ignore").removeprefix("\ufeff")
    if not text.strip():
        raise EmptyFile("The file holds nothing but blanks. Choose a file with a header and at least one row.")
    dialects = [Dialect(delimiter, *quotes) for quotes in _quotes(text) for delimiter in DELIMITERS]
    heads = [Head(dialect, _records(text, dialect, whole)) for dialect in dialects]
    best = max(heads, key=lambda head: _fitness(head.records))
    alike, _ = _fitness(best.records)
    if alike < MOSTLY and len(" ".join(best.records[0]).split()) > WORDS_OF_A_SENTENCE:
        raise NotATable("The file is a text without columns. Choose a CSV, Parquet, JSON lines or Excel table.")
    if alike:
        return best
    only = Dialect(NONE, *_quotes(text)[0])
    return Head(only, _records(text, only, whole))


def check_header(records: Sequence[Sequence[str]]) -> None:
    """Raises NoHeader where the first record holds values: no word in it, or a value that comes again below."""
    first, rest = records[0], records[1:]
    cells = [cell.strip() for cell in first]
    numbers = [cell for cell in cells if _NUMBER.fullmatch(cell)]
    words = [cell for cell in cells if cell and not _NUMBER.fullmatch(cell) and not _DATE.fullmatch(cell)]
    if not words and any(cells):
        raise _no_header(cells)
    if not numbers:
        return
    # Names may be numbers, as the years of a wide table: whole, and each once.
    plain = all(_WHOLE.fullmatch(number) for number in numbers) and len(set(numbers)) == len(numbers)
    repeated = any(
        cell in words and cell in {row[place].strip() for row in rest if place < len(row)}
        for place, cell in enumerate(cells)
    )
    if not plain or repeated:
        raise _no_header(cells)


def stage(connection: duckdb.DuckDBPyConnection, path: Path, dialect: Dialect, columns: int, folder: Path) -> str:
    """The rows below the header as a table of text with the columns c0, c1, …; blanks are null.

    Raises RaggedRows and Unreadable, naming the line.
    """
    target = folder / "staged.parquet"
    try:
        _copy(connection, path, dialect, columns, target)
    except duckdb.Error as error:
        if "No space left" in str(error) or isinstance(error, duckdb.OutOfMemoryException):
            raise
        # Told again by a slower reader, which either finds the line or a file that only mixes its line ends.
        _copy(connection, _rewritten(path, dialect, columns, folder), Dialect(), columns, target)
    return f"read_parquet({file(target)})"


def _copy(connection: duckdb.DuckDBPyConnection, path: Path, dialect: Dialect, columns: int, target: Path) -> None:
    types = ", ".join(f"'c{number}': 'VARCHAR'" for number in range(columns))
    cleaned = ", ".join(f"nullif(trim(c{number}), '') AS c{number}" for number in range(columns))
    options = {
        "auto_detect": "false",
        "header": "true",
        "delim": literal(dialect.delimiter),
        "quote": literal(dialect.quote),
        "escape": literal(dialect.escape),
        "strict_mode": "true",
        "max_line_size": str(LONGEST_LINE),
        "buffer_size": str(2 * LONGEST_LINE),
    }
    given = ", ".join(f"{name} = {value}" for name, value in options.items())
    query = f"SELECT {cleaned} FROM read_csv({file(path)}, columns = {{{types}}}, {given})"
    write_parquet(connection, query, target, columns=columns, codec="snappy")


def _rewritten(path: Path, dialect: Dialect, columns: int, folder: Path) -> Path:
    target, line = folder / "rewritten.csv", 1
    with path.open(encoding="utf-8-sig", newline="") as source, target.open("w", encoding="utf-8", newline="") as file:
        reader, writer = dialect.reader(source), csv.writer(file, lineterminator="\n")
        try:
            for record in reader:
                if record and len(record) != columns:
                    raise RaggedRows(
                        f"Line {line:,} has {len(record)} values, the header has {columns} names. Correct the line, or "
                        "put values that hold the delimiter in quotes.",
                        detail={"line": line, "expected": columns, "found": len(record)},
                    )
                if record:
                    writer.writerow(record)
                line = reader.line_num + 1  # type: ignore[attr-defined]  # of csv's own readers
        except csv.Error as error:
            raise Unreadable(
                f"Line {line:,} cannot be read: {error}. Look for a quote that is not closed.", detail={"line": line}
            ) from None
    return target


def _quotes(text: str) -> list[tuple[str, str]]:
    """The quote and escape characters to try, the usual ones first."""
    backslash = '\\"' in text
    found = [('"', "\\")] if backslash else [('"', '"')]
    if '"' not in text and "'" in text:
        found.append(("'", "'"))
    return found


def _records(text: str, dialect: Dialect, whole: bool) -> list[list[str]]:
    records = []
    try:
        for record in islice(dialect.reader(io.StringIO(text, newline="")), RECORDS + 1):
            records += [record] * bool(record)
    except csv.Error:
        # Where a quote stays open the sample may just end in it.
        return records or [[text.partition("\n")[0]]]
    return records if whole or len(records) < 2 or len(records) > RECORDS else records[:-1]


def _fitness(records: list[list[str]]) -> tuple[float, int]:
    """How many of the records have as many values as the first, in tenths; and how many values that is."""
    width = len(records[0])
    if width < 2:
        return (0.0, 0)
    alike = sum(len(record) == width for record in records) / len(records)
    return (round(alike, 1), width)


def _no_header(cells: Sequence[str]) -> NoHeader:
    shown = ", ".join(cells[:5])
    return NoHeader(
        f"The first row holds values ({shown}), not names. Add a row with the names of the columns above it."
    )
