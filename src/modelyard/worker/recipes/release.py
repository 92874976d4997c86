"""Recipe: a release of a dataset whose rows have purposes of their own or were edited.

What is made lies under the checksum of its content, so that a worker that takes over writes the same objects again, and
releases that hold the same rows share them. Samples that nobody touched are named in the manifest as they are.
"""

import hashlib
import os
import stat
import sys
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from modelyard.protocol.jobs import Progress
from modelyard.protocol.releases import Derived, DerivedTable, DeriveSpec, ReleaseEntry, ReleasePart, ReleaseSpec
from modelyard.worker.context import JobContext, Recipe
from modelyard.worker.failures import failed

CHILD = (sys.executable, "-P", "-m", "modelyard.features.datasets.contents.derive", "/job")
FETCHED, MADE = 0.1, 0.8
"""How far a job is after each step."""
LARGEST_ANSWER = 64 << 20
LARGEST_PROFILE = 8 << 20
"""Bytes: it is told in one message."""


class Release(Recipe):
    """Makes the tables of a ReleaseSpec; its manifest, and the profile of the rows that were made anew."""

    builtin = True

    def run(self, context: JobContext) -> dict[str, Any]:
        spec = msgspec.convert(context.spec.payload, ReleaseSpec)
        touched = tuple(part for part in spec.parts if not part.untouched)
        work = context.scratch / "release"
        _fetch(context, spec, touched, work)
        context.run_shut_in(CHILD, work=work, span=(FETCHED, MADE))
        derived = _answer(work / "out" / "derived.json", Derived)
        profile = msgspec.json.decode(_plain(work / "out" / "profile.json"))
        made = _store(context, spec, touched, derived, work / "out")
        entries = [
            entry for part in spec.parts for entry in ([_as_it_is(part)] if part.untouched else made[part.sample])
        ]
        context.report(Progress(phase="publishing", fraction=1.0))
        return {"entries": msgspec.to_builtins(entries), "profile": _short(profile)}


def _fetch(context: JobContext, spec: ReleaseSpec, touched: tuple[ReleasePart, ...], work: Path) -> None:
    (work / "in").mkdir(parents=True)
    (work / "out").mkdir()
    for number, part in enumerate(touched):
        context.report(Progress(phase=f"fetching {part.filename}", fraction=FETCHED * number / max(1, len(touched))))
        context.objects.download(part.table, work / "in" / f"{number}.parquet")
        if part.purposes is not None:
            context.objects.download(part.purposes, work / "in" / f"{number}.npy")
    if spec.edits is not None:
        context.objects.download(spec.edits, work / "in" / "edits.json")
    (work / "spec.json").write_bytes(msgspec.json.encode(DeriveSpec(parts=touched, lines=spec.lines)))


def _store(
    context: JobContext, spec: ReleaseSpec, touched: tuple[ReleasePart, ...], derived: Derived, out: Path
) -> dict[str, list[ReleaseEntry]]:
    """Puts what was made into the object store; the entries of each sample."""
    made: dict[str, list[ReleaseEntry]] = {part.sample: [] for part in touched}
    for number, table in enumerate(derived.tables):
        fraction = MADE + (1 - MADE) * number / len(derived.tables)
        context.report(Progress(phase="storing the tables", fraction=fraction))
        part = touched[table.part]
        made[part.sample].append(_entry(context, spec, part, table, out))
    return made


def _entry(context: JobContext, spec: ReleaseSpec, part: ReleasePart, made: DerivedTable, out: Path) -> ReleaseEntry:
    ending = "txt" if made.lines else "csv"
    stem = f"{made.part}-{made.purpose}"
    keys = {}
    for kind in ("parquet", ending):
        path = out / f"{stem}.{kind}"
        digest, size = _digest(path)
        keys[kind] = f"{spec.blobs}/{digest}.{kind}"
        context.objects.put(keys[kind], path)
    return ReleaseEntry(
        sample=part.sample, filename=f"{PurePosixPath(part.filename).stem}.{ending}", purpose=made.purpose, size=size,
        sha256=digest, rows=made.rows, table=keys["parquet"], original=keys[ending],
    )  # fmt: skip


def _short(profile: Any) -> Any:
    """A profile that is not too large to be told: fewer values of each column where there are very many."""
    for most in (5, 1, 0):
        if profile is None or len(msgspec.json.encode(profile)) <= LARGEST_PROFILE:
            break
        columns = [
            {**column, "top": column["top"][:most], "examples": column["examples"][:most]}
            for column in profile["columns"]
        ]
        profile = {**profile, "columns": columns}
    return profile


def _as_it_is(part: ReleasePart) -> ReleaseEntry:
    return ReleaseEntry(
        sample=part.sample, filename=part.filename, purpose=part.purpose, size=part.size, sha256=part.sha256,
        rows=part.rows, table=part.table, original=part.original,
    )  # fmt: skip


def _digest(path: Path) -> tuple[str, int]:
    """(SHA-256, bytes) of a file that a sandboxed process wrote."""
    with os.fdopen(_open(path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), file.tell()


def _answer(path: Path, kind: type[Derived]) -> Derived:
    try:
        return msgspec.json.decode(_plain(path), type=kind)
    except msgspec.DecodeError as error:
        raise failed("release_failed", "The tables of the release could not be made. See the job's log.") from error


def _plain(path: Path) -> bytes:
    with os.fdopen(_open(path), "rb") as file:
        content = file.read(LARGEST_ANSWER + 1)
    if len(content) > LARGEST_ANSWER:
        raise failed("too_large", "The release has too many columns or values to be described. Leave some out.")
    return content


def _open(path: Path) -> int:
    """A plain file, no link and no pipe. Raises JobFailed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise failed("release_failed", "A table of the release is missing. See the job's log.") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise failed("release_failed", "What should be a table of the release is no file. See the job's log.")
    return descriptor
