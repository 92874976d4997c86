"""REST: releases of a dataset."""

from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse

from modelyard.core.clock import iso
from modelyard.core.paging import Page
from modelyard.features.auth.dependencies import Reader, Writer
from modelyard.features.datasets import archive, compare, operations, releases, schemas
from modelyard.features.datasets.errors import WrongState
from modelyard.features.datasets.tables import DatasetRow, ReleaseRow
from modelyard.web.paging import PagingOf
from modelyard.web.requests import StrictRoute
from modelyard.web.session import DbSession, PlatformOf

router = APIRouter(prefix="/api/v1/datasets/{dataset}/releases", tags=["datasets"], route_class=StrictRoute)


@router.post("", status_code=201, responses={202: {"model": schemas.Release}})
def release(
    dataset: str, caller: Writer, platform: PlatformOf, response: Response, body: schemas.ReleaseCreate | None = None
) -> schemas.Release:
    """Take an immutable release of the dataset as it is now.

    201 where it is published at once, 202 where its `job` makes tables first: rows with purposes of their own, edits.
    """
    row = releases.take(platform, caller, dataset, body.note if body else "")
    return _answer(platform, caller, dataset, row, response)


@router.get("")
def list_releases(dataset: str, caller: Reader, session: DbSession, paging: PagingOf) -> Page[schemas.Release]:
    """The releases of a dataset, newest first."""
    owner = operations.get(session, caller, dataset)
    found = operations.releases(session, caller, dataset, paging)
    return Page(items=[_release(row, owner) for row in found.rows], next_cursor=found.next_cursor, total=found.total)


@router.get("/{number}")
def show_release(dataset: str, number: int, caller: Reader, session: DbSession) -> schemas.Release:
    """One release."""
    row = operations.find_release(session, caller, dataset, number)
    return _release(row, operations.get(session, caller, dataset))


@router.post("/{number}/retry", status_code=202)
def retry_release(
    dataset: str, number: int, caller: Writer, platform: PlatformOf, response: Response
) -> schemas.Release:
    """Make a release that failed again, of the dataset as it is now."""
    return _answer(platform, caller, dataset, releases.retry(platform, caller, dataset, number), response)


@router.post("/{number}/archive")
def archive_release(
    dataset: str, number: int, caller: Writer, session: DbSession, platform: PlatformOf
) -> schemas.Release:
    """Put a release away: it stays as it is, and is no longer offered for training."""
    row = releases.archive(session, caller, dataset, number, platform.clock.now())
    return _release(row, operations.get(session, caller, dataset))


@router.post("/{number}/restore")
def restore_release(
    dataset: str, number: int, caller: Writer, session: DbSession, platform: PlatformOf
) -> schemas.Release:
    """Take an archived release out again."""
    row = releases.restore(session, caller, dataset, number, platform.clock.now())
    return _release(row, operations.get(session, caller, dataset))


@router.delete("/{number}", status_code=204)
def delete_release(dataset: str, number: int, caller: Writer, platform: PlatformOf) -> None:
    """Delete a release that is archived or failed and that nothing uses; refused with the names of what does."""
    releases.delete(platform, caller, dataset, number)


@router.get("/{number}/profile")
def release_profile(dataset: str, number: int, caller: Reader, session: DbSession) -> schemas.ReleaseProfile:
    """What the columns of a release hold."""
    row = _published(operations.find_release(session, caller, dataset, number))
    return schemas.ReleaseProfile(**operations.profile_of(session, row))


@router.get("/{number}/compare/{other}")
def compare_releases(dataset: str, number: int, other: int, caller: Reader, session: DbSession) -> schemas.Comparison:
    """What changed from one release to another: files, rows, columns, distributions, balance of the classes."""
    rows = [_published(operations.find_release(session, caller, dataset, each)) for each in (number, other)]
    one, two = (compare.Side.of(row, operations.profile_of(session, row)) for row in rows)
    return compare.compared(one, two)


@router.get("/{number}/download", response_class=StreamingResponse)
def download(dataset: str, number: int, caller: Reader, platform: PlatformOf) -> StreamingResponse:
    """A release as a ZIP: `training/`, `validation/`, `test/` and `dataset.json`."""
    with platform.database.session(read_only=True) as session:
        row = _published(operations.find_release(session, caller, dataset, number))
        owner = operations.get(session, caller, dataset)
    description = _release(row, owner).model_dump(mode="json") | {"scenario": owner.scenario}
    description["created_at"] = iso(row.created_at)
    content = archive.stream(platform.objects, description, row.manifest)
    headers = {"content-disposition": f'attachment; filename="{owner.name}-{row.number}.zip"'}
    return StreamingResponse(content, media_type="application/zip", headers=headers)


def _answer(platform: PlatformOf, caller: Writer, dataset: str, row: ReleaseRow, response: Response) -> schemas.Release:
    response.status_code = 202 if row.state == "preparing" else 201
    with platform.database.session(read_only=True) as session:
        return _release(row, operations.get(session, caller, dataset))


def _published(row: ReleaseRow) -> ReleaseRow:
    """A release that has content. Raises WrongState."""
    if row.state in {"preparing", "failed"}:
        told = "is still being prepared. Wait for its job" if row.state == "preparing" else "failed. Retry it"
        raise WrongState(f"Release {row.number} {told}; then look again.", detail={"state": row.state})
    return row


def _release(row: ReleaseRow, owner: DatasetRow) -> schemas.Release:
    names = schemas.ReleaseFile.model_fields
    files = [schemas.ReleaseFile(**{name: entry[name] for name in names}) for entry in row.manifest]
    counts: dict[str, int] = {
        purpose: sum(file.rows for file in files if file.purpose == purpose) for purpose in schemas.PURPOSES if files
    }
    roles = operations.roles_of(row)
    return schemas.Release(
        id=row.id,
        dataset=row.dataset,
        dataset_name=owner.name,
        number=row.number,
        state=row.state,
        note=row.note,
        checksum=row.checksum,
        rows=row.rows,
        counts=counts,
        target=roles.pop("target", None),
        roles=roles,
        files=files,
        job=row.job,
        failure=row.failure,
        created_at=row.created_at,
        created_by=row.created_by,
        published_at=row.published_at,
    )
