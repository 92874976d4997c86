"""CSV and its kin: any delimiter, quotes and encoding that can be told from the file."""

from pathlib import Path

from modelyard.features.datasets.importers.base import Column, Draft, Importer, Work
from modelyard.features.datasets.importers.delimited import check_header, read_head, stage
from modelyard.features.datasets.importers.errors import NotATable
from modelyard.features.datasets.importers.forms import ANY, DECIMAL_COMMA, DECIMAL_COMMA_UNLESS_THOUSANDS
from modelyard.features.datasets.importers.naming import check_count
from modelyard.features.datasets.importers.text import Dropped, as_utf8, looks_like_text
from modelyard.features.datasets.validation import Problem, rows_of

ENDINGS = (".csv", ".tsv", ".tab")
LONGEST_NAME = 5
"""Words in the name of an only column; a sentence has more."""


class CsvImporter(Importer):
    """Delimited text with a header."""

    def sniff(self, head: bytes, filename: str) -> float:
        if not looks_like_text(head):
            return 0.0
        return 0.6 if filename.lower().endswith((*ENDINGS, ".txt")) else 0.5

    def read(self, path: Path, work: Work) -> Draft:
        dropped = Dropped() if work.tolerant else None
        text = as_utf8(path, work.folder, dropped=dropped)
        if dropped and dropped.count:
            work.problems.append(no_text(dropped))
        dialect, records = read_head(text)
        names = records[0]
        check_count(len(names), work.columns_limit)
        if len(names) == 1 and _is_prose(names[0], work.filename):
            raise NotATable(
                f"{work.filename} holds lines of text, not a table: nothing separates columns in it. "
                "Upload a CSV, Parquet, JSON lines or Excel table."
            )
        check_header(records)
        table = stage(work, text, dialect, len(names))
        comma = {",": (), ";": (DECIMAL_COMMA,)}.get(dialect.delimiter, (DECIMAL_COMMA_UNLESS_THOUSANDS,))
        forms = (*ANY[:-1], *comma, ANY[-1])
        return Draft(table, [Column(name, f"c{number}", forms) for number, name in enumerate(names)])


def no_text(dropped: Dropped) -> Problem:
    """What is told of lines below the header that were left out, for they are no text."""
    message = f"{rows_of(dropped.count)} of the file left out: bytes in it are no text."
    rows = tuple(line - 1 for line in dropped.first)
    return Problem(code="no_text", severity="warning", message=message, count=dropped.count, rows=rows)


def _is_prose(only: str, filename: str) -> bool:
    """Whether a file with one column is a text rather than a list: not called a table, or beginning with a sentence."""
    return not filename.lower().endswith(ENDINGS) or len(only.split()) > LONGEST_NAME
