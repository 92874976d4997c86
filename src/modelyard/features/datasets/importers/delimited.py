"""Delimited text: which delimiter and quotes a file has, its header, and its rows as a table of text."""

# Names and strings in SQL are quoted; nothing in it is as a file has it.
# ruff: noqa: S608

import csv
import io
import re
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import duckdb

from modelyard.features.datasets.importers.base import Work
from modelyard.features.datasets.importers.engine import file, literal, write_parquet
from modelyard.features.datasets.importers.errors import EmptyFile, NoHeader, NotATable, RaggedRows, Unreadable
from modelyard.features.datasets.importers.text import Dropped
from modelyard.features.datasets.validation import ROWS, Problem, rows_of

SAMPLE = 4 << 20
RECORDS = 500
LONGEST_LINE = 4 << 20
DELIMITERS = ",;\t|"
NONE = "\x1f"  # the delimiter of a file of one column: it occurs nowhere
WORDS_OF_A_SENTENCE = 6
MOSTLY = 0.8
MOST_BROKEN = 0.5
"""The share of rows that may be left out: with more, the delimiter or the header is misread."""
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


def stage(work: Work, path: Path, dialect: Dialect, columns: int) -> str:
    """The rows below the header as a table of text with the columns c0, c1, …; blanks are null.

    Raises RaggedRows and Unreadable, naming the lines; where broken rows are tolerated they are left out.
    """
    target = work.folder / "staged.parquet"
    try:
        _copy(work.connection, path, dialect, columns, target)
    except duckdb.Error as error:
        if "No space left" in str(error) or isinstance(error, duckdb.OutOfMemoryException):
            raise
        # Told again by a slower reader, which either finds the lines or a file that only mixes its line ends.
        _copy(work.connection, _rewritten(path, dialect, columns, work), Dialect(), columns, target)
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


def _rewritten(path: Path, dialect: Dialect, columns: int, work: Work) -> Path:
    """The file as the fast reader takes it, without its broken rows. Raises what `stage` does."""
    target, broken = work.folder / "rewritten.csv", _Broken(columns, tolerant=work.tolerant)
    with path.open(encoding="utf-8-sig", newline="") as source, target.open("w", encoding="utf-8", newline="") as file:
        lines, writer = _Lines(source), csv.writer(file, lineterminator="\n")
        row = -1  # the header's becomes 0
        while True:
            lines.begin()
            try:
                record = next(dialect.reader(lines), None)
            except csv.Error as error:
                row += 1
                broken.unreadable(row, lines, str(error))
                continue
            if record is None:
                break
            row += bool(record)
            if record and len(record) != columns:
                broken.ragged(row, lines, len(record))
            elif record:
                writer.writerow(record)
    broken.check(row)
    work.problems.extend(broken.problems())
    return target


class _Lines:
    """The lines of a file, which may be given back: a quote that is never closed swallows the rows below it."""

    def __init__(self, source: Iterator[str]) -> None:
        self._source = source
        self._returned: deque[str] = deque()
        self._taken: list[str] = []
        self._number = 0

    @property
    def first(self) -> int:
        """The number of the record's first line, from 1."""
        return self._number - len(self._taken) + 1

    def begin(self) -> None:
        """A new record begins with the next line."""
        self._taken.clear()

    def give_back(self) -> None:
        """All but the first line of the record are to come again."""
        self._returned.extendleft(reversed(self._taken[1:]))
        self._number -= len(self._taken) - 1
        del self._taken[1:]

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._returned.popleft() if self._returned else next(self._source)
        self._taken.append(line)
        self._number += 1
        return line


class _Broken:
    """The rows that cannot be read, or are wider or narrower than the header."""

    def __init__(self, columns: int, *, tolerant: bool) -> None:
        self._columns, self._tolerant = columns, tolerant
        self._rows, self._lines = Dropped(), Dropped()
        self._first: RaggedRows | Unreadable | None = None

    def ragged(self, row: int, lines: _Lines, found: int) -> None:
        """A row of another number of values."""
        line = lines.first
        self._add(
            row,
            lines,
            RaggedRows(
                f"Line {line:,} has {found} values, the header has {self._columns} names. Correct the line, or "
                "put values that hold the delimiter in quotes.",
                detail={"line": line, "expected": self._columns, "found": found},
            ),
        )

    def unreadable(self, row: int, lines: _Lines, why: str) -> None:
        """A row whose quotes make no sense."""
        line = lines.first
        self._add(
            row,
            lines,
            Unreadable(
                f"Line {line:,} cannot be read: {why}. Look for a quote that is not closed.", detail={"line": line}
            ),
        )

    def _add(self, row: int, lines: _Lines, error: RaggedRows | Unreadable) -> None:
        self._first = self._first or error
        self._rows.add(row)
        self._lines.add(lines.first)
        lines.give_back()
        if not self._tolerant and self._rows.count >= ROWS:
            self.check(row)

    def check(self, rows: int) -> None:
        """Raises the first row's error where broken rows refuse the file, or where they are most of it."""
        error = self._first
        if error is None or (self._tolerant and self._rows.count <= MOST_BROKEN * rows):
            return
        more = self._lines.first[1:]
        if more:
            shown = ", ".join(f"{line:,}" for line in more[:5]) + (", …" if len(more) > 5 else "")
            error.message += f" The same goes for line {shown}."
        error.message += "" if self._tolerant else " To leave such rows out, upload with on_error=tolerant."
        error.detail |= {"lines": self._lines.first, "rows": self._rows.first}
        raise error

    def problems(self) -> Iterator[Problem]:
        """What was left out."""
        if self._rows.count:
            yield Problem(
                code="broken_rows",
                severity="warning",
                message=f"{rows_of(self._rows.count)} of the file left out: more or fewer values than the header has "
                "names, or a quote that is not closed.",
                count=self._rows.count,
                rows=tuple(self._rows.first),
            )


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
