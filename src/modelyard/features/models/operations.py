"""What the platform does with models and versions."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy.orm import Session

from modelyard.core import ids
from modelyard.core.errors import InUse, NotFound
from modelyard.credentials.scope import covers
from modelyard.features.auth.operations import Principal, check
from modelyard.features.models import queries
from modelyard.features.models.schemas import ModelName, Stage, parse
from modelyard.features.models.tables import HoldRow, ModelRow, PrefixRow, VersionRow
from modelyard.protocol.processes import HeldVersion
from modelyard.protocol.signature import Signature
from modelyard.storage.db.paging import Paging, Rows


class Found(NamedTuple):
    """A version and the model it belongs to."""

    version: VersionRow
    model: ModelRow


def ensure_model(session: Session, principal: Principal, name: ModelName, now: datetime) -> ModelRow:
    """The model of this name, made with its prefix where they are not there yet."""
    check(principal, "write", prefix=name.prefix)
    organisation = principal.organisation
    owned = principal.stamp(now)
    if queries.prefix(session, organisation, name.prefix) is None:
        session.add(PrefixRow(id=ids.new("pfx"), path=name.prefix, **owned))
        session.flush()
    row = queries.model(session, organisation, name.prefix, name.name)
    if row is None:
        row = ModelRow(id=ids.new("mdl"), prefix=name.prefix, name=name.name, description="", last_number=0, **owned)
        session.add(row)
        session.flush()
    return row


def add_version(
    session: Session,
    model: ModelRow,
    *,
    job: str,
    created_by: str,
    result: dict[str, Any],
    lineage: dict[str, Any],
    now: datetime,
) -> VersionRow:
    """Register what a run made. `result` is the training recipe's; a run that reports twice makes one version."""
    known = queries.version_of_job(session, job)
    if known is not None:
        return known
    model.last_number += 1
    row = VersionRow(
        id=ids.new("ver"),
        model=model.id,
        number=model.last_number,
        stage=None,
        job=job,
        folder=result["folder"],
        checksum=result["checksum"],
        files=result["files"],
        signature=result["signature"],
        artifact=result["artifact"],
        evaluation=result["evaluation"],
        lineage=lineage,
        organisation=model.organisation,
        created_at=now,
        created_by=created_by,
    )
    session.add(row)
    session.flush()
    return row


def prefixes(session: Session, principal: Principal) -> list[tuple[PrefixRow, int]]:
    """The prefixes that the caller may see, with the number of their models."""
    found = queries.prefixes(session, principal.organisation)
    return [(row, count) for row, count in found if covers(principal.prefixes, row.path)]


def get_model(session: Session, principal: Principal, name: ModelName) -> ModelRow:
    """A model. Raises NotFound."""
    row = queries.model(session, principal.organisation, name.prefix, name.name)
    if row is None or not covers(principal.prefixes, name.prefix):
        raise NotFound(f"There is no model {name.path!r}. See `modelyard model list`.")
    return row


def list_models(session: Session, principal: Principal, prefix: str | None, paging: Paging) -> Rows:
    """The models that the caller may see, newest first."""
    if prefix is not None:
        check(principal, "read", prefix=prefix)
    return queries.models(session, principal.organisation, prefix, principal.prefixes, paging)


def versions(session: Session, model: ModelRow) -> Sequence[VersionRow]:
    """A model's versions, newest first."""
    return queries.versions(session, model.id)


def get_version(session: Session, principal: Principal, name: ModelName) -> Found:
    """The version that a name selects: `vN`, `latest` (or none), `production`, `staging`. Raises NotFound."""
    model = get_model(session, principal, name)
    found = queries.versions(session, model.id)
    selected = _select(found, name.selector)
    if selected is None:
        there = ", ".join(f"v{row.number}" for row in reversed(found)) or "none yet"
        raise NotFound(f"{name.path} has no version {name.selector or 'at all'}. There are: {there}.")
    return Found(selected, model)


def versions_by_id(session: Session, version_ids: Sequence[str]) -> dict[str, Found]:
    """Versions with their models, by id; for those that keep ids of versions."""
    return {version.id: Found(version, model) for version, model in queries.versions_by_id(session, version_ids)}


def stages(session: Session) -> dict[str, Stage]:
    """The versions that bear a stage, by id."""
    return queries.stages(session)


def delete_version(session: Session, principal: Principal, name: ModelName) -> str:
    """Forget a version; the object-store prefix to be removed. Its number is not given again. Raises InUse."""
    check(principal, "write", prefix=name.prefix)
    found = get_version(session, principal, name)
    _refuse_if_held(session, name_of(found.model, found.version), [found.version])
    session.delete(found.version)
    return found.version.folder


def set_stage(session: Session, principal: Principal, name: ModelName, stage: Stage | None) -> Found:
    """Give a version a stage, taking it from the one that had it. Raises NotFound."""
    check(principal, "write", prefix=name.prefix)
    found = get_version(session, principal, name)
    for other in queries.versions(session, found.model.id):
        if other.stage == stage:
            other.stage = None
    found.version.stage = stage
    return found


def delete_model(session: Session, principal: Principal, name: ModelName) -> list[str]:
    """Forget a model and its versions; the object-store prefixes that are to be removed. Raises InUse."""
    check(principal, "write", prefix=name.prefix)
    row = get_model(session, principal, name)
    found = queries.versions(session, row.id)
    _refuse_if_held(session, name.path, found)
    for version in found:
        session.delete(version)
    session.flush()
    session.delete(row)
    return [version.folder for version in found]


def hold(session: Session, holder: str, version_ids: Sequence[str]) -> None:
    """Make `holder` (as a message names it) need exactly these versions: they cannot be deleted until it lets go."""
    queries.drop_holds(session, holder)
    session.add_all(HoldRow(version=version_id, holder=holder) for version_id in sorted(set(version_ids)))
    session.flush()


def held_version(found: Found, slot: int) -> HeldVersion:
    """A version as those who hold it are told of it."""
    version, model = found
    return HeldVersion(
        slot=slot,
        prefix=model.prefix,
        model=model.name,
        number=version.number,
        folder=version.folder,
        checksum=version.checksum,
    )


def signature_of(version: VersionRow) -> Signature:
    """A version's signature."""
    return msgspec.convert(version.signature, Signature)


def name_of(model: ModelRow, version: VersionRow | None = None) -> str:
    """`prefix/model` or `prefix/model/vN`."""
    path = f"{model.prefix}/{model.name}"
    return f"{path}/v{version.number}" if version else path


def _refuse_if_held(session: Session, label: str, found: Sequence[VersionRow]) -> None:
    holders = queries.holders(session, [version.id for version in found])
    if holders:
        raise InUse(
            f"{label} is in use by {', '.join(holders)}. Delete or change that first.",
            detail={"used_by": list(holders)},
        )


def _select(found: Sequence[VersionRow], selector: str | None) -> VersionRow | None:
    if selector in {None, "latest"}:
        return next(iter(found), None)
    if selector in {"production", "staging"}:
        return next((row for row in found if row.stage == selector), None)
    number = int(str(selector).removeprefix("v"))
    return next((row for row in found if row.number == number), None)


__all__ = ["Found", "ModelName", "parse"]
