"""REST: datasets and samples. Rows and releases are in `row_routes.py` and `release_routes.py`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from modelyard.core.errors import Invalid
from modelyard.core.paging import Page
from modelyard.features.auth.dependencies import Reader, Writer
from modelyard.features.datasets import history, intake, operations, release_routes, row_routes, schemas, upload_routes
from modelyard.protocol.intake import OnError
from modelyard.web.paging import PagingOf
from modelyard.web.requests import StrictRoute
from modelyard.web.session import DbSession, PlatformOf

router = APIRouter(tags=["datasets"], route_class=StrictRoute)


@router.post("/api/v1/datasets", status_code=201)
def create(body: schemas.DatasetCreate, caller: Writer, session: DbSession, platform: PlatformOf) -> schemas.Dataset:
    """Make an empty dataset."""
    row = operations.create(session, caller, body, platform.clock.now())
    return schemas.Dataset(**operations.describe(session, row))


@router.get("/api/v1/datasets")
def list_all(
    caller: Reader, session: DbSession, paging: PagingOf, scenario: str | None = None
) -> Page[schemas.Dataset]:
    """The datasets, newest first."""
    found = operations.list_all(session, caller, scenario, paging)
    items = [schemas.Dataset(**operations.describe(session, row)) for row in found.rows]
    return Page(items=items, next_cursor=found.next_cursor, total=found.total)


@router.get("/api/v1/datasets/{dataset}")
def show(dataset: str, caller: Reader, session: DbSession) -> schemas.Dataset:
    """One dataset, by id or name."""
    return schemas.Dataset(**operations.describe(session, operations.get(session, caller, dataset)))


@router.patch("/api/v1/datasets/{dataset}")
def update(
    dataset: str, body: schemas.DatasetUpdate, caller: Writer, session: DbSession, platform: PlatformOf
) -> schemas.Dataset:
    """Change the description, the target or the roles of the columns."""
    row = operations.update(session, caller, dataset, body, platform.clock.now())
    return schemas.Dataset(**operations.describe(session, row))


@router.delete("/api/v1/datasets/{dataset}", status_code=204)
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


@router.post("/api/v1/datasets/{dataset}/samples", status_code=201)
async def upload(
    dataset: str,
    request: Request,
    caller: Writer,
    platform: PlatformOf,
    filename: Annotated[str, Depends(file_name)],
    purpose: schemas.Purpose = "training",
    on_error: OnError = "strict",
) -> schemas.Sample:
    """Upload one file: its bytes are the request's body. Answers when the file is read, checked and profiled."""
    declared = request.headers.get("content-length", "")
    size = int(declared) if declared.isdigit() else None
    row = await intake.receive(
        platform, caller, dataset, filename, purpose, request.stream(), size, request.app.state.importing,
        on_error=on_error,
    )  # fmt: skip
    return schemas.Sample.of(row)


@router.get("/api/v1/datasets/{dataset}/samples")
def list_samples(
    dataset: str, caller: Reader, session: DbSession, paging: PagingOf, purpose: schemas.Purpose | None = None
) -> Page[schemas.Sample]:
    """The samples of a dataset, newest first; those with rows of one purpose where one is named."""
    found = operations.samples(session, caller, dataset, purpose, paging)
    return Page(items=[schemas.Sample.of(row) for row in found.rows], next_cursor=found.next_cursor, total=found.total)


@router.get("/api/v1/datasets/{dataset}/samples/{sample}")
def show_sample(dataset: str, sample: str, caller: Reader, session: DbSession) -> schemas.Sample:
    """One sample with its profile."""
    return schemas.Sample.of(operations.sample(session, caller, dataset, sample))


@router.patch("/api/v1/datasets/{dataset}/samples/{sample}")
def update_sample(
    dataset: str, sample: str, body: schemas.SampleUpdate, caller: Writer, session: DbSession, platform: PlatformOf
) -> schemas.Sample:
    """Change what all rows of a sample are for."""
    return schemas.Sample.of(
        operations.set_purpose(session, caller, dataset, sample, body.purpose, platform.clock.now())
    )


@router.delete("/api/v1/datasets/{dataset}/samples/{sample}", status_code=204)
def delete_sample(dataset: str, sample: str, caller: Writer, platform: PlatformOf) -> None:
    """Take a sample out of its dataset. Releases that hold it keep it."""
    with platform.database.session() as session:
        prefixes = operations.delete_sample(session, caller, dataset, sample, platform.clock.now())
    for prefix in prefixes:
        platform.objects.delete_all(prefix)


@router.get("/api/v1/datasets/{dataset}/changes")
def list_changes(dataset: str, caller: Reader, session: DbSession, paging: PagingOf) -> Page[schemas.Change]:
    """The history of a dataset, newest first: who changed what, when."""
    found = history.changes(session, operations.get(session, caller, dataset), paging)
    items = [schemas.Change.model_validate(row, from_attributes=True) for row in found.rows]
    return Page(items=items, next_cursor=found.next_cursor, total=found.total)


for part in (row_routes, release_routes, upload_routes):
    router.include_router(part.router)
