"""What the platform does with datasets and their samples, and what other features ask of releases.

Uploads are in `intake.py` and `uploads.py`, rows in `rows.py` and `editing.py`, taking releases in `releases.py`.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from modelyard.algorithms import registry as algorithms
from modelyard.core import ids
from modelyard.core.errors import InUse, NotFound
from modelyard.features.auth.operations import Principal
from modelyard.features.datasets import queries, roles
from modelyard.features.datasets.errors import NameTaken, WrongScenario, WrongState
from modelyard.features.datasets.history import record_change, record_event
from modelyard.features.datasets.schemas import DatasetCreate, DatasetUpdate, Purpose
from modelyard.features.datasets.tables import DatasetRow, ReleaseRow, SampleRow
from modelyard.features.jobs import operations as jobs
from modelyard.features.jobs.errors import JobOver
from modelyard.protocol.jobs import TableInput
from modelyard.storage.db.engine import now as db_now
from modelyard.storage.db.paging import Paging, Rows

__all__ = [
    "add_sample", "begin_sample", "columns_of", "complete_sample", "create", "delete", "delete_sample", "describe",
    "discard_sample", "drop_sample", "find_release", "get", "get_release", "list_all", "profile_of", "record_change",
    "record_event", "release_by_id", "releases", "roles_of", "sample", "sample_folder", "samples", "set_purpose",
    "tables_of", "update",
]  # fmt: skip

_UNUSABLE = {
    "preparing": "{release} is still being prepared. Wait for its job, then use it.",
    "archived": "{release} is archived. Restore it (`modelyard dataset restore {release}`), or use another release.",
    "failed": "{release} could not be made. Retry it, or use another release.",
}


def create(session: Session, principal: Principal, wanted: DatasetCreate, now: datetime) -> DatasetRow:
    """A new, empty dataset. Raises NameTaken, WrongScenario."""
    scenarios = [scenario.name for scenario in algorithms.scenarios()]
    if wanted.scenario not in scenarios:
        raise WrongScenario(f"There is no scenario {wanted.scenario!r}. Choose one of: {', '.join(scenarios)}.")
    if queries.dataset(session, principal.organisation, wanted.name) is not None:
        raise NameTaken(f"There is a dataset {wanted.name!r} already. Choose another name, or upload into that one.")
    row = DatasetRow(id=ids.new("ds"), revision=0, **wanted.model_dump(), **principal.stamp(now))
    session.add(row)
    session.flush()
    record_event(session, row, principal.user, "dataset created", {"scenario": row.scenario}, now)
    return row


def get(session: Session, principal: Principal, key: str) -> DatasetRow:
    """A dataset by id or name. Raises NotFound."""
    row = queries.dataset(session, principal.organisation, key)
    if row is None:
        raise NotFound(f"There is no dataset {key!r}. See `modelyard dataset list`.")
    return row


def list_all(session: Session, principal: Principal, scenario: str | None, paging: Paging) -> Rows:
    """The datasets, newest first."""
    return queries.datasets(session, principal.organisation, scenario, paging)


def describe(session: Session, row: DatasetRow) -> dict[str, Any]:
    """A dataset as schemas.Dataset wants it, with its sums."""
    samples, rows, size = queries.sums(session, row.id)
    names = ("id", "name", "scenario", "description", "target", "roles", "revision", "created_at", "created_by")
    sums = {"samples": samples, "rows": rows, "size": size, "counts": summed(queries.counts(session, row.id))}
    latest = queries.latest_number(session, row.id, "published")
    return {name: getattr(row, name) for name in names} | sums | {"latest_release": latest}


def summed(counts: Sequence[dict[str, int]]) -> dict[str, int]:
    """Rows by purpose, over several samples."""
    purposes = ("training", "validation", "test")
    return {purpose: sum(count.get(purpose, 0) for count in counts) for purpose in purposes}


def update(session: Session, principal: Principal, key: str, wanted: DatasetUpdate, now: datetime) -> DatasetRow:
    """Change a dataset's description, target or roles. Raises NotFound, and Invalid for a column that is not there."""
    row = queries.locked(session, get(session, principal, key).id)
    assert row is not None  # found a moment ago, in this transaction
    given = wanted.model_dump(exclude_unset=True)
    changed = {name: given[name] for name in ("target", "roles") if name in given and given[name] != getattr(row, name)}
    if given.get("description") is not None:
        row.description = given["description"]
    if not changed:
        return row
    samples = queries.all_samples(session, row.id)
    target, named = changed.get("target", row.target), changed.get("roles", row.roles) or {}
    if samples:
        roles.check(row.scenario, target, named, samples[0].profile)
    row.target, row.roles = target, named
    record_change(session, row, principal.user, "roles changed", {"target": target, "roles": named}, now)
    return row


def delete(session: Session, principal: Principal, key: str) -> list[str]:
    """Delete a dataset without releases; the object-store prefixes that are to be removed. Raises InUse, NotFound."""
    row = get(session, principal, key)
    released = queries.all_releases(session, row.id)
    if released:
        numbers = ", ".join(f"release {release.number} ({release.state})" for release in released[:10])
        raise InUse(
            f"{row.name} has {numbers}: published data cannot be destroyed. Delete the releases first.",
            detail={"releases": len(released)},
        )
    uploads = queries.uploads(session, row.id)
    for job in (upload.options.get("job") for upload in uploads if upload.state == "importing"):
        with suppress(JobOver, NotFound):
            jobs.stop(session, principal, str(job))
    prefixes = [f"datasets/{row.id}", *(f"uploads/{upload.id}" for upload in uploads)]
    samples = queries.samples_in_any_state(session, row.id)
    queries.delete_edits(session, [sample.id for sample in samples])
    queries.delete_changes(session, row.id)
    for gone in (*samples, *uploads):
        session.delete(gone)
    session.flush()
    session.delete(row)
    return prefixes


def begin_sample(
    session: Session, principal: Principal, dataset: DatasetRow, filename: str, purpose: Purpose, now: datetime
) -> SampleRow:
    """The row of a file that is about to arrive; nobody sees it before `complete_sample`."""
    row = _sample_row(dataset, ids.new("smp"), filename, purpose, principal.stamp(now))
    session.add(row)
    session.flush()
    return row


def complete_sample(
    session: Session,
    sample_id: str,
    *,
    size: int,
    sha256: str,
    profile: dict[str, Any],
    original: str | None = None,
    table: str | None = None,
    problems: Sequence[Any] = (),
) -> SampleRow:
    """Make an arrived file visible. Raises NotFound where its dataset went meanwhile."""
    row = session.get(SampleRow, sample_id)
    dataset = queries.locked(session, row.dataset) if row is not None else None
    if row is None or dataset is None:
        raise NotFound("The dataset was deleted while the file was arriving.")
    row.size, row.sha256, row.profile, row.problems = size, sha256, profile, list(problems)
    row.original = original or f"{sample_folder(row)}/original"
    row.table = table or f"{sample_folder(row)}/table.parquet"
    _show(session, dataset, row, db_now(session))
    return row


def add_sample(
    session: Session,
    dataset: DatasetRow,
    *,
    sample_id: str,
    filename: str,
    purpose: Purpose,
    size: int,
    sha256: str,
    profile: dict[str, Any],
    original: str,
    table: str,
    problems: Sequence[Any],
    created_by: str,
    organisation: str,
    now: datetime,
) -> SampleRow:
    """A sample whose objects are there already, such as one of an archive's."""
    owned = {"created_by": created_by, "organisation": organisation, "created_at": now}
    row = _sample_row(dataset, sample_id, filename, purpose, owned)
    row.size, row.sha256, row.profile, row.problems = size, sha256, profile, list(problems)
    row.original, row.table = original, table
    session.add(row)
    _show(session, queries.locked(session, dataset.id) or dataset, row, now)
    return row


def discard_sample(session: Session, sample_id: str) -> None:
    """Forget a file that did not arrive whole."""
    row = session.get(SampleRow, sample_id)
    if row is not None and row.state == "importing":
        session.delete(row)


def sample(session: Session, principal: Principal, key: str, sample_id: str) -> SampleRow:
    """A sample of a dataset. Raises NotFound."""
    row = queries.sample(session, get(session, principal, key).id, sample_id)
    if row is None:
        raise NotFound(f"{key} has no sample {sample_id!r}. See `modelyard dataset show {key}`.")
    return row


def samples(session: Session, principal: Principal, key: str, purpose: Purpose | None, paging: Paging) -> Rows:
    """A dataset's samples, newest first; those with rows of one purpose where one is named. Raises NotFound."""
    return queries.samples(session, get(session, principal, key).id, purpose, paging)


def set_purpose(
    session: Session, principal: Principal, key: str, sample_id: str, purpose: Purpose, now: datetime
) -> SampleRow:
    """Change what all rows of a sample are for. Raises NotFound."""
    dataset, row = _to_change(session, principal, key, sample_id)
    if row.purpose == purpose and row.purposes is None:
        return row
    row.purpose, row.purposes, row.counts = purpose, None, {purpose: row.rows}
    detail = {"sample": row.id, "filename": row.filename, "purpose": purpose, "rows": row.rows}
    record_change(session, dataset, principal.user, "purpose set", detail, now)
    return row


def delete_sample(session: Session, principal: Principal, key: str, sample_id: str, now: datetime) -> list[str]:
    """Take a sample out of its dataset; the object-store prefixes that are to be removed, none while a release has it.

    Raises InUse while a release that needs it is being prepared.
    """
    dataset, row = _to_change(session, principal, key, sample_id)
    return drop_sample(session, dataset, row.id, principal.user, now)


def drop_sample(session: Session, dataset: DatasetRow, sample_id: str, user: str, now: datetime) -> list[str]:
    """The same for a sample that is deleted, or replaced by another. Raises InUse, NotFound."""
    row = queries.sample(session, dataset.id, sample_id)
    if row is None:
        raise NotFound(f"{dataset.name} has no sample {sample_id!r}. See `modelyard dataset show {dataset.name}`.")
    released = queries.all_releases(session, dataset.id)
    preparing = [release.number for release in released if release.state == "preparing"]
    if preparing:
        raise InUse(
            f"Release {preparing[0]} of {dataset.name} is being prepared and needs {row.filename}. Wait for it, then "
            "delete the file.",
            detail={"release": preparing[0]},
        )
    detail = {"sample": row.id, "filename": row.filename, "rows": row.rows}
    record_change(session, dataset, user, "sample removed", detail, now)
    if any(entry["sample"] == sample_id for release in released for entry in release.manifest):
        row.state = "removed"
        return []
    queries.delete_edits(session, [row.id])
    session.delete(row)
    session.flush()
    return [sample_folder(row)]


def get_release(session: Session, principal: Principal, key: str, number: int | None = None) -> ReleaseRow:
    """A published release of a dataset by number, the newest where none is given. Raises NotFound, WrongState."""
    row = find_release(session, principal, key, number)
    if row.state != "published":
        raise WrongState(_UNUSABLE[row.state].format(release=f"{key}@{row.number}"), detail={"state": row.state})
    return row


def find_release(session: Session, principal: Principal, key: str, number: int | None = None) -> ReleaseRow:
    """A release of a dataset in whatever state, the newest that is published where no number is given.

    Raises NotFound.
    """
    dataset = get(session, principal, key)
    if number is None:
        number = queries.latest_number(session, dataset.id, "published")
    row = queries.release(session, dataset.id, number) if number is not None else None
    if row is None:
        wanted = f"no release {number}" if number is not None else "no release yet"
        raise NotFound(f"{dataset.name} has {wanted}. Take one: `modelyard dataset release {dataset.name}`.")
    return row


def release_by_id(session: Session, principal: Principal, release_id: str) -> ReleaseRow:
    """A release by its id. Raises NotFound."""
    row = queries.release_by_id(session, principal.organisation, release_id)
    if row is None:
        raise NotFound(f"There is no release {release_id!r}.")
    return row


def releases(session: Session, principal: Principal, key: str, paging: Paging) -> Rows:
    """A dataset's releases, newest first. Raises NotFound."""
    return queries.releases(session, get(session, principal, key).id, paging)


def tables_of(release: ReleaseRow) -> tuple[TableInput, ...]:
    """The canonical tables of a release, as a training run takes them."""
    return tuple(
        TableInput(
            key=entry.get("table") or f"{entry['folder']}/table.parquet", purpose=entry["purpose"], rows=entry["rows"]
        )
        for entry in release.manifest
    )


def roles_of(release: ReleaseRow) -> dict[str, str]:
    """What the columns of a release are, as they were when it was taken: `target`, `time`, `series`, `text`, …"""
    return {role: column for role, column in release.roles.items() if column}


def profile_of(session: Session, release: ReleaseRow) -> dict[str, Any]:
    """The profile of a release: what a plan is made from."""
    if release.profile:
        return release.profile
    # One of those that were taken before releases had profiles of their own.
    entries = [entry for entry in release.manifest if entry["purpose"] == "training"]
    largest = max(entries, key=lambda entry: int(entry["rows"]))
    row = session.get(SampleRow, largest["sample"])
    assert row is not None  # a sample that a release holds is never deleted
    return row.profile


def columns_of(profile: dict[str, Any]) -> list[str]:
    """The column names of a profile, in order."""
    return [column["name"] for column in profile["columns"]]


def sample_folder(row: SampleRow) -> str:
    """Where a sample's objects lie."""
    return f"datasets/{row.dataset}/{row.id}"


def _sample_row(
    dataset: DatasetRow, sample_id: str, filename: str, purpose: Purpose, owned: dict[str, Any]
) -> SampleRow:
    return SampleRow(
        id=sample_id,
        dataset=dataset.id,
        filename=filename,
        purpose=purpose,
        state="importing",
        size=0,
        sha256="",
        rows=0,
        profile={},
        original="",
        table="",
        counts={},
        problems=[],
        **owned,
    )


def _show(session: Session, dataset: DatasetRow, row: SampleRow, now: datetime) -> None:
    row.state, row.rows = "ready", int(row.profile["rows"])
    row.counts = {row.purpose: row.rows}
    session.flush()
    if len(queries.all_samples(session, dataset.id)) == 1:
        _infer_roles(dataset, row.profile)
    detail = {"sample": row.id, "filename": row.filename, "purpose": row.purpose, "rows": row.rows}
    record_change(session, dataset, row.created_by, "sample added", detail, now)


def _infer_roles(dataset: DatasetRow, profile: dict[str, Any]) -> None:
    """What nobody said is guessed from the first file; of a table the target is not: that is the builder's question."""
    told = roles.infer(dataset.scenario, profile)
    target, named = dataset.target or told.target, {**told.roles, **dataset.roles}
    taken = [target, *named.values()]
    if len(set(taken)) < len(taken):
        # A column that somebody named is not to be guessed to be something else as well.
        target, named = roles.completed(dataset.scenario, dataset.target, dataset.roles, profile)
    if not dataset.scenario.startswith("tabular-"):
        dataset.target = target
    dataset.roles = dict(named)


def _to_change(session: Session, principal: Principal, key: str, sample_id: str) -> tuple[DatasetRow, SampleRow]:
    dataset = queries.locked(session, get(session, principal, key).id)
    assert dataset is not None  # found a moment ago, in this transaction
    row = queries.sample(session, dataset.id, sample_id)
    if row is None:
        raise NotFound(f"{key} has no sample {sample_id!r}. See `modelyard dataset show {key}`.")
    return dataset, row
