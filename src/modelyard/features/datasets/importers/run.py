"""Turns one uploaded file into the canonical table and its profile: in a process of its own, shut in by the sandbox.

    python -m modelyard.features.datasets.importers.run /job

reads /job/spec.json and writes /job/out/table.parquet and /job/out/profile.json, or /job/failure.json and exit code 1.
It touches nothing outside of /job and needs no network.
"""

# Names and strings in SQL are quoted; nothing in it is as a file has it.
# ruff: noqa: S608

import re
import sys
import tempfile
from pathlib import Path

import duckdb
import msgspec

from modelyard.core.errors import ModelyardError, OutOfSpace
from modelyard.core.registry import Registry
from modelyard.features.datasets.importers.base import Column, Draft, Importer, Work
from modelyard.features.datasets.importers.engine import connect, file, write_parquet
from modelyard.features.datasets.importers.errors import EmptyFile, NoRows, NotATable, Unreadable
from modelyard.features.datasets.importers.forms import Candidate, Form, settle
from modelyard.features.datasets.importers.naming import check_count, clean_names
from modelyard.features.datasets.profile import Profile, describe, quoted
from modelyard.protocol.jobs import Failure

REGISTRY: Registry[Importer] = Registry(
    "modelyard.features.datasets.importers",
    Importer,  # type: ignore[type-abstract]
    exclude=frozenset({"delimited", "engine", "errors", "forms", "naming", "run", "text"}),
)
HEAD = 1 << 16
COLUMNS_LIMIT = 5000
_FULL = re.compile("No space left on device|File too large|Disk quota exceeded")
_FOREIGN = {
    b"%PDF": "a PDF document",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"\x1f\x8b": "a gzip archive: unpack it first",
    b"PK\x03\x04": "a ZIP archive: unpack it first",
    b"BZh": "a bzip2 archive: unpack it first",
    b"\x28\xb5\x2f\xfd": "a Zstandard archive: unpack it first",
    b"\xfd7zXZ": "an xz archive: unpack it first",
    b"7z\xbc\xaf": "a 7-Zip archive: unpack it first",
    b"SQLite format 3": "an SQLite database",
    b"\x7fELF": "a program",
}


class Spec(msgspec.Struct, frozen=True):
    """What is to be imported: `file` below the job's folder, `filename` as it was uploaded."""

    file: str
    filename: str
    columns_limit: int = COLUMNS_LIMIT


def import_file(path: Path, filename: str, out_folder: Path, columns_limit: int = COLUMNS_LIMIT) -> Profile:
    """Write `table.parquet` and `profile.json` to `out_folder`; the profile.

    Raises the errors of `importers.errors`, and OutOfSpace; then `out_folder` is as it was before.
    """
    try:
        return _import(path, filename, out_folder, columns_limit)
    except (duckdb.Error, OSError) as error:
        known = _known(error)
        if known is None:
            raise
        raise known from error


def _import(path: Path, filename: str, out_folder: Path, columns_limit: int) -> Profile:
    with tempfile.TemporaryDirectory(prefix=".import-", dir=out_folder) as work_folder:
        folder = Path(work_folder)
        importer = choose(path, filename)
        with connect(folder, [path]) as connection:
            draft = importer.read(path, Work(connection, folder, filename, columns_limit))
            check_count(len(draft.columns), columns_limit)
            table = _write(connection, draft, folder / "table.parquet")
            profile = describe(connection, table)
        (folder / "profile.json").write_bytes(msgspec.json.encode(profile))
        for name in ("table.parquet", "profile.json"):
            (folder / name).replace(out_folder / name)
    return profile


def choose(path: Path, filename: str) -> Importer:
    """The importer that is surest of a file. Raises EmptyFile, and NotATable where none reads it."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not head.strip():
        raise EmptyFile(f"{filename} is empty. Choose a file with a header and at least one row.")
    foreign = next((kind for magic, kind in _FOREIGN.items() if head.startswith(magic)), None)
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        foreign = "a web page or XML"
    importers = [REGISTRY.get(name)() for name in REGISTRY.names()]
    sure, best = max(((importer.sniff(head, filename), importer) for importer in importers), key=lambda pair: pair[0])
    if sure == 0 or (foreign and sure < 0.9):
        raise NotATable(
            f"{filename} is {foreign or 'no table'}. Upload a CSV, Parquet, JSON lines or Excel table."
            if foreign
            else f"{filename} holds no table. Upload a CSV, Parquet, JSON lines or Excel table."
        )
    return best


def _write(connection: duckdb.DuckDBPyConnection, draft: Draft, path: Path) -> str:
    """Write the canonical table; the SQL that reads it."""
    names = clean_names([column.name for column in draft.columns])
    found = connection.execute(f"SELECT 1 FROM {draft.table} LIMIT 1").fetchone()
    if found is None:
        raise NoRows("The table has names of columns but no rows. Add at least one row below the header.")
    forms = settle(connection, draft.table, [Candidate(column.value, column.forms) for column in draft.columns])
    chosen = ", ".join(
        f"{_converted(column, form)} AS {quoted(name)}"
        for column, form, name in zip(draft.columns, forms, names, strict=True)
    )
    write_parquet(connection, f"SELECT {chosen} FROM {draft.table}", path, columns=len(names), codec="zstd")
    return f"read_parquet({file(path)})"


def _converted(column: Column, form: Form) -> str:
    return f"({form.convert(column.value)})::{form.type}"


def main(folder: Path) -> int:
    """Import what /job/spec.json names; the exit code."""
    spec = msgspec.json.decode((folder / "spec.json").read_bytes(), type=Spec)
    out = folder / "out"
    out.mkdir(exist_ok=True)
    try:
        import_file(folder / spec.file, spec.filename, out, spec.columns_limit)
    except OutOfSpace:
        # No fault of the file, and there may be no room for a failure either: the platform reads this line.
        sys.stderr.write("No space left on device\n")
        return 1
    except ModelyardError as error:
        failure = Failure(code=error.code, message=error.message, detail=error.detail, fields=tuple(error.fields))
        (folder / "failure.json").write_bytes(msgspec.json.encode(failure))
        return 1
    return 0


def _known(error: Exception) -> ModelyardError | None:
    if _FULL.search(str(error)):
        return OutOfSpace("The disk is full. Free some space, then upload again.")
    if isinstance(error, duckdb.OutOfMemoryException):
        return Unreadable("The table needs more memory than reading may take. Split it, or leave out long texts.")
    if isinstance(error, duckdb.Error):
        return Unreadable(f"The file cannot be read as a table: {str(error).splitlines()[0][:300]}")
    return None


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
