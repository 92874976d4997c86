"""REST: datasets, samples, releases."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse

from modelyard.core.clock import iso
from modelyard.core.errors import Invalid
from modelyard.core.paging import Page
from modelyard.features.auth.dependencies import Reader, Writer
from modelyard.features.datasets import archive, intake, operations, schemas
from modelyard.features.datasets.tables import DatasetRow, ReleaseRow, SampleRow
from modelyard.web.paging import PagingOf
from modelyard.web.requests import StrictRoute
from modelyard.web.session import DbSession, PlatformOf

router = APIRouter(prefix="/api/v1/datasets", tags=["datasets"], route_class=StrictRoute)


@router.post("", status_code=201)
def create(body: schemas.DatasetCreate, caller: Writer, session: DbSession, platform: PlatformOf) -> schemas.Dataset:
    """Make an empty dataset."""
    row = operations.create(session, caller, body, platform.clock.now())
    return schemas.Dataset(**operations.describe(session, row))


@router.get("")
def list_all(
    caller: Reader, session: DbSession, paging: PagingOf, scenario: str | None = None
) -> Page[schemas.Dataset]:
    """The datasets, newest first."""
    found = operations.list_all(session, caller, scenario, paging)
    items = [schemas.Dataset(**operations.describe(session, row)) for row in found.rows]
    return Page(items=items, next_cursor=found.next_cursor, total=found.total)


@router.get("/{dataset}")
def show(dataset: str, caller: Reader, session: DbSession) -> schemas.Dataset:
    """One dataset, by id or name."""
    return schemas.Dataset(**operations.describe(session, operations.get(session, caller, dataset)))


@router.patch("/{dataset}")
def update(dataset: str, body: schemas.DatasetUpdate, caller: Writer, session: DbSession) -> schemas.Dataset:
    """Change the description or the target."""
    return schemas.Dataset(**operations.describe(session, operations.update(session, caller, dataset, body)))


@router.delete("/{dataset}", status_code=204)
def delete(dataset: str, caller: Writer, platform: PlatformOf) -> None:
    """Delete a dataset that has no releases."""
    with platform.database.session() as session:
        prefixes = operations.delete(session, caller, dataset)
    for prefix in prefixes:
        platform.objects.delete_all(prefix)


def file_name(filename: Annotated[str, Query(min_length=1, max_length=255)]) -> str:
    """FastAPI dependency: a plain file name, which later names a file in an archive."""
    name = filename.replace("\\", "/").rpartition("/")[2].strip()
    if name in {"", ".", ".."} or not name.isprintable():
        raise Invalid(f"{filename!r} is no file name.", fields=[{"field": "filename", "message": "is no file name"}])
    return name


@router.post("/{dataset}/samples", status_code=201)
async def upload(
    dataset: str,
    request: Request,
    caller: Writer,
    platform: PlatformOf,
    filename: Annotated[str, Depends(file_name)],
    purpose: schemas.Purpose = "training",
) -> schemas.Sample:
    """Upload one file: its bytes are the request's body. Answers when the file is read, checked and profiled."""
    declared = request.headers.get("content-length", "")
    size = int(declared) if declared.isdigit() else None
    row = await intake.receive(
        platform, caller, dataset, filename, purpose, request.stream(), size, request.app.state.importing
    )
    return _sample(row)


@router.get("/{dataset}/samples")
def list_samples(dataset: str, caller: Reader, session: DbSession, paging: PagingOf) -> Page[schemas.Sample]:
    """The samples of a dataset, newest first."""
    found = operations.samples(session, caller, dataset, paging)
    return Page(items=[_sample(row) for row in found.rows], next_cursor=found.next_cursor, total=found.total)


@router.get("/{dataset}/samples/{sample}")
def show_sample(dataset: str, sample: str, caller: Reader, session: DbSession) -> schemas.Sample:
    """One sample with its profile."""
    return _sample(operations.sample(session, caller, dataset, sample))


@router.patch("/{dataset}/samples/{sample}")
def update_sample(
    dataset: str, sample: str, body: schemas.SampleUpdate, caller: Writer, session: DbSession
) -> schemas.Sample:
    """Change a sample's purpose."""
    return _sample(operations.set_purpose(session, caller, dataset, sample, body.purpose))


@router.delete("/{dataset}/samples/{sample}", status_code=204)
def delete_sample(dataset: str, sample: str, caller: Writer, platform: PlatformOf) -> None:
    """Take a sample out of its dataset. Releases that hold it keep it."""
    with platform.database.session() as session:
        prefixes = operations.delete_sample(session, caller, dataset, sample)
    for prefix in prefixes:
        platform.objects.delete_all(prefix)


@router.post("/{dataset}/releases", status_code=201)
def release(
    dataset: str, caller: Writer, session: DbSession, platform: PlatformOf, body: schemas.ReleaseCreate | None = None
) -> schemas.Release:
    """Take an immutable release of the dataset as it is now."""
    note = body.note if body else ""
    row = operations.release(session, caller, dataset, note, platform.clock.now())
    return _release(row, operations.get(session, caller, row.dataset))


@router.get("/{dataset}/releases")
def list_releases(dataset: str, caller: Reader, session: DbSession, paging: PagingOf) -> Page[schemas.Release]:
    """The releases of a dataset, newest first."""
    owner = operations.get(session, caller, dataset)
    found = operations.releases(session, caller, dataset, paging)
    return Page(items=[_release(row, owner) for row in found.rows], next_cursor=found.next_cursor, total=found.total)


@router.get("/{dataset}/releases/{number}")
def show_release(dataset: str, number: int, caller: Reader, session: DbSession) -> schemas.Release:
    """One release."""
    row = operations.get_release(session, caller, dataset, number)
    return _release(row, operations.get(session, caller, dataset))


@router.get("/{dataset}/releases/{number}/download", response_class=StreamingResponse)
def download(dataset: str, number: int, caller: Reader, platform: PlatformOf) -> StreamingResponse:
    """A release as a ZIP: `training/`, `validation/`, `test/` and `dataset.json`."""
    with platform.database.session(read_only=True) as session:
        row = operations.get_release(session, caller, dataset, number)
        owner = operations.get(session, caller, dataset)
    description = _release(row, owner).model_dump(mode="json") | {"scenario": owner.scenario, "target": owner.target}
    description["created_at"] = iso(row.created_at)
    content = archive.stream(platform.objects, description, row.manifest)
    headers = {"content-disposition": f'attachment; filename="{owner.name}-{row.number}.zip"'}
    return StreamingResponse(content, media_type="application/zip", headers=headers)


def _sample(row: SampleRow) -> schemas.Sample:
    return schemas.Sample.model_validate(row, from_attributes=True)


def _release(row: ReleaseRow, owner: DatasetRow) -> schemas.Release:
    files = [schemas.ReleaseFile(**{k: v for k, v in entry.items() if k != "folder"}) for entry in row.manifest]
    return schemas.Release(
        id=row.id,
        dataset=row.dataset,
        dataset_name=owner.name,
        number=row.number,
        state=row.state,
        note=row.note,
        checksum=row.checksum,
        rows=row.rows,
        files=files,
        created_at=row.created_at,
        created_by=row.created_by,
    )
