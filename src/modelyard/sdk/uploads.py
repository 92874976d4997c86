"""Uploads: small files in one request; large ones, archives and folders in pieces that survive a lost connection.

A file in pieces is announced, sent piece by piece, and imported by a job. Whoever is told that another offset comes
next goes on from there, so a lost answer, a restarted platform or another day make no difference.
"""

from __future__ import annotations

import os
import sys
import tempfile
import uuid
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import IO, Any, Literal

from modelyard.core.errors import Conflict, Invalid, NotFound
from modelyard.features.datasets import schemas, upload_schemas
from modelyard.features.jobs.schemas import Job as JobData
from modelyard.sdk.bodies import PIECE, Body, FileBody, Progress, body_of
from modelyard.sdk.calls import call, delete, fetch, get, pages, path, post
from modelyard.sdk.entity import Listing
from modelyard.sdk.errors import ConnectionLost
from modelyard.sdk.flow import Flow, Mode, Request, Resource, operation
from modelyard.sdk.jobs import Job, waiting

Purpose = Literal["training", "validation", "test"]
OnError = Literal["strict", "tolerant"]
IMPORT_SECONDS = 3600.0
"""A file in one request is answered when it has been read and described, which takes a while."""
DIRECT = 32 << 20
"""Larger files go in pieces."""
SENT = 16 << 20
"""Bytes of a piece."""
ARCHIVES = (".zip", ".tar", ".tgz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz")
_EPOCH = (1980, 1, 1, 0, 0, 0)


class Slice(Body):
    """Some bytes of another body, from `offset` on; what is told of progress counts from the other's beginning."""

    def __init__(self, whole: Body, offset: int, size: int, on_progress: Progress | None) -> None:
        self.name, self.size, self._whole, self._offset = whole.name, size, whole, offset
        self._told = on_progress

    def pieces(self) -> Iterator[bytes]:
        sent = self._offset
        for piece in self._read():
            yield piece
            sent += len(piece)
            if self._told is not None:
                self._told(sent, self._whole.size)

    def _open(self) -> IO[bytes]:
        file = self._whole._open()  # noqa: SLF001 - one body in another
        file.seek(self._offset, os.SEEK_CUR)
        return file

    def _close(self, file: IO[bytes]) -> None:
        self._whole._close(file)  # noqa: SLF001 - one body in another

    def _read(self) -> Iterator[bytes]:
        left, file = self.size or 0, self._open()
        try:
            while left and (piece := file.read(min(PIECE, left))):
                left -= len(piece)
                yield piece
        finally:
            self._close(file)


class Uploads(Resource[Mode]):
    """Files on their way into datasets. `dataset` is a name or an id throughout."""

    @operation
    def send(
        self,
        dataset: str,
        data: Any,
        *,
        purpose: Purpose | None = None,
        filename: str | None = None,
        on_error: OnError = "strict",
        replace: str | None = None,
        resume: bool = False,
        progress: bool | Progress = False,
        on_job: Callable[[JobData], None] | None = None,
    ) -> Flow[Listing[schemas.Sample]]:
        """Add data to a dataset: a path, a folder, several of them, bytes, an open binary file, or a data frame.

        A folder is sent as an archive: its folders training, validation and test say what rows are for, and for text
        classification those below them are the labels of .txt files. With `on_error="tolerant"` broken rows are left
        out, and told in the samples' `problems`. `replace` is the id of a sample that goes when this one comes.
        `resume` goes on with an upload of the same file that was broken off. `progress` True draws how far it is, a
        function is called with the bytes sent and the size; `on_job` with each state of an import job.
        """
        if isinstance(data, (list, tuple)):
            found: Listing[schemas.Sample] = Listing()
            if replace is not None and len(data) != 1:
                raise Invalid("A sample is replaced by one file. Name one.")
            for one in data:
                found += yield from self.send.flow(
                    dataset, one, purpose=purpose, on_error=on_error, replace=replace, resume=resume,
                    progress=progress, on_job=on_job,
                )  # fmt: skip
            return found
        with _body(data, filename) as body, _drawn(progress, body.name) as told:
            if not resume and replace is None and _fits_one_request(body):
                body.on_progress = told
                sample = yield from direct(self, dataset, body, purpose or "training", on_error)
                return Listing([sample])
            wanted = {"purpose": purpose, "on_error": on_error, "replace": replace}
            return (
                yield from _in_pieces(
                    self, dataset, body, wanted, resume=resume, told=told, on_job=on_job or progress is True
                )
            )

    @operation
    def list(self, dataset: str, *, limit: int | None = None) -> Flow[Listing[upload_schemas.Upload]]:
        """The uploads of a dataset, newest first."""
        return Listing((yield from pages(self, get("datasets", dataset, "uploads"), upload_schemas.Upload, limit)))

    @operation
    def get(self, dataset: str, upload: str) -> Flow[upload_schemas.Upload]:
        """One upload: how much of it is there. Raises NotFound."""
        return (yield from fetch(self, get("datasets", dataset, "uploads", upload), upload_schemas.Upload))

    @operation
    def complete(self, dataset: str, upload: str, *, on_error: OnError | None = None) -> Flow[Job[Mode]]:
        """Import a file that has arrived, or one whose import failed, with another `on_error`; the job."""
        request = post("datasets", dataset, "uploads", upload, "complete", body={"on_error": on_error})
        return Job(self._connection, (yield from fetch(self, request, JobData)))

    @operation
    def delete(self, dataset: str, upload: str) -> Flow[None]:
        """Forget an upload and its pieces; samples that came of it stay. Raises InUse while it is imported."""
        yield from call(self, delete("datasets", dataset, "uploads", upload))


def direct(
    resource: Resource[Mode], dataset: str, body: Body, purpose: Purpose, on_error: OnError = "strict"
) -> Flow[schemas.Sample]:
    """Flow: one file in one request."""
    params = {"filename": body.name, "purpose": purpose}
    if on_error != "strict":
        params["on_error"] = on_error
    request = Request(
        method="POST",
        path=path("datasets", dataset, "samples"),
        params=params,
        headers={"content-type": "application/octet-stream", "idempotency-key": uuid.uuid4().hex},
        content=body,
        patience=IMPORT_SECONDS,
    )
    return (yield from fetch(resource, request, schemas.Sample))


def _in_pieces(
    resource: Uploads[Mode],
    dataset: str,
    body: Body,
    wanted: dict[str, Any],
    *,
    resume: bool,
    told: Progress | None,
    on_job: Callable[[JobData], None] | bool,
) -> Flow[Listing[schemas.Sample]]:
    if body.size is None or not body.repeatable:
        raise Invalid(f"{body.name} can be read only once, so it cannot be sent in pieces. Write it to a file first.")
    digest = body.sha256()
    upload = (yield from _broken_off(resource, dataset, body, digest)) if resume else None
    if upload is None:
        announced = {"filename": body.name, "size": body.size, "sha256": digest, **wanted}
        request = post("datasets", dataset, "uploads", body=announced)
        upload = yield from fetch(resource, request, upload_schemas.Upload)
    yield from _send_rest(resource, dataset, body, upload, told)
    job: Job[Mode] = yield from resource.complete.flow(dataset, upload.id, on_error=wanted["on_error"])
    yield from waiting(job, on_job, None)
    samples: Listing[schemas.Sample] = Listing()
    for sample in (job.data.result or {}).get("samples", ()):
        samples.append((yield from fetch(resource, get("datasets", dataset, "samples", sample), schemas.Sample)))
    yield from _forget(resource, dataset, upload.id)
    return samples


def _broken_off(resource: Uploads[Mode], dataset: str, body: Body, digest: str) -> Flow[upload_schemas.Upload | None]:
    """The newest upload of the same content that was not imported."""
    for upload in (yield from resource.list.flow(dataset)):
        same = (upload.filename, upload.size, upload.sha256) == (body.name, body.size, digest)
        if same and upload.state in {"receiving", "failed"}:
            return upload
    return None


def _send_rest(
    resource: Uploads[Mode], dataset: str, body: Body, upload: upload_schemas.Upload, told: Progress | None
) -> Flow[None]:
    """Send what is missing, from wherever the platform says that it goes on."""
    offset, size, behind = upload.received, upload.size, 0
    while offset < size:
        piece = Slice(body, offset, min(SENT, size - offset), told)
        try:
            offset = (yield from _send(resource, dataset, upload.id, offset, piece)).received
            behind = 0
        except Conflict as conflict:
            # A piece arrived whose answer was lost, or somebody else sends the same upload.
            behind += 1
            if "offset" not in conflict.detail or behind > resource._connection.tries:  # noqa: SLF001 - of Resource
                raise
            offset = int(conflict.detail["offset"])


def _send(resource: Uploads[Mode], dataset: str, upload: str, offset: int, piece: Slice) -> Flow[upload_schemas.Upload]:
    request = Request(
        method="PATCH",
        path=path("datasets", dataset, "uploads", upload),
        params={"offset": offset},
        headers={"content-type": "application/octet-stream"},
        content=piece,
    )
    for attempt in count(1):
        try:
            return (yield from fetch(resource, request, upload_schemas.Upload))
        except ConnectionLost:
            # `call` tried as often as the client may; what arrived meanwhile is asked for before giving up.
            if attempt > 1:
                raise
            found = yield from resource.get.flow(dataset, upload)
            if found.received != offset:
                return found
    raise AssertionError


def _forget(resource: Uploads[Mode], dataset: str, upload: str) -> Flow[None]:
    """The pieces are needed no more. Somebody may have removed them already."""
    try:
        yield from resource.delete.flow(dataset, upload)
    except NotFound:
        return


def _fits_one_request(body: Body) -> bool:
    # What cannot be measured or read again can only go in one.
    return not is_archive(body.name) and (body.size is None or not body.repeatable or body.size <= DIRECT)


def is_archive(name: str) -> bool:
    """Whether a file of this name is an archive of several."""
    return name.lower().endswith(ARCHIVES)


@contextmanager
def _body(data: Any, filename: str | None) -> Iterator[Body]:
    """The bytes to send; a folder becomes an archive that is gone afterwards."""
    if not isinstance(data, (str, os.PathLike)) or not Path(data).expanduser().is_dir():
        yield body_of(data, filename)
        return
    folder = Path(data).expanduser().resolve()
    with tempfile.TemporaryDirectory(prefix="modelyard-upload-") as work:
        archive = Path(work) / "folder.zip"
        _zip(folder, archive)
        yield FileBody(archive, filename or f"{folder.name}.zip")


def _zip(folder: Path, target: Path) -> None:
    """The plain files of a folder, in order and without times: the same folder gives the same bytes."""
    files = sorted(each for each in folder.rglob("*") if each.is_file() and not each.is_symlink())
    files = [each for each in files if not any(part.startswith(".") for part in each.relative_to(folder).parts)]
    if not files:
        raise Invalid(f"{folder} holds no files. Choose a folder with tables, logs or texts in it.")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for file in files:
            entry = zipfile.ZipInfo(file.relative_to(folder).as_posix(), _EPOCH)
            entry.compress_type, entry.file_size = zipfile.ZIP_DEFLATED, file.stat().st_size
            with file.open("rb") as source, archive.open(entry, "w") as opened:
                while piece := source.read(PIECE):
                    opened.write(piece)


@contextmanager
def _drawn(progress: bool | Progress, name: str) -> Iterator[Progress | None]:
    """What is called while bytes are sent: the caller's own function, a bar on a terminal, or nothing."""
    if callable(progress):
        yield progress
        return
    if not progress or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn(name), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda sent, size: bar.update(task, completed=sent, total=size)
