"""REST: batch predictions."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse

from modelyard.core.errors import Invalid
from modelyard.core.paging import Page
from modelyard.features.auth.dependencies import Reader, allow
from modelyard.features.auth.operations import Principal
from modelyard.features.jobs import operations as jobs
from modelyard.features.jobs.presenting import job_schema
from modelyard.features.predictions import files, operations, schemas
from modelyard.web.paging import PagingOf
from modelyard.web.requests import StrictRoute
from modelyard.web.session import DbSession, PlatformOf

router = APIRouter(prefix="/api/v1/batch-predictions", tags=["batch predictions"], route_class=StrictRoute)
_predicting = allow("predict")
Predicting = Annotated[Principal, Depends(_predicting)]


def file_name(filename: Annotated[str, Query(min_length=1, max_length=255)]) -> str:
    """FastAPI dependency: a plain file name."""
    name = filename.replace("\\", "/").rpartition("/")[2].strip()
    if name in {"", ".", ".."} or not name.isprintable():
        raise Invalid(f"{filename!r} is no file name.", fields=[{"field": "filename", "message": "is no file name"}])
    return name


@router.post("/files", status_code=201)
async def upload(
    request: Request, caller: Predicting, platform: PlatformOf, filename: Annotated[str, Depends(file_name)]
) -> schemas.PredictionFile:
    """Upload a file to be predicted: its bytes are the request's body. One that is not used goes after a week."""
    declared = request.headers.get("content-length", "")
    size = int(declared) if declared.isdigit() else None
    row = await files.receive(platform, caller, filename, request.stream(), size)
    return schemas.PredictionFile.model_validate(row, from_attributes=True)


@router.post("", status_code=202)
def create(
    body: schemas.BatchCreate, caller: Predicting, session: DbSession, platform: PlatformOf
) -> schemas.BatchPrediction:
    """Predict the rows of a dataset's release, or of an uploaded file, as a job."""
    now = platform.clock.now()
    return _batch(session, operations.create(session, caller, body, platform.settings.limits, now))


@router.get("")
def list_all(caller: Reader, session: DbSession, paging: PagingOf) -> Page[schemas.BatchPrediction]:
    """Batch predictions, newest first."""
    found = operations.list_all(session, caller, paging)
    items = [_batch(session, operations.Batch(row, jobs.get(session, caller, row.job))) for row in found.rows]
    return Page(items=items, next_cursor=found.next_cursor, total=found.total)


@router.get("/{batch}")
def show(batch: str, caller: Reader, session: DbSession) -> schemas.BatchPrediction:
    """One batch prediction."""
    return _batch(session, operations.get(session, caller, batch))


@router.get("/{batch}/result", response_class=StreamingResponse)
def result(batch: str, caller: Predicting, platform: PlatformOf) -> StreamingResponse:
    """The file with the rows and their predictions."""
    with platform.database.session(read_only=True) as session:
        found = operations.download(session, caller, batch)
    headers = {
        "content-disposition": f'attachment; filename="{_plain(found.filename)}"',
        "content-length": str(found.size),
    }
    return StreamingResponse(platform.objects.stream(found.key), media_type=found.media_type, headers=headers)


@router.delete("/{batch}", status_code=204)
def delete(batch: str, caller: Predicting, platform: PlatformOf) -> None:
    """Delete a batch prediction that has ended, with its result and its uploaded file."""
    with platform.database.session() as session:
        prefix, key = operations.delete(session, caller, batch)
    platform.objects.delete_all(prefix)
    if key is not None:
        platform.objects.delete(key)


def _batch(session: DbSession, found: operations.Batch) -> schemas.BatchPrediction:
    row = found.row
    told = row.result and {**row.result, "filename": operations.result_name(row)}
    own = (
        "id",
        "dataset",
        "purpose",
        "file",
        "filename",
        "parameters",
        "output",
        "on_error",
        "created_at",
        "created_by",
    )
    return schemas.BatchPrediction(
        **{name: getattr(row, name) for name in own},
        model=row.version,
        release=row.number,
        job=job_schema(session, found.job),
        result=schemas.BatchResult(**told) if told else None,
    )


def _plain(filename: str) -> str:
    """A name that a header can bear."""
    return "".join(letter if letter.isascii() and letter not in '"\\' else "_" for letter in filename)
