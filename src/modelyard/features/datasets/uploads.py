"""Files that arrive in pieces, at once or over days, and become samples by a job.

Each piece is an object of its own, so that nothing half-sent is ever counted. No transaction is open while bytes
travel: the row is looked at before a piece is taken and again, locked, when it is there.
"""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any, cast

import msgspec
from anyio import CancelScope, to_thread
from sqlalchemy.orm import Session

from modelyard.core import ids
from modelyard.core.errors import Conflict, InUse, Invalid, NotFound, TooLarge
from modelyard.features.auth.operations import Principal
from modelyard.features.datasets import operations, upload_queries
from modelyard.features.datasets.intake import check_room, import_spec
from modelyard.features.datasets.tables import DatasetRow, UploadRow
from modelyard.features.datasets.upload_schemas import UploadComplete, UploadCreate
from modelyard.features.jobs import operations as jobs
from modelyard.features.jobs.operations import JobRow
from modelyard.protocol.intake import IntakeResult, IntakeSpec, Purpose
from modelyard.storage.db.engine import now as db_now
from modelyard.storage.db.paging import Paging, Rows
from modelyard.web.platform import Platform

JOB = "intake"
LARGEST_PIECE = 64 << 20
MOST_PIECES = 20_000
UNTOUCHED = timedelta(days=7)
"""An upload that nobody goes on with for so long is removed."""
AT_ONCE = 100


def create(platform: Platform, principal: Principal, key: str, wanted: UploadCreate) -> UploadRow:
    """Announce a file. Raises NotFound, Invalid, TooLarge, OutOfSpace."""
    check_room(platform, wanted.size)
    with platform.database.session() as session:
        dataset = operations.get(session, principal, key)
        purpose: str | None = wanted.purpose
        if wanted.replace is not None:
            replaced = operations.sample(session, principal, dataset.id, wanted.replace)
            purpose = purpose or replaced.purpose
        now = db_now(session)
        row = UploadRow(
            id=ids.new("upl"),
            dataset=dataset.id,
            filename=plain_name(wanted.filename),
            purpose=purpose or "training",
            size=wanted.size,
            received=0,
            pieces=[],
            options={"sha256": wanted.sha256, "on_error": wanted.on_error, "replace": wanted.replace},
            state="receiving",
            touched_at=now,
            **principal.stamp(now),
        )
        session.add(row)
        return row


def plain_name(filename: str) -> str:
    """The name without folders: it later names a file in an archive. Raises Invalid."""
    name = filename.replace("\\", "/").rpartition("/")[2].strip()
    if name in {"", ".", ".."} or not name.isprintable():
        raise Invalid(f"{filename!r} is no file name.", fields=[{"field": "filename", "message": "is no file name"}])
    return name


def get(session: Session, principal: Principal, key: str, upload_id: str, *, lock: bool = False) -> UploadRow:
    """An upload of a dataset. Raises NotFound."""
    dataset = operations.get(session, principal, key)
    row = upload_queries.upload(session, dataset.id, upload_id, lock=lock)
    if row is None:
        raise NotFound(f"{key} has no upload {upload_id!r}. It may have been removed; begin a new one.")
    return row


def list_all(session: Session, principal: Principal, key: str, paging: Paging) -> Rows:
    """A dataset's uploads, newest first. Raises NotFound."""
    return upload_queries.uploads(session, operations.get(session, principal, key).id, paging)


async def receive(
    platform: Platform,
    principal: Principal,
    key: str,
    upload_id: str,
    offset: int,
    body: AsyncIterator[bytes],
    declared: int | None,
) -> UploadRow:
    """Take in the piece that begins at `offset`. One that breaks off leaves nothing.

    Raises Conflict where another offset comes next (`detail.offset`), TooLarge, Invalid for a piece without bytes or
    one that goes beyond the end.
    """
    row = await to_thread.run_sync(_expecting, platform, principal, key, upload_id, offset)
    most = min(LARGEST_PIECE, row.size - offset)
    _check_piece(declared, most, row)
    check_room(platform, declared)
    piece = f"{_prefix(row)}/{offset:015d}-{ids.new('piece')}"
    try:
        size = await platform.objects.put_stream(piece, _bounded(body, most, row))
        if size == 0:
            raise Invalid("The piece is empty. Send at least one byte.")
        return await to_thread.run_sync(_keep, platform, principal, key, upload_id, offset, size, piece)
    except BaseException:
        # Also when the client goes away and this request is cancelled.
        with CancelScope(shield=True):
            await to_thread.run_sync(platform.objects.delete, piece)
        raise


def complete(
    session: Session, platform: Platform, principal: Principal, key: str, upload_id: str, wanted: UploadComplete
) -> JobRow:
    """Import a file that is there; the job. Asked again while that goes on it is the same job.

    Raises Conflict where bytes are missing, or where it is done.
    """
    row = get(session, principal, key, upload_id, lock=True)
    if row.state == "importing":
        return jobs.get(session, principal, row.options["job"])
    if row.state == "done":
        raise Conflict("This upload is done: its samples are there. Begin a new one for another file.")
    if row.received < row.size:
        raise _missing(row)
    dataset = operations.get(session, principal, key)
    options = {**row.options, "on_error": wanted.on_error or row.options["on_error"], "failure": None}
    spec = msgspec.structs.replace(
        import_spec(platform, dataset, row.filename, cast("Purpose", row.purpose)),
        on_error=options["on_error"],
        **({"most": 1} if options["replace"] else {}),
    )
    payload = IntakeSpec(
        upload=row.id,
        prefix=f"datasets/{dataset.id}",
        pieces=tuple(piece for piece, _ in row.pieces),
        size=row.size,
        sha256=options["sha256"],
        spec=spec,
    )
    title = f"Import {row.filename} into {dataset.name}"
    job = jobs.enqueue(session, principal, kind=JOB, title=title, payload=msgspec.to_builtins(payload))
    row.options = {**options, "job": job.id}
    row.state, row.touched_at = "importing", db_now(session)
    return job


def delete(session: Session, principal: Principal, key: str, upload_id: str) -> list[str]:
    """Forget an upload; its samples stay. The object-store prefixes that are to be removed. Raises InUse, NotFound."""
    row = get(session, principal, key, upload_id, lock=True)
    if row.state == "importing":
        raise InUse(
            f"{row.filename} is being imported. Stop the job first: `modelyard job stop {row.options['job']}`.",
            detail={"job": row.options["job"]},
        )
    session.delete(row)
    return _leftover(row)


def import_ended(session: Session, job: JobRow) -> None:
    """Make the samples of an import that succeeded, in the transaction that ends its job; keep why another did not."""
    row = upload_queries.any_upload(session, job.payload["upload"])
    dataset = session.get(DatasetRow, row.dataset) if row is not None else None
    if row is None or dataset is None:
        # The dataset was deleted meanwhile, its objects with it.
        job.result = None
        return
    now = row.touched_at = db_now(session)
    if job.state != "succeeded" or job.result is None:
        row.state = "failed"
        row.options = {**row.options, "failure": job.failure or {"code": "stopped", "message": "It was stopped."}}
        return
    result = msgspec.convert(job.result, IntakeResult)
    leftover = _replace(session, dataset, row, now)
    for made in result.samples:
        operations.add_sample(
            session,
            dataset,
            sample_id=made.sample,
            filename=made.filename,
            purpose=made.purpose,
            size=made.size,
            sha256=made.sha256,
            profile=made.profile,
            original=made.original,
            table=made.table,
            problems=made.problems,
            created_by=row.created_by,
            organisation=row.organisation,
            now=now,
        )
    samples = [made.sample for made in result.samples]
    row.state, row.options = "done", {**row.options, "samples": samples, "leftover": leftover}
    job.result = {"samples": samples, "left_out": result.left_out, "upload": row.id}


def tidy(platform: Platform) -> int:
    """Remove the pieces of uploads that are done, and uploads that nobody touched for a week; how many.

    Called now and then, by whoever sweeps. Raises what the object store does; what is left then is removed next time.
    """
    with platform.database.session() as session:
        before = db_now(session) - UNTOUCHED
        found = [(row.id, _leftover(row)) for row in upload_queries.over(session, before, AT_ONCE)]
    for upload_id, prefixes in found:
        for prefix in prefixes:
            platform.objects.delete_all(prefix)
        with platform.database.session() as session:
            row = upload_queries.any_upload(session, upload_id)
            if row is not None and row.state != "importing":
                session.delete(row)
    return len(found)


def _replace(session: Session, dataset: DatasetRow, row: UploadRow, now: datetime) -> list[str]:
    """Take out the sample that the upload replaces, where it is still there; the prefixes of its objects."""
    replaced = row.options.get("replace")
    if replaced is None:
        return []
    try:
        return operations.drop_sample(session, dataset, replaced, row.created_by, now)
    except (NotFound, InUse):
        # Gone already; or a release that is under way needs it, and both stay.
        return []


def _expecting(platform: Platform, principal: Principal, key: str, upload_id: str, offset: int) -> UploadRow:
    with platform.database.session(read_only=True) as session:
        row = get(session, principal, key, upload_id)
        _check_offset(row, offset)
        return row


def _keep(
    platform: Platform, principal: Principal, key: str, upload_id: str, offset: int, size: int, piece: str
) -> UploadRow:
    with platform.database.session() as session:
        row = get(session, principal, key, upload_id, lock=True)
        _check_offset(row, offset)
        row.pieces = [*row.pieces, [piece, size]]
        row.received, row.touched_at = offset + size, db_now(session)
        return row


def _check_offset(row: UploadRow, offset: int) -> None:
    if row.state != "receiving":
        raise Conflict(f"This upload is {row.state}: it takes no more pieces.", detail={"state": row.state})
    if offset != row.received:
        raise Conflict(
            f"The next piece of {row.filename} begins at {row.received:,}, not at {offset:,}. Go on from there.",
            detail={"offset": row.received},
        )
    if row.received == row.size:
        raise Invalid(f"All {row.size:,} bytes of {row.filename} are there. Complete the upload.")
    if len(row.pieces) >= MOST_PIECES:
        raise Invalid(f"An upload has {MOST_PIECES:,} pieces at the most. Begin again with larger ones.")


def _check_piece(declared: int | None, most: int, row: UploadRow) -> None:
    if declared is None or declared <= most:
        return
    if most == LARGEST_PIECE:
        raise TooLarge(f"A piece has {LARGEST_PIECE:,} bytes at the most. Send smaller ones.")
    raise Invalid(f"{row.filename} has {row.size:,} bytes: at most {most:,} are missing, {declared:,} were sent.")


async def _bounded(body: AsyncIterator[bytes], most: int, row: UploadRow) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in body:
        size += len(chunk)
        _check_piece(size, most, row)
        yield chunk


def _missing(row: UploadRow) -> Conflict:
    return Conflict(
        f"{row.received:,} of {row.size:,} bytes of {row.filename} are there. Send the rest first.",
        detail={"offset": row.received},
    )


def _prefix(row: UploadRow) -> str:
    return f"uploads/{row.id}"


def _leftover(row: UploadRow) -> list[str]:
    more: Any = row.options.get("leftover") or []
    return [_prefix(row), *more]
