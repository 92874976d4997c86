"""REST: files that arrive in pieces."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from modelyard.core.paging import Page
from modelyard.features.auth.dependencies import Reader, Writer
from modelyard.features.datasets import uploads
from modelyard.features.datasets.tables import UploadRow
from modelyard.features.datasets.upload_schemas import Upload, UploadComplete, UploadCreate
from modelyard.features.jobs.presenting import job_schema
from modelyard.features.jobs.schemas import Job
from modelyard.web.paging import PagingOf
from modelyard.web.requests import StrictRoute
from modelyard.web.session import DbSession, PlatformOf

router = APIRouter(prefix="/api/v1/datasets", tags=["datasets"], route_class=StrictRoute)


@router.post("/{dataset}/uploads", status_code=201)
def create(dataset: str, body: UploadCreate, caller: Writer, platform: PlatformOf) -> Upload:
    """Announce a file that is to arrive in pieces: a table, a log, or an archive of some."""
    return _upload(uploads.create(platform, caller, dataset, body))


@router.get("/{dataset}/uploads")
def list_all(dataset: str, caller: Reader, session: DbSession, paging: PagingOf) -> Page[Upload]:
    """The uploads of a dataset, newest first; done ones for a while."""
    found = uploads.list_all(session, caller, dataset, paging)
    return Page(items=[_upload(row) for row in found.rows], next_cursor=found.next_cursor, total=found.total)


@router.get("/{dataset}/uploads/{upload}")
def show(dataset: str, upload: str, caller: Reader, session: DbSession) -> Upload:
    """One upload: how much of it is there."""
    return _upload(uploads.get(session, caller, dataset, upload))


@router.patch("/{dataset}/uploads/{upload}")
async def send(
    dataset: str,
    upload: str,
    request: Request,
    caller: Writer,
    platform: PlatformOf,
    offset: Annotated[int, Query(ge=0, description="Where in the file the piece begins.")],
) -> Upload:
    """Send a piece: the bytes at `offset` are the request's body. 409 says in `detail.offset` where to go on."""
    declared = request.headers.get("content-length", "")
    size = int(declared) if declared.isdigit() else None
    return _upload(await uploads.receive(platform, caller, dataset, upload, offset, request.stream(), size))


@router.post("/{dataset}/uploads/{upload}/complete", status_code=202)
def complete(
    dataset: str,
    upload: str,
    caller: Writer,
    session: DbSession,
    platform: PlatformOf,
    body: UploadComplete | None = None,
) -> Job:
    """Import a file that has arrived; the job that does it."""
    wanted = body or UploadComplete()
    return job_schema(session, uploads.complete(session, platform, caller, dataset, upload, wanted))


@router.delete("/{dataset}/uploads/{upload}", status_code=204)
def delete(dataset: str, upload: str, caller: Writer, platform: PlatformOf) -> None:
    """Forget an upload and its pieces. Samples that came of it stay."""
    with platform.database.session() as session:
        prefixes = uploads.delete(session, caller, dataset, upload)
    for prefix in prefixes:
        platform.objects.delete_all(prefix)


def _upload(row: UploadRow) -> Upload:
    own = {name: getattr(row, name) for name in Upload.model_fields if hasattr(row, name)}
    options = {name: row.options.get(name) for name in ("sha256", "on_error", "replace", "job", "failure")}
    return Upload.model_validate({**own, **options, "samples": row.options.get("samples", [])})
