"""Seam: readers of uploaded files. Each turns its kind of file into a draft that DuckDB can select from."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from modelyard.features.datasets.importers.forms import Form
from modelyard.features.datasets.validation import Problem

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Work:
    """What a reader works with.

    An open DuckDB, a folder for files of its own, the name that the file had, the most columns a table may have, what
    the dataset knows of its columns, and `problems`, to which it adds what it leaves out or mends. `tolerant` says that
    broken rows are left out; else they refuse the file.
    """

    connection: "duckdb.DuckDBPyConnection"
    folder: Path
    filename: str
    columns_limit: int
    scenario: str = ""
    target: str | None = None
    roles: Mapping[str, str] = field(default_factory=dict)
    tolerant: bool = False
    problems: list[Problem] = field(default_factory=list)


class Column(NamedTuple):
    """One column of a draft: the name that was found, SQL for its value, and the forms it may take, best first."""

    name: str
    value: str
    forms: tuple[Form, ...]


class Draft(NamedTuple):
    """A file that DuckDB can read: an SQL table expression and what its columns may become."""

    table: str
    columns: list[Column]


class Importer(ABC):
    """A reader of one kind of file. `scenarios` are those that it reads for, empty: all."""

    scenarios: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def sniff(self, head: bytes, filename: str) -> float:
        """How sure it is, from 0 to 1, that a file which begins with `head` (64 KiB) is of its kind."""

    @abstractmethod
    def read(self, path: Path, work: Work) -> Draft:
        """Read the file. Raises the errors of `importers.errors`."""
