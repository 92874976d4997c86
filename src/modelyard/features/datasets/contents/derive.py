"""Makes a release's tables of samples with rows of several purposes or with edits: in the sandbox.

    python -m modelyard.features.datasets.contents.derive /job

reads /job/spec.json (`Spec`), the tables /job/in/<n>.parquet, the purposes /job/in/<n>.npy and the edits
/job/in/edits.json, and writes for each part and purpose that has rows /job/out/<n>-<purpose>.parquet and the same as
text for a person (.csv, or .txt for lines), /job/out/profile.json (of all rows written), and at last
/job/out/derived.json (`Derived`); or /job/failure.json and exit code 1.
Events (protocol.jobs.Event) go to file descriptor 3 as JSON lines.
"""

# Names and strings in SQL are quoted or numbered; nothing in it is as a user has it.
# ruff: noqa: S608

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import duckdb
import msgspec
import numpy as np

from modelyard.core.errors import ModelyardError, OutOfSpace
from modelyard.features.datasets.contents.view import PURPOSES, Edit, Part, View
from modelyard.features.datasets.importers.engine import connect, file, literal, write_parquet
from modelyard.features.datasets.profile import describe
from modelyard.protocol.jobs import Failure, Progress
from modelyard.protocol.releases import Derived, DerivedTable, DeriveSpec

EVENTS = 3
MEMORY = "384MB"
SHARE_OF_TABLES = 0.7
_UNIT = "\x1f"
Tell = Callable[[str, float], None]


def derive(folder: Path, tell: Tell) -> Derived:
    """Write the tables and the profile of all of them."""
    spec = msgspec.json.decode((folder / "spec.json").read_bytes(), type=DeriveSpec)
    edits = _edits(folder)
    made: list[DerivedTable] = []
    for number, given in enumerate(spec.parts):
        purposes = folder / "in" / f"{number}.npy"
        part = Part(
            sample=given.sample,
            path=folder / "in" / f"{number}.parquet",
            purpose=given.purpose,
            purposes=np.load(purposes, allow_pickle=False) if purposes.exists() else None,
            edits=edits.get(given.sample, ()),
        )
        tell(f"making the tables of {given.filename}", SHARE_OF_TABLES * number / len(spec.parts))
        made += _tables(folder, number, part, lines=spec.lines)
    tell("describing the columns", SHARE_OF_TABLES)
    _profile(folder, made)
    tell("describing the columns", 1.0)
    return Derived(tables=tuple(made))


def _tables(folder: Path, number: int, part: Part, *, lines: bool) -> list[DerivedTable]:
    made = []
    with connect(folder, []) as connection:
        connection.execute(f"SET memory_limit = '{MEMORY}'")
        view = View(connection, [part])
        plain = lines and len(view.columns) == 1
        for code, purpose in enumerate(PURPOSES):
            table = folder / "out" / f"{number}-{purpose}.parquet"
            order = "ORDER BY r" if view.joined else ""
            write_parquet(connection, view.named(f"p = {code}", order), table, columns=len(view.columns), codec="zstd")
            rows = _count(connection, table)
            if rows == 0:
                table.unlink()
                continue
            made.append(DerivedTable(part=number, purpose=purpose, rows=rows, lines=plain))
            _write_text(connection, table, plain=plain)
    return made


def _count(connection: duckdb.DuckDBPyConnection, table: Path) -> int:
    found = connection.execute(f"SELECT count(*) FROM read_parquet({file(table)})").fetchone()
    return int(found[0]) if found else 0


def _write_text(connection: duckdb.DuckDBPyConnection, table: Path, *, plain: bool) -> None:
    """The rows as a person reads them: CSV with a header, or just the lines."""
    source, target = f"SELECT * FROM read_parquet({file(table)})", table.with_suffix(".csv")
    options = "FORMAT csv, HEADER true"
    if plain:
        # Nothing is quoted: the one character that would have to be is made a blank.
        source = f"SELECT coalesce(replace(COLUMNS(*), '{_UNIT}', ' '), '') FROM read_parquet({file(table)})"
        options = f"FORMAT csv, HEADER false, QUOTE '', ESCAPE '', DELIMITER '{_UNIT}'"
        target = table.with_suffix(".txt")
    connection.execute(f"COPY ({source}) TO {literal(str(target))} ({options})")


def _profile(folder: Path, made: list[DerivedTable]) -> None:
    names = ", ".join(file(folder / "out" / f"{table.part}-{table.purpose}.parquet") for table in made)
    with connect(folder, []) as connection:
        connection.execute(f"SET memory_limit = '{MEMORY}'")
        profile = describe(connection, f"read_parquet([{names}], union_by_name = true)") if made else None
    content = msgspec.json.encode(profile) if profile else b"null"
    (folder / "out" / "profile.json").write_bytes(content)


def _edits(folder: Path) -> dict[str, list[Edit]]:
    path = folder / "in" / "edits.json"
    return msgspec.json.decode(path.read_bytes(), type=dict[str, list[Edit]]) if path.exists() else {}


def main(folder: Path) -> int:
    """Do what /job/spec.json says; the exit code."""
    events = _events_file()

    def tell(phase: str, fraction: float) -> None:
        if events is not None:
            events.write(msgspec.json.encode(Progress(phase=phase, fraction=fraction)) + b"\n")
            events.flush()

    try:
        derived = derive(folder, tell)
    except (ModelyardError, duckdb.Error, MemoryError) as error:
        (folder / "failure.json").write_bytes(msgspec.json.encode(_failure(error)))
        return 1
    (folder / "out" / "derived.json").write_bytes(msgspec.json.encode(derived))
    return 0


def _failure(error: Exception) -> Failure:
    if isinstance(error, ModelyardError):
        return Failure(code=error.code, message=error.message, detail=error.detail, fields=tuple(error.fields))
    if "No space left" in str(error):
        return Failure(code=OutOfSpace.code, message="The disk is full. Free some space, then start the release again.")
    if isinstance(error, MemoryError | duckdb.OutOfMemoryException):
        return Failure(
            code="out_of_memory", message="The release needs more memory than it may use. Split the largest file."
        )
    first = (str(error).strip().splitlines() or [""])[0][:300]
    return Failure(code="release_failed", message=f"The tables of the release could not be made: {first}")


def _events_file() -> BinaryIO | None:
    """Where events go; None where nobody gave this process a descriptor for them."""
    try:
        mode = os.fstat(EVENTS).st_mode
    except OSError:
        return None
    return os.fdopen(EVENTS, "wb", closefd=False) if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) else None


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
