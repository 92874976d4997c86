"""Turns an uploaded file into canonical tables and their profiles: in a process of its own, shut in by the sandbox.

    python -m modelyard.features.datasets.importers.run /job

reads /job/spec.json and writes /job/out/samples.json (`ImportedFiles`) and, for each sample, table.parquet and
profile.json in /job/out/<number>, with the file itself where it came in an archive; or /job/failure.json and exit code
1. It touches nothing outside of /job and needs no network.
"""

# Names and strings in SQL are quoted; nothing in it is as a file has it.
# ruff: noqa: S608

import os
import re
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, cast

import duckdb
import msgspec

from modelyard.core.errors import ModelyardError, OutOfSpace
from modelyard.core.registry import Registry
from modelyard.features.datasets import roles as column_roles
from modelyard.features.datasets.importers import archives, unpack
from modelyard.features.datasets.importers.archives import Part
from modelyard.features.datasets.importers.base import Column, Draft, Importer, Work
from modelyard.features.datasets.importers.csv import CsvImporter
from modelyard.features.datasets.importers.engine import connect, file, write_parquet
from modelyard.features.datasets.importers.errors import (
    BadArchive,
    EmptyFile,
    NoHeader,
    NoRows,
    NotATable,
    RaggedRows,
    Unreadable,
)
from modelyard.features.datasets.importers.expected import Settled, expect
from modelyard.features.datasets.importers.forms import Candidate, Form, settle
from modelyard.features.datasets.importers.lines import SCENARIO as LOGS
from modelyard.features.datasets.importers.lines import LinesImporter
from modelyard.features.datasets.importers.logs import looks_like_log, only_lines
from modelyard.features.datasets.importers.naming import check_count, clean_names
from modelyard.features.datasets.importers.text import looks_like_text
from modelyard.features.datasets.profile import Profile, describe, quoted
from modelyard.features.datasets.validation import Problem, validate
from modelyard.protocol.intake import ImportedFile, ImportedFiles, ImportSpec, Purpose
from modelyard.protocol.jobs import Failure, Progress

REGISTRY: Registry[Importer] = Registry(
    "modelyard.features.datasets.importers",
    Importer,  # type: ignore[type-abstract]
    exclude=frozenset(
        "archives delimited engine errors expected forms logs naming run text unpack".split()  # noqa: SIM905
    ),
)
HEAD = 1 << 16
COLUMNS_LIMIT = 5000
EVENTS = 3
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
    b"Rar!": "a RAR archive: unpack it first",
    b"SQLite format 3": "an SQLite database",
    b"\x7fELF": "a program",
}
_KINDS = "a CSV, Parquet, JSON lines or Excel table"
_AS_LOG = "It looks like a log: upload logs to a dataset of the scenario log-clustering."


class Imported(NamedTuple):
    """What came of one file."""

    profile: Profile
    problems: list[Problem]


def import_file(path: Path, filename: str, out_folder: Path, columns_limit: int = COLUMNS_LIMIT) -> Profile:
    """Write `table.parquet` and `profile.json` of a single table to `out_folder`; the profile. See `import_table`."""
    return import_table(path, ImportSpec(str(path), filename, columns_limit), out_folder).profile


def import_table(path: Path, spec: ImportSpec, out_folder: Path) -> Imported:
    """Write `table.parquet` and `profile.json` to `out_folder`; the profile and what is to be told of the rows.

    Raises the errors of `importers.errors`, and OutOfSpace; then `out_folder` is as it was before.
    """
    try:
        return _import(path, spec, out_folder)
    except (duckdb.Error, OSError) as error:
        known = _known(error)
        if known is None:
            raise
        raise known from error


def import_upload(
    spec: ImportSpec, job: Path, out: Path, report: Callable[[str, float], None] = lambda _phase, _fraction: None
) -> ImportedFiles:
    """Import a file, packed or not, or the files of an archive, below `out`; `report` is told phase and fraction.

    Raises as `import_table`, BadArchive, UnpacksToTooMuch.
    """
    with tempfile.TemporaryDirectory(prefix=".unpack-", dir=job) as given:
        folder, path = Path(given), job / spec.file
        found, left_out, packed = _parts(path, spec, folder)
        if len(found) > spec.most:
            raise BadArchive(
                f"{spec.filename} holds {len(found):,} tables, {spec.most:,} may be uploaded this way. "
                "Upload it in pieces (`modelyard dataset upload`), or part it.",
                detail={"tables": len(found), "limit": spec.most},
            )
        samples = []
        for number, part in enumerate(found):
            report(f"reading {part.filename}", number / len(found))
            try:
                sample = _sample(part, spec, folder, out / str(number), own=packed)
            except NotATable:
                # What lies beside tables in an archive need not be one.
                if len(found) == 1 or part.purpose is not None:
                    raise
                left_out.append(part.filename)
            except ModelyardError as error:
                error.message = f"{part.filename}: {error.message}" if packed else error.message
                raise
            else:
                samples.append(sample)
    if not samples:
        raise BadArchive(f"{spec.filename} holds no table. Put {_KINDS} into it.")
    return ImportedFiles(files=samples, left_out=left_out)


def _parts(path: Path, spec: ImportSpec, folder: Path) -> tuple[list[Part], list[str], bool]:
    """The files to import, what is left out, and whether they came in an archive."""
    limits = unpack.Limits(spec.unpacked_limit)
    filename, kind = spec.filename, unpack.packing(path)
    if kind:
        path, filename = unpack.unpack(path, folder / "unpacked", kind, limits), unpack.plain_name(filename)
    if not unpack.is_archive(path):
        return [Part(filename if kind else spec.filename, None, path)], [], False
    inside = folder / "members"
    inside.mkdir()
    members = unpack.extract(path, inside, limits)
    stem = filename.rpartition(".")[0] or filename
    found, left_out = archives.parts(members, spec.scenario, stem, folder)
    return found, left_out, True


def _sample(part: Part, spec: ImportSpec, folder: Path, out: Path, *, own: bool) -> ImportedFile:
    """Import one file of an upload; `own`: it came in an archive, and is kept as the sample's original."""
    path, name, purpose = part.path, part.filename, cast("Purpose", part.purpose or spec.purpose)
    kind = unpack.packing(path)
    if kind:
        limits = unpack.Limits(spec.unpacked_limit)
        path, name = unpack.unpack(path, folder / "member", kind, limits), unpack.plain_name(name)
    out.mkdir(parents=True)
    one = msgspec.structs.replace(spec, filename=name, purpose=purpose)
    try:
        found = import_table(path, one, out)
    except BaseException:
        out.rmdir()
        raise
    if own:
        part.path.replace(out / "original")
    return ImportedFile(
        folder=out.name,
        filename=part.filename if own else spec.filename,
        purpose=purpose,
        packed=own,
        problems=msgspec.to_builtins(found.problems),
    )


def _import(path: Path, spec: ImportSpec, out_folder: Path) -> Imported:
    with tempfile.TemporaryDirectory(prefix=".import-", dir=out_folder) as work_folder:
        folder = Path(work_folder)
        with connect(folder, [path]) as connection:
            work = Work(
                connection, folder, spec.filename, spec.columns_limit, spec.scenario, spec.target, spec.roles,
                spec.on_error == "tolerant",
            )  # fmt: skip
            draft = _read(path, work)
            check_count(len(draft.columns), spec.columns_limit)
            table = folder / "table.parquet"
            _write(work, draft, table)
            profile = describe(connection, f"read_parquet({file(table)})")
            problems = [*work.problems, *_checked(work, spec, profile, table)]
        (folder / "profile.json").write_bytes(msgspec.json.encode(profile))
        for name in ("table.parquet", "profile.json"):
            (folder / name).replace(out_folder / name)
    return Imported(profile, problems)


def _checked(work: Work, spec: ImportSpec, profile: Profile, table: Path) -> list[Problem]:
    """What validation finds. Raises Invalid where the scenario lacks a column."""
    if not spec.scenario:
        return []
    plain = msgspec.to_builtins(profile)
    target, roles = column_roles.completed(spec.scenario, spec.target, spec.roles, plain)
    column_roles.check(spec.scenario, target, roles, plain)
    given = {name for name in (target, *roles.values()) if name is not None}
    present = {column.name for column in profile.columns}
    return validate(
        work.connection,
        file(table),
        profile,
        scenario=spec.scenario,
        target=target if target in given & present else None,
        roles={role: name for role, name in roles.items() if name in present},
        purpose=spec.purpose,
    )


def _read(path: Path, work: Work) -> Draft:
    """The draft of a file by the importer that is surest of it."""
    importer = choose(path, work.filename, work.scenario)
    with path.open("rb") as source:
        head = source.read(HEAD)
    text = looks_like_text(head) and not isinstance(importer, LinesImporter)
    log = text and looks_like_log(head)
    if work.scenario != LOGS:
        if log:
            raise NotATable(f"{work.filename} is no table. {_AS_LOG}")
        return importer.read(path, work)
    if isinstance(importer, LinesImporter):
        return importer.read(path, work)
    return _read_log(importer, path, work, text=text, log=log)


def _read_log(importer: Importer, path: Path, work: Work, *, text: bool, log: bool) -> Draft:
    """The lines of a log that may be a table. JSON without a message, and lines with commas in them, are just lines."""
    try:
        draft = importer.read(path, work)
    except (RaggedRows, Unreadable, NoHeader, NotATable):
        if not (text and log):
            raise
        return LinesImporter().read(path, work)
    found = only_lines(draft, work)
    return found or (LinesImporter().read(path, work) if text and not isinstance(importer, CsvImporter) else draft)


def choose(path: Path, filename: str, scenario: str = "") -> Importer:
    """The importer that is surest of a file. Raises EmptyFile, and NotATable where none reads it."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not head.strip():
        raise EmptyFile(f"{filename} is empty. Choose a file with a header and at least one row.")
    foreign = next((kind for magic, kind in _FOREIGN.items() if head.startswith(magic)), None)
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<") and scenario != LOGS:
        foreign = "a web page or XML"
    importers = [kind() for kind in map(REGISTRY.get, REGISTRY.names()) if _reads(kind, scenario)]
    sure, best = max(((importer.sniff(head, filename), importer) for importer in importers), key=lambda pair: pair[0])
    if sure == 0 or (foreign and sure < 0.9):
        what = f"is {foreign}" if foreign else f"holds no {'text' if scenario == LOGS else 'table'}"
        raise NotATable(f"{filename} {what}. Upload {'a log as text, or ' if scenario == LOGS else ''}{_KINDS}.")
    return best


def _reads(kind: type[Importer], scenario: str) -> bool:
    return not kind.scenarios or scenario in kind.scenarios


def _write(work: Work, draft: Draft, path: Path) -> None:
    """Write the canonical table."""
    names = clean_names([column.name for column in draft.columns])
    found = work.connection.execute(f"SELECT 1 FROM {draft.table} LIMIT 1").fetchone()
    if found is None:
        raise NoRows("The table has names of columns but no rows. Add at least one row below the header.")
    candidates = [Candidate(column.value, column.forms) for column in draft.columns]
    forms, taken = settle(work.connection, draft.table, candidates), "true"
    if work.scenario:
        forms, taken = Settled(*expect(work, draft, names, forms))
    chosen = ", ".join(
        f"{_converted(column, form)} AS {quoted(name)}"
        for column, form, name in zip(draft.columns, forms, names, strict=True)
    )
    where = "" if taken == "true" else f" WHERE {taken}"
    query = f"SELECT {chosen} FROM {draft.table}{where}"
    write_parquet(work.connection, query, path, columns=len(names), codec="zstd")


def _converted(column: Column, form: Form) -> str:
    return f"({form.convert(column.value)})::{form.type}"


class _Reporter:
    """Tells how far it is, to whoever gave this process a descriptor for that."""

    def __init__(self) -> None:
        try:
            mode = os.fstat(EVENTS).st_mode
        except OSError:
            mode = 0
        self._open = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)

    def __call__(self, phase: str, fraction: float) -> None:
        if self._open:
            os.write(EVENTS, msgspec.json.encode(Progress(phase=phase, fraction=fraction)) + b"\n")


def main(folder: Path) -> int:
    """Import what /job/spec.json names; the exit code."""
    spec = msgspec.json.decode((folder / "spec.json").read_bytes(), type=ImportSpec)
    out = folder / "out"
    out.mkdir(exist_ok=True)
    try:
        made = import_upload(spec, folder, out, _Reporter())
        (out / "samples.json").write_bytes(msgspec.json.encode(made))
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
