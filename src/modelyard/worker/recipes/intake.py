"""Recipe: from an upload's pieces to samples.

The pieces are put together and checked, read inside the sandbox, and what was made is stored under ids that are chosen
anew by each attempt. A worker that takes over removes what the one before it stored; the samples appear when the job
ends, in the transaction that ends it.
"""

import hashlib
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from modelyard.core import ids
from modelyard.core.errors import NotFound
from modelyard.protocol.intake import (
    IMPORTER,
    ImportedFile,
    ImportedFiles,
    IntakeResult,
    IntakeSample,
    IntakeSpec,
)
from modelyard.protocol.jobs import Checkpoint, Progress
from modelyard.worker.context import JobContext, Recipe
from modelyard.worker.failures import JobFailed, failed

GATHERED, READ = 0.2, 0.85
"""How far a job is after each step."""
LARGEST_ANSWER = 64 << 20
LARGEST_RESULT = 14 << 20
"""The api takes no larger last word."""
Answer = TypeVar("Answer")


class Intake(Recipe):
    """Makes samples of the upload in an IntakeSpec."""

    builtin = True

    def run(self, context: JobContext) -> dict[str, Any]:
        spec = msgspec.convert(context.spec.payload, IntakeSpec)
        _forget_attempt_before(context, spec)
        work = context.scratch / "intake"
        (work / "in").mkdir(parents=True)
        (work / "out").mkdir()
        original = work / "in" / "original"
        digest = _gather(context, spec, original)
        told = msgspec.structs.replace(spec.spec, file="in/original")
        (work / "spec.json").write_bytes(msgspec.json.encode(told))
        argv = [sys.executable, "-P", "-m", IMPORTER, "/job"]
        context.run_shut_in(argv, work=work, span=(GATHERED, READ))
        made = _decoded(work / "out" / "samples.json", ImportedFiles)
        return _store(context, spec, made, work, digest)


def _forget_attempt_before(context: JobContext, spec: IntakeSpec) -> None:
    for sample in (context.spec.checkpoint or {}).get("samples", ()):
        context.objects.delete_all(f"{spec.prefix}/{sample}")


def _gather(context: JobContext, spec: IntakeSpec, target: Path) -> str:
    """Put the pieces together at `target`; the SHA-256 of the whole. Raises JobFailed where it is another."""
    digest, written = hashlib.sha256(), 0
    with target.open("wb") as file:
        for key in spec.pieces:
            for piece in _streamed(context, spec, key):
                file.write(piece)
                digest.update(piece)
                written += len(piece)
                fraction = GATHERED * written / max(1, spec.size)
                context.report(Progress(phase="putting the pieces together", fraction=fraction))
    found = digest.hexdigest()
    if written != spec.size:
        raise failed(
            "incomplete_upload",
            f"{written:,} of {spec.size:,} bytes of {spec.spec.filename} are there. Upload it again.",
        )
    if spec.sha256 is not None and spec.sha256.lower() != found:
        raise failed(
            "wrong_checksum",
            f"{spec.spec.filename} did not arrive as it was sent: its SHA-256 is {found}, not {spec.sha256}. "
            "Upload it again.",
            expected=spec.sha256, found=found,
        )  # fmt: skip
    return found


def _streamed(context: JobContext, spec: IntakeSpec, key: str) -> Iterator[bytes]:
    try:
        yield from context.objects.stream(key)
    except NotFound:
        raise _gone(spec) from None


def _gone(spec: IntakeSpec) -> JobFailed:
    return failed("upload_gone", f"The dataset or the upload of {spec.spec.filename} was deleted meanwhile.")


def _check_still_wanted(context: JobContext, spec: IntakeSpec) -> None:
    """Who deletes a dataset deletes the pieces of its uploads with it: then nothing may be left here either."""
    try:
        context.objects.info(spec.pieces[-1])
    except NotFound:
        raise _gone(spec) from None


def _store(context: JobContext, spec: IntakeSpec, made: ImportedFiles, work: Path, digest: str) -> dict[str, Any]:
    """Put every sample into the object store; the job's result. What was stored goes again where that fails."""
    chosen = [ids.new("smp") for _ in made.files]
    context.report(Checkpoint(data={"samples": chosen}))
    samples = []
    try:
        for number, (sample, file) in enumerate(zip(chosen, made.files, strict=True)):
            fraction = READ + (1 - READ) * number / len(chosen)
            context.report(Progress(phase=f"storing {file.filename}", fraction=fraction))
            samples.append(_stored(context, spec, sample, file, work, digest))
        result: dict[str, Any] = msgspec.to_builtins(IntakeResult(samples=samples, left_out=made.left_out))
        if len(msgspec.json.encode(result)) > LARGEST_RESULT:
            raise failed("too_large", "The tables have too many columns or are too many to be described. Part them.")
        context.report(Progress(phase="done", fraction=1.0))
        _check_still_wanted(context, spec)
    except BaseException:
        for sample in chosen:
            context.objects.delete_all(f"{spec.prefix}/{sample}")
        raise
    return result


def _stored(
    context: JobContext, spec: IntakeSpec, sample: str, file: ImportedFile, work: Path, digest: str
) -> IntakeSample:
    folder, prefix = work / "out" / file.folder, f"{spec.prefix}/{sample}"
    own = _plain(folder / "original") if file.packed else work / "in" / "original"
    size = context.objects.put(f"{prefix}/original", own)
    context.objects.put(f"{prefix}/table.parquet", _plain(folder / "table.parquet"))
    return IntakeSample(
        sample=sample,
        filename=file.filename,
        purpose=file.purpose,
        size=size,
        sha256=_digest(own) if file.packed else digest,
        original=f"{prefix}/original",
        table=f"{prefix}/table.parquet",
        profile=_decoded(folder / "profile.json", dict[str, Any]),
        problems=file.problems,
    )


def _plain(path: Path) -> Path:
    """A file that the sandbox left, which is a stranger's: no link is followed."""
    if not stat.S_ISREG(path.lstat().st_mode):
        raise failed("import_failed", "What the importer left is no file. Upload it again.")
    return path


def _decoded(path: Path, kind: type[Answer]) -> Answer:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        with os.fdopen(descriptor, "rb") as file:
            content = file.read(LARGEST_ANSWER + 1)
        if len(content) > LARGEST_ANSWER:
            raise failed("too_large", "The table has too many columns or values to be described.")
        return msgspec.json.decode(content, type=kind)
    except (OSError, msgspec.DecodeError) as error:
        raise failed("import_failed", f"The importer left no answer that can be read ({error}).") from None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
