"""Files on their way into a dataset: what the importer is told and answers, and what an import job is about."""

from typing import Any, Literal

import msgspec

from modelyard.core.settings import GIB

Purpose = Literal["training", "validation", "test"]
OnError = Literal["strict", "tolerant"]
IMPORTER = "modelyard.features.datasets.importers.run"
"""The module that runs inside the sandbox."""


class ImportSpec(msgspec.Struct, frozen=True):
    """What is to be imported: `file` below the job's folder, `filename` as it was uploaded, what its dataset is for.

    `target` and `roles` name columns as far as the dataset knows them. `most` is how many samples it may become,
    `unpacked_limit` how many bytes it may unpack to.
    """

    file: str
    filename: str
    columns_limit: int = 5000
    scenario: str = ""
    target: str | None = None
    roles: dict[str, str] = {}
    purpose: Purpose = "training"
    on_error: OnError = "strict"
    most: int = 1000
    unpacked_limit: int = 10 * GIB


class ImportedFile(msgspec.Struct, frozen=True, kw_only=True):
    """One sample that was made, below `out/<folder>`: `table.parquet`, `profile.json`, and `original` where it came in
    an archive (`packed`); else the upload itself is its original. `problems` are what validation found."""

    folder: str
    filename: str
    purpose: Purpose
    packed: bool
    problems: list[dict[str, Any]]


class ImportedFiles(msgspec.Struct, frozen=True, kw_only=True):
    """All that was made, and the names of files in an archive that were left out."""

    files: list[ImportedFile]
    left_out: list[str]


class IntakeSpec(msgspec.Struct, frozen=True, kw_only=True):
    """An import job: the object keys of an upload's pieces in order, and what becomes of them.

    `prefix` is where samples lie in the object store; `sha256` is what the client says the whole has, where it does.
    `file` of `spec` is filled in by the worker.
    """

    upload: str
    prefix: str
    pieces: tuple[str, ...]
    size: int
    sha256: str | None
    spec: ImportSpec


class IntakeSample(msgspec.Struct, frozen=True, kw_only=True):
    """A sample whose objects are stored."""

    sample: str
    filename: str
    purpose: Purpose
    size: int
    sha256: str
    original: str
    table: str
    profile: dict[str, Any]
    problems: list[dict[str, Any]]


class IntakeResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an upload."""

    samples: list[IntakeSample]
    left_out: list[str]
