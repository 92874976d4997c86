"""Logs: any text, a row for each of its lines. What cannot be text is cleaned away and counted, never a reason to stop.

Read by this process line by line, for DuckDB would stop at the first odd byte; chunks that need no mending, which is
nearly all, pass through whole.
"""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, ClassVar

from modelyard.features.datasets.importers.base import Column, Draft, Importer, Work
from modelyard.features.datasets.importers.delimited import DELIMITERS
from modelyard.features.datasets.importers.engine import file
from modelyard.features.datasets.importers.errors import NoRows, NotATable
from modelyard.features.datasets.importers.forms import TEXT
from modelyard.features.datasets.importers.text import (
    CHUNK,
    HEAD,
    LONGEST_LINE,
    Dropped,
    as_utf8,
    beginning,
    is_western,
    looks_like_text,
    wide_encoding,
)
from modelyard.features.datasets.roles import is_line_name
from modelyard.features.datasets.validation import Problem, rows_of

SCENARIO = "log-clustering"
COLUMN = "line"
LONGEST = 65_536
"""Characters of a line; what is longer is cut."""
MOST_JUNK, MOST_CONTROL = 0.3, 0.08
"""The share of lines, and of bytes, that may be no text: with more the file is no log."""
TABLES = (".csv", ".tsv", ".tab")
_SEPARATOR = "\x1f"
"""What occurs in no cleaned line."""
_COLOURS = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_BLANK = re.compile(rb"^[ \t]*$", re.MULTILINE)
_BEYOND_ASCII = re.compile(rb"[\x80-\xff]+")


class LinesImporter(Importer):
    """The lines of a log."""

    scenarios: ClassVar[frozenset[str]] = frozenset({SCENARIO})

    def sniff(self, head: bytes, filename: str) -> float:
        if not looks_like_text(head) and len(_CONTROL.findall(head)) > MOST_CONTROL * len(head):
            return 0.0
        table = filename.lower().endswith(TABLES) or _names_a_line_column(head)
        return 0.2 if table else 0.8

    def read(self, path: Path, work: Work) -> Draft:
        with path.open("rb") as opened:
            wide = wide_encoding(opened.read(HEAD)) is not None
        source = as_utf8(path, work.folder, mark=False) if wide else path
        cleaned = work.folder / "lines"
        cleaning = _Cleaning()
        with source.open("rb") as opened, cleaned.open("wb") as target:
            for block in _blocks(opened):
                target.write(cleaning.block(block))
        cleaning.check(work.filename)
        work.problems.extend(cleaning.problems())
        options = f"columns = {{'c0': 'VARCHAR'}}, auto_detect = false, header = false, delim = '{_SEPARATOR}'"
        sizes = f"max_line_size = {LONGEST_LINE}, buffer_size = {2 * LONGEST_LINE}"
        table = f"read_csv({file(cleaned)}, {options}, quote = '', escape = '', {sizes})"
        return Draft(table, [Column(work.roles.get("text", COLUMN), "c0", (TEXT,))])


class _Cleaning:
    """Lines as they become rows; what was done to them."""

    def __init__(self) -> None:
        self.rows = self.empty = 0
        self.junk, self.cut = Dropped(), Dropped()

    def block(self, data: bytes) -> bytes:
        """Whole lines, cleaned, each with its end."""
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        data = data.removesuffix(b"\n")
        if self._is_clean(data):
            self.rows += data.count(b"\n") + 1
            return data + b"\n"
        kept = [line for line in map(self._line, data.split(b"\n")) if line]
        return b"\n".join(kept) + b"\n" if kept else b""

    def check(self, filename: str) -> None:
        """Raises NoRows where nothing is left, NotATable where most was junk."""
        if not self.rows:
            raise NoRows(f"{filename} holds no line with text in it. Choose another file.")
        if self.junk.count > max(1, MOST_JUNK * self.rows):
            raise NotATable(
                f"{filename} is no text: {self.junk.count:,} of {self.rows:,} lines hold bytes that are none. "
                "Upload the log as text."
            )

    def problems(self) -> Iterator[Problem]:
        """What is to be told of it."""
        if self.empty:
            told = "1 empty line was" if self.empty == 1 else f"{self.empty:,} empty lines were"
            yield Problem(code="empty_lines", severity="info", message=f"{told} left out.", count=self.empty)
        for code, found, what in (
            ("junk_bytes", self.junk, "with bytes that are no text, which were taken out"),
            ("long_lines", self.cut, f"longer than {LONGEST:,} characters, which were cut"),
        ):
            if found.count:
                message = f"{rows_of(found.count)} {what}."
                yield Problem(
                    code=code, severity="warning", message=message, count=found.count, rows=tuple(found.first)
                )

    def _is_clean(self, data: bytes) -> bool:
        if _CONTROL.search(data) or _BLANK.search(data) or len(data) > 2 * CHUNK:
            return False
        try:
            data.decode("utf-8")
        except UnicodeDecodeError:
            return False
        return all(len(line) <= LONGEST for line in data.split(b"\n")) if len(data) > LONGEST else True

    def _line(self, line: bytes) -> bytes:
        plain = _COLOURS.sub(b"", line)
        clean = _CONTROL.sub(b"", plain)
        text, mended = _decoded(clean)
        junk = mended or len(clean) < len(plain)
        text = text.rstrip()
        if not text.strip():
            # Nothing but junk is as good as empty.
            self.empty += 1
            return b""
        self.rows += 1
        if junk:
            self.junk.add(self.rows)
        if len(text) > LONGEST:
            self.cut.add(self.rows)
            text = text[:LONGEST]
        return text.encode()


def _decoded(line: bytes) -> tuple[str, bool]:
    """The text of a line, and whether bytes had to be taken out of it."""
    try:
        return line.decode("utf-8"), False
    except UnicodeDecodeError:
        runs = list(_BEYOND_ASCII.finditer(line))
    if all(is_western(run[0], line[: run.start()][-1:], line[run.end() : run.end() + 1]) for run in runs):
        return line.decode("cp1252"), False
    return line.decode("utf-8", "ignore"), True


def _blocks(source: BinaryIO) -> Iterator[bytes]:
    """The file in pieces of whole lines; a line of more than 4 MiB is parted."""
    rest = source.read(3).removeprefix(b"\xef\xbb\xbf")
    while chunk := source.read(CHUNK):
        data = rest + chunk
        # A carriage return at the end may be half of a line's end.
        end = max(data.rfind(b"\n"), data.rfind(b"\r", 0, -1)) + 1
        if not end and len(data) < LONGEST_LINE:
            rest = data
            continue
        end = end or len(data)
        yield data[:end]
        rest = data[end:]
    if rest:
        yield rest


def _names_a_line_column(head: bytes) -> bool:
    """Whether the first line is the header of a table with a column for lines."""
    first = (beginning(head).splitlines() or [""])[0].strip()
    for delimiter in DELIMITERS:
        names = next(csv.reader([first], delimiter=delimiter), [])
        if len(names) > 1 and any(map(is_line_name, names)) and all(len(name.split()) <= 3 for name in names):
            return True
    return False
