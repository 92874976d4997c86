"""How a file that comes in one piece becomes a sample: streamed to the object store, read by an importer inside the
sandbox, then shown. What comes in many pieces, or as an archive, is in `uploads.py`.

No transaction is open while bytes travel. Whatever fails on the way leaves neither a row nor an object.
"""

import errno
import hashlib
import os
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from anyio import CancelScope, CapacityLimiter, to_thread

from modelyard.core.errors import ModelyardError, OutOfSpace, TimedOut, TooLarge
from modelyard.features.auth.operations import Principal
from modelyard.features.datasets import operations
from modelyard.features.datasets.errors import UnreadableFile
from modelyard.features.datasets.importers.errors import EmptyFile
from modelyard.features.datasets.schemas import Purpose
from modelyard.features.datasets.tables import DatasetRow, SampleRow
from modelyard.protocol.intake import IMPORTER, ImportedFiles, ImportSpec, OnError
from modelyard.protocol.jobs import Failure
from modelyard.protocol.processes import Limits
from modelyard.sandbox.base import Command
from modelyard.sandbox.choose import choose
from modelyard.web.platform import Platform

MEMORY = 2 << 30
SECONDS = 1800.0
LARGEST_ANSWER = 64 << 20


async def receive(
    platform: Platform,
    principal: Principal,
    key: str,
    filename: str,
    purpose: Purpose,
    body: AsyncIterator[bytes],
    declared: int | None,
    importing: CapacityLimiter,
    *,
    on_error: OnError = "strict",
) -> SampleRow:
    """Take in one file of a dataset.

    `declared` is the size in bytes that the client announced, `importing` bounds how many files are read at once.
    `on_error` says whether broken rows refuse the file or are left out. Raises TooLarge, OutOfSpace, and Invalid for a
    file that is no table, or an archive of several.
    """
    check_room(platform, declared)
    sample, told = await to_thread.run_sync(_begin, platform, principal, key, filename, purpose)
    spec = msgspec.structs.replace(told, on_error=on_error)
    folder = operations.sample_folder(sample)
    try:
        incoming = _Incoming(body, platform.settings.limits.upload)
        size = await platform.objects.put_stream(f"{folder}/original", incoming)
        if size == 0:
            raise EmptyFile(f"{filename} is empty. Choose a file with a header and at least one row.")
        made = await to_thread.run_sync(_import, platform, sample, folder, spec, limiter=importing)
        return await to_thread.run_sync(_complete, platform, sample, size, incoming.sha256, made)
    except BaseException:
        # Also when the client goes away and this request is cancelled.
        with CancelScope(shield=True):
            await to_thread.run_sync(_discard, platform, sample.id, folder)
        raise


def import_spec(platform: Platform, dataset: DatasetRow, filename: str, purpose: Purpose) -> ImportSpec:
    """What the importer is told of a file of this dataset."""
    limits = platform.settings.limits
    return ImportSpec(
        file="in/original",
        filename=filename,
        columns_limit=limits.columns,
        scenario=dataset.scenario,
        target=dataset.target,
        roles=dict(dataset.roles or {}),
        purpose=purpose,
        unpacked_limit=limits.upload,
    )


class _Made(NamedTuple):
    """What the importer says of the one table."""

    profile: dict[str, Any]
    problems: list[dict[str, Any]]


class _Incoming:
    """The body as it passes: counted, hashed, and cut off above the limit."""

    def __init__(self, body: AsyncIterator[bytes], limit: int) -> None:
        self._body, self._limit, self._hash, self._size = body, limit, hashlib.sha256(), 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._body:
            self._size += len(chunk)
            if self._size > self._limit:
                raise TooLarge(
                    f"The file is larger than {self._limit:,} bytes. Split it, or raise MODELYARD_LIMITS_UPLOAD."
                )
            self._hash.update(chunk)
            yield chunk

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


def check_room(platform: Platform, declared: int | None) -> None:
    """Raises TooLarge for a file above the limit, OutOfSpace where it would fill the disk."""
    limits = platform.settings.limits
    if declared is not None and declared > limits.upload:
        raise TooLarge(f"The file is larger than {limits.upload:,} bytes. Split it, or raise MODELYARD_LIMITS_UPLOAD.")
    free = shutil.disk_usage(platform.settings.data).free
    # The file, its working copy and its table.
    if free - 2 * (declared or 0) < limits.free_disk:
        raise OutOfSpace(
            f"The disk has {free:,} bytes left, too few for this file. Free some space, then upload again.",
            retry_after=60,
        )


def _begin(
    platform: Platform, principal: Principal, key: str, filename: str, purpose: Purpose
) -> tuple[SampleRow, ImportSpec]:
    with platform.database.session() as session:
        dataset = operations.get(session, principal, key)
        spec = import_spec(platform, dataset, filename, purpose)
        row = operations.begin_sample(session, principal, dataset, filename, purpose, platform.clock.now())
        return row, msgspec.structs.replace(spec, most=1)


def _complete(platform: Platform, sample: SampleRow, size: int, sha256: str, made: _Made) -> SampleRow:
    folder = operations.sample_folder(sample)
    with platform.database.session() as session:
        return operations.complete_sample(
            session,
            sample.id,
            size=size,
            sha256=sha256,
            profile=made.profile,
            original=f"{folder}/original",
            table=f"{folder}/table.parquet",
            problems=made.problems,
        )


def _discard(platform: Platform, sample_id: str, folder: str) -> None:
    with platform.database.session() as session:
        operations.discard_sample(session, sample_id)
    platform.objects.delete_all(folder)


def _import(platform: Platform, sample: SampleRow, folder: str, spec: ImportSpec) -> _Made:
    work = platform.settings.data / "scratch" / sample.id
    try:
        (work / "in").mkdir(parents=True)
        (work / "out").mkdir()
        platform.objects.download(f"{folder}/original", work / "in" / "original")
        (work / "spec.json").write_bytes(msgspec.json.encode(spec))
        _run_importer(platform, work)
        (made,) = msgspec.json.decode(_read(work / "out" / "samples.json"), type=ImportedFiles).files
        out = work / "out" / made.folder
        profile: dict[str, Any] = msgspec.json.decode(_read(out / "profile.json"))
        platform.objects.put(f"{folder}/table.parquet", out / "table.parquet")
        return _Made(profile, made.problems)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise OutOfSpace("The disk is full. Free some space, then upload again.", retry_after=60) from error
        raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _run_importer(platform: Platform, work: Path) -> None:
    lines: list[str] = []
    command = Command(
        argv=[sys.executable, "-m", IMPORTER, "."],
        work=work,
        limits=Limits(memory=MEMORY, seconds=SECONDS, processes=64, disk=platform.settings.limits.upload),
    )
    running = choose(platform.settings, builtin=True).sandbox.start(
        command, on_line=lambda _stream, line: lines.append(line)
    )
    try:
        outcome = running.wait(SECONDS + 5)
    finally:
        running.stop()
    failure = work / "failure.json"
    if failure.is_file() and not failure.is_symlink():
        raise UnreadableFile.of(msgspec.json.decode(_read(failure), type=Failure))
    if outcome is None:
        raise TimedOut("Reading the file took too long. Split it into smaller files.")
    if outcome.exit_code != 0:
        raise _why(outcome.reason, lines)


def _why(reason: str, lines: list[str]) -> ModelyardError:
    if any("No space left on device" in line for line in lines[-20:]):
        return OutOfSpace("The disk is full. Free some space, then upload again.", retry_after=60)
    told = f"Reading the file {reason}" if reason else "The file could not be read"
    return UnreadableFile(f"{told}. Check that it is a CSV, Parquet, JSON lines or Excel table.")


def _read(path: Path) -> bytes:
    """What the sandbox left, as data of a stranger: no links, no endless files."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(LARGEST_ANSWER + 1)
    if len(content) > LARGEST_ANSWER:
        raise TooLarge("The table has too many columns or values to be described.")
    return content
