"""REST: the rows of a dataset, what they are for, what they hold."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from modelyard.features.auth.dependencies import Reader, Writer
from modelyard.features.datasets import adding, editing, profiling, rows, schemas, splitting
from modelyard.features.datasets.schemas import Where
from modelyard.web.requests import StrictRoute
from modelyard.web.session import PlatformOf

router = APIRouter(prefix="/api/v1/datasets/{dataset}", tags=["datasets"], route_class=StrictRoute)


def wanted(
    sample: Annotated[str | None, Query(max_length=64, description="Only rows of this sample.")] = None,
    purpose: Annotated[schemas.Purpose | None, Query(description="Only rows of this purpose.")] = None,
    search: Annotated[str | None, Query(max_length=1_000, description="A text that some column holds.")] = None,
    filter: Annotated[  # noqa: A002 - the name of the parameter
        list[schemas.Filter] | None,
        Query(max_length=50, description="`column:operator:value`, such as `age:>=:30` or `plan:missing`; all hold."),
    ] = None,
) -> Where:
    """FastAPI dependency: which rows are asked for."""
    return Where(sample=sample, purpose=purpose, search=search, filter=filter or [])


@router.get("/rows")
def list_rows(
    dataset: str,
    caller: Reader,
    platform: PlatformOf,
    where: Annotated[Where, Depends(wanted)],
    sort: Annotated[str | None, Query(max_length=300, description="`column`, `column:asc` or `column:desc`.")] = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 50,
    offset: Annotated[int, Query(ge=0, lt=1 << 48)] = 0,
) -> schemas.RowPage:
    """The rows of a dataset as they are now, in the order of the files or of one column."""
    return rows.page(platform, caller, dataset, where, sort=sort, limit=limit, offset=offset)


@router.patch("/rows")
def update_rows(dataset: str, body: schemas.RowsUpdate, caller: Writer, platform: PlatformOf) -> schemas.RowsChanged:
    """Change values of rows, what they are for, or take them out; named by ids or by a filter."""
    return editing.update(platform, caller, dataset, body)


@router.post("/rows", status_code=201)
async def add_rows(
    dataset: str, body: schemas.RowsAdd, request: Request, caller: Writer, platform: PlatformOf
) -> schemas.Sample:
    """Append rows: they become a small sample of the dataset."""
    row = await adding.add(platform, caller, dataset, body.rows, body.purpose, request.app.state.importing)
    return schemas.Sample.of(row)


@router.post("/split")
def split(dataset: str, body: schemas.Split, caller: Writer, platform: PlatformOf) -> schemas.SplitDone:
    """Divide the rows into training, validation and test, by a method or by rules."""
    return splitting.split(platform, caller, dataset, body)


@router.get("/profile")
def profile(dataset: str, caller: Reader, platform: PlatformOf) -> schemas.DatasetProfile:
    """What the dataset holds now: columns with their distributions, balance of the classes, span of the series."""
    return profiling.profile(platform, caller, dataset)
