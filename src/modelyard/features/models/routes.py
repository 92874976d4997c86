"""REST: prefixes, models, versions and their files.

A prefix may be nested (`sales/europe`); in a path it is then written with `%2F` or simply with its slashes.
"""

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Path
from fastapi.responses import StreamingResponse

from modelyard.core.errors import NotFound
from modelyard.core.paging import Page
from modelyard.features.auth.dependencies import Reader, Writer
from modelyard.features.models import bundle, describe, operations, schemas
from modelyard.features.models.tables import ModelRow, VersionRow
from modelyard.web.paging import PagingOf
from modelyard.web.requests import StrictRoute
from modelyard.web.session import DbSession, PlatformOf

router = APIRouter(tags=["models"], route_class=StrictRoute)
MODELS = "/api/v1/prefixes/{prefix:path}/models"
ModelPart = Annotated[str, Path(pattern=schemas.PART)]
VersionPart = Annotated[str, Path(pattern=r"^(v?\d+|latest|production|staging)$")]


@router.get("/api/v1/prefixes")
def list_prefixes(caller: Reader, session: DbSession) -> Page[schemas.Prefix]:
    """The prefixes that the caller may see."""
    found = operations.prefixes(session, caller)
    items = [
        schemas.Prefix(key=row.id, prefix=row.path, models=count, created_at=row.created_at) for row, count in found
    ]
    return Page(items=items, total=len(items))


@router.get("/api/v1/models")
def list_all(caller: Reader, session: DbSession, paging: PagingOf, prefix: str | None = None) -> Page[schemas.Model]:
    """The models of every prefix, or of one."""
    found = operations.list_models(session, caller, prefix, paging)
    items = [_model(row, operations.versions(session, row)) for row in found.rows]
    return Page(items=items, next_cursor=found.next_cursor, total=found.total)


@router.get(MODELS)
def list_of_prefix(prefix: str, caller: Reader, session: DbSession, paging: PagingOf) -> Page[schemas.Model]:
    """The models of one prefix."""
    return list_all(caller, session, paging, prefix)


@router.get(MODELS + "/{model}")
def show(prefix: str, model: ModelPart, caller: Reader, session: DbSession) -> schemas.Model:
    """One model."""
    row = operations.get_model(session, caller, operations.ModelName(prefix, model, None))
    return _model(row, operations.versions(session, row))


@router.delete(MODELS + "/{model}", status_code=204)
def delete(prefix: str, model: ModelPart, caller: Writer, platform: PlatformOf) -> None:
    """Delete a model with all its versions; refused while a deployment holds one."""
    with platform.database.session() as session:
        folders = operations.delete_model(session, caller, operations.ModelName(prefix, model, None))
    for folder in folders:
        platform.objects.delete_all(folder)


@router.get(MODELS + "/{model}/versions")
def list_versions(prefix: str, model: ModelPart, caller: Reader, session: DbSession) -> Page[schemas.Version]:
    """A model's versions, newest first."""
    row = operations.get_model(session, caller, operations.ModelName(prefix, model, None))
    items = [version_schema(version, row) for version in operations.versions(session, row)]
    return Page(items=items, total=len(items))


@router.get(MODELS + "/{model}/versions/{version}")
def show_version(
    prefix: str, model: ModelPart, version: VersionPart, caller: Reader, session: DbSession
) -> schemas.Version:
    """One version: `vN`, `latest`, `production` or `staging`."""
    found = operations.get_version(session, caller, operations.ModelName(prefix, model, version))
    return version_schema(found.version, found.model)


@router.delete(MODELS + "/{model}/versions/{version}", status_code=204)
def delete_version(prefix: str, model: ModelPart, version: VersionPart, caller: Writer, platform: PlatformOf) -> None:
    """Delete a version; refused while a deployment holds it."""
    with platform.database.session() as session:
        folder = operations.delete_version(session, caller, operations.ModelName(prefix, model, version))
    platform.objects.delete_all(folder)


@router.post(MODELS + "/{model}/versions/{version}/stage")
def set_stage(
    prefix: str, model: ModelPart, version: VersionPart, body: schemas.StageChange, caller: Writer, session: DbSession
) -> schemas.Version:
    """Make a version the one in production or staging."""
    name = operations.ModelName(prefix, model, version)
    found = operations.set_stage(session, caller, name, body.stage)
    return version_schema(found.version, found.model)


@router.get(MODELS + "/{model}/versions/{version}/download", response_class=StreamingResponse)
def download(
    prefix: str, model: ModelPart, version: VersionPart, caller: Reader, platform: PlatformOf
) -> StreamingResponse:
    """A version's whole folder as a ZIP."""
    with platform.database.session(read_only=True) as session:
        found = operations.get_version(session, caller, operations.ModelName(prefix, model, version))
    name = f"{found.model.name}-v{found.version.number}"
    content = bundle.stream(platform.objects, found.version.folder, found.version.files)
    headers = {"content-disposition": f'attachment; filename="{name}.zip"'}
    return StreamingResponse(content, media_type="application/zip", headers=headers)


@router.get(MODELS + "/{model}/versions/{version}/files/{path:path}", response_class=StreamingResponse)
def file(
    prefix: str, model: ModelPart, version: VersionPart, path: str, caller: Reader, platform: PlatformOf
) -> StreamingResponse:
    """One file of a version."""
    with platform.database.session(read_only=True) as session:
        found = operations.get_version(session, caller, operations.ModelName(prefix, model, version))
    if path not in {entry["path"] for entry in found.version.files}:
        raise NotFound(f"{operations.name_of(found.model, found.version)} has no file {path!r}.")
    content: Iterator[bytes] = platform.objects.stream(f"{found.version.folder}/{path}")
    return StreamingResponse(content, media_type=describe.media_type(path))


@router.get("/models/{path:path}", tags=["predictions"])
def metadata(path: str, caller: Reader, session: DbSession, get_meta: bool = True) -> Any:  # noqa: ARG001
    """What a model's URL says about itself; `…/openapi.json` describes it to tools."""
    wanted, _, last = path.rstrip("/").rpartition("/")
    if last == "openapi.json":
        found = operations.get_version(session, caller, operations.parse(wanted))
        return describe.openapi(found.model, found.version)
    found = operations.get_version(session, caller, operations.parse(path))
    return describe.metadata(found.model, found.version)


def version_schema(row: VersionRow, model: ModelRow) -> schemas.Version:
    """A version as the interface shows it."""
    return schemas.Version(
        id=row.id,
        model=operations.name_of(model),
        prefix=model.prefix,
        name=model.name,
        version=f"v{row.number}",
        number=row.number,
        stage=row.stage,
        scenario=row.artifact["scenario"],
        algorithm=row.artifact["algorithm"],
        format=row.artifact["format"],
        signature=row.signature,
        evaluation=row.evaluation,
        lineage=row.lineage,
        files=row.files,
        checksum=row.checksum,
        created_at=row.created_at,
        created_by=row.created_by,
    )


def _model(row: ModelRow, versions: Any) -> schemas.Model:
    staged = {version.stage: version.number for version in versions}
    return schemas.Model(
        id=row.id,
        prefix=row.prefix,
        name=row.name,
        path=operations.name_of(row),
        description=row.description,
        versions=len(versions),
        latest_version=versions[0].number if versions else None,
        production_version=staged.get("production"),
        staging_version=staged.get("staging"),
        created_at=row.created_at,
        created_by=row.created_by,
    )
