"""What a job that prepares a release is told, and what the sandboxed part of it is told and answers."""

from typing import Literal

import msgspec

Purpose = Literal["training", "validation", "test"]


class ReleasePart(msgspec.Struct, frozen=True, kw_only=True):
    """One sample of a release: the file as it came, its canonical table, and what its rows are for.

    `purposes` is the key of an array with a purpose for each row, `edited` says that rows were changed: in both cases
    tables of its own are made for the release, else the sample's objects are used as they are.
    """

    sample: str
    filename: str
    purpose: Purpose
    size: int
    sha256: str
    rows: int
    table: str
    original: str
    purposes: str | None = None
    edited: bool = False

    @property
    def untouched(self) -> bool:
        """Whether all rows have one purpose and none was changed."""
        return self.purposes is None and not self.edited


class ReleaseSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A release to prepare. `edits` is the key of the changes of rows, by sample; derived tables lie below `blobs`.

    `lines` says that a table of one column is a text, line by line.
    """

    release: str
    blobs: str
    parts: tuple[ReleasePart, ...]
    edits: str | None = None
    lines: bool = False


class DeriveSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The parts whose tables are to be made, numbered as their files are."""

    parts: tuple[ReleasePart, ...]
    lines: bool = False


class DerivedTable(msgspec.Struct, frozen=True, kw_only=True):
    """One table that was made: of which part, the purpose of its rows and how many, and whether its text is lines."""

    part: int
    purpose: Purpose
    rows: int
    lines: bool = False


class Derived(msgspec.Struct, frozen=True, kw_only=True):
    """What was made."""

    tables: tuple[DerivedTable, ...]


class ReleaseEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a release's manifest: a table whose rows all have one purpose, and the file that a download gives.

    `size` and `sha256` are that file's, `table` and `original` are object keys.
    """

    sample: str
    filename: str
    purpose: Purpose
    size: int
    sha256: str
    rows: int
    table: str
    original: str
