"""What the platform does with datasets. Uploads, which take long, are in `intake.py`."""

import hashlib
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy.orm import Session

from modelyard.algorithms import registry as algorithms
from modelyard.core import ids
from modelyard.core.errors import InUse, NotFound
from modelyard.features.auth.operations import Principal
from modelyard.features.datasets import queries
from modelyard.features.datasets.errors import ColumnsDiffer, EmptyDataset, NameTaken, WrongScenario
from modelyard.features.datasets.schemas import DatasetCreate, DatasetUpdate, Purpose
from modelyard.features.datasets.tables import DatasetRow, ReleaseRow, SampleRow
from modelyard.protocol.jobs import TableInput
from modelyard.storage.db.paging import Paging, Rows


def create(session: Session, principal: Principal, wanted: DatasetCreate, now: datetime) -> DatasetRow:
    """A new, empty dataset. Raises NameTaken, WrongScenario."""
    scenarios = [scenario.name for scenario in algorithms.scenarios()]
    if wanted.scenario not in scenarios:
        raise WrongScenario(f"There is no scenario {wanted.scenario!r}. Choose one of: {', '.join(scenarios)}.")
    if queries.dataset(session, principal.organisation, wanted.name) is not None:
        raise NameTaken(f"There is a dataset {wanted.name!r} already. Choose another name, or upload into that one.")
    row = DatasetRow(
        id=ids.new("ds"),
        **wanted.model_dump(),
        **principal.stamp(now),
    )
    session.add(row)
    session.flush()
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
    own = {name: getattr(row, name) for name in ("id", "name", "scenario", "description", "target")}
    made = {"created_at": row.created_at, "created_by": row.created_by}
    latest = queries.latest_number(session, row.id)
    return {**own, **made, "samples": samples, "rows": rows, "size": size, "latest_release": latest}


def update(session: Session, principal: Principal, key: str, wanted: DatasetUpdate) -> DatasetRow:
    """Change a dataset's description or target. Raises NotFound."""
    row = get(session, principal, key)
    for name, value in wanted.model_dump(exclude_unset=True).items():
        if value is not None or name == "target":
            setattr(row, name, value)
    return row


def delete(session: Session, principal: Principal, key: str) -> list[str]:
    """Delete a dataset without releases; the object-store prefixes that are to be removed. Raises InUse, NotFound."""
    row = get(session, principal, key)
    released = queries.all_releases(session, row.id)
    if released:
        numbers = ", ".join(f"release {release.number}" for release in released)
        raise InUse(
            f"{row.name} has {numbers}: published data cannot be destroyed.", detail={"releases": len(released)}
        )
    samples = queries.all_samples(session, row.id)
    prefixes = [sample_folder(sample) for sample in samples]
    for sample in samples:
        session.delete(sample)
    session.flush()
    session.delete(row)
    return prefixes


def begin_sample(
    session: Session, principal: Principal, dataset: DatasetRow, filename: str, purpose: Purpose, now: datetime
) -> SampleRow:
    """The row of a file that is about to arrive; nobody sees it before `complete_sample`."""
    row = SampleRow(
        id=ids.new("smp"),
        dataset=dataset.id,
        filename=filename,
        purpose=purpose,
        state="importing",
        size=0,
        sha256="",
        rows=0,
        profile={},
        **principal.stamp(now),
    )
    session.add(row)
    session.flush()
    return row


def complete_sample(session: Session, sample_id: str, *, size: int, sha256: str, profile: dict[str, Any]) -> SampleRow:
    """Make an arrived file visible. Raises NotFound where its dataset went meanwhile."""
    row = session.get(SampleRow, sample_id)
    if row is None:
        raise NotFound("The dataset was deleted while the file was arriving.")
    row.state, row.size, row.sha256, row.profile = "ready", size, sha256, profile
    row.rows = int(profile["rows"])
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
        raise NotFound(f"{key} has no sample {sample_id!r}.")
    return row


def samples(session: Session, principal: Principal, key: str, paging: Paging) -> Rows:
    """A dataset's samples, newest first. Raises NotFound."""
    return queries.samples(session, get(session, principal, key).id, paging)


def set_purpose(session: Session, principal: Principal, key: str, sample_id: str, purpose: Purpose) -> SampleRow:
    """Change what a sample is for. Raises NotFound."""
    row = sample(session, principal, key, sample_id)
    row.purpose = purpose
    return row


def delete_sample(session: Session, principal: Principal, key: str, sample_id: str) -> list[str]:
    """Take a sample out of its dataset; the object-store prefixes that are to be removed, none while a release has
    it."""
    row = sample(session, principal, key, sample_id)
    released = queries.all_releases(session, row.dataset)
    if any(entry["sample"] == sample_id for release in released for entry in release.manifest):
        row.state = "removed"
        return []
    session.delete(row)
    return [sample_folder(row)]


def release(session: Session, principal: Principal, key: str, note: str, now: datetime) -> ReleaseRow:
    """Take a release of a dataset as it is.

    The objects are shared, never copied. Raises EmptyDataset, ColumnsDiffer.
    """
    dataset = get(session, principal, key)
    found = queries.all_samples(session, dataset.id)
    if not any(row.purpose == "training" for row in found):
        raise EmptyDataset(
            f"{dataset.name} has no training samples. Upload some: `modelyard dataset upload {dataset.name} FILE`."
        )
    _check_columns(found)
    manifest = [
        {
            "sample": row.id,
            "filename": row.filename,
            "purpose": row.purpose,
            "size": row.size,
            "sha256": row.sha256,
            "rows": row.rows,
            "folder": sample_folder(row),
        }
        for row in found
    ]
    made = ReleaseRow(
        id=ids.new("rel"),
        dataset=dataset.id,
        number=(queries.latest_number(session, dataset.id) or 0) + 1,
        state="published",
        note=note,
        manifest=manifest,
        checksum=_checksum(manifest),
        rows=sum(row.rows for row in found),
        published_at=now,
        **principal.stamp(now),
    )
    session.add(made)
    session.flush()
    return made


def get_release(session: Session, principal: Principal, key: str, number: int | None = None) -> ReleaseRow:
    """A release of a dataset by number, the newest where none is given. Raises NotFound."""
    dataset = get(session, principal, key)
    number = number if number is not None else queries.latest_number(session, dataset.id)
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
        TableInput(key=f"{entry['folder']}/table.parquet", purpose=entry["purpose"], rows=entry["rows"])
        for entry in release.manifest
    )


def profile_of(session: Session, release: ReleaseRow) -> dict[str, Any]:
    """The profile of a release's largest training file: what a plan is made from."""
    entries = [entry for entry in release.manifest if entry["purpose"] == "training"]
    largest = max(entries, key=lambda entry: int(entry["rows"]))
    row = session.get(SampleRow, largest["sample"])
    assert row is not None  # a sample that a release holds is never deleted
    return row.profile


def columns_of(profile: dict[str, Any]) -> list[str]:
    """The column names of a profile, in order."""
    return [column["name"] for column in profile["columns"]]


def sample_folder(row: SampleRow) -> str:
    """Where a sample's objects lie: `original` and `table.parquet`."""
    return f"datasets/{row.dataset}/{row.id}"


def _check_columns(rows: Any) -> None:
    first = rows[0]
    expected = set(columns_of(first.profile))
    for row in rows[1:]:
        found = set(columns_of(row.profile))
        if found != expected:
            missing, more = sorted(expected - found), sorted(found - expected)
            told = [f"lacks {', '.join(missing[:5])}"] * bool(missing) + [f"has {', '.join(more[:5])} besides"] * bool(
                more
            )
            raise ColumnsDiffer(
                f"{row.filename} {' and '.join(told)}, compared with {first.filename}. "
                "All files of a table need the same columns.",
                detail={"missing": missing, "unexpected": more, "sample": row.id},
            )


def _checksum(manifest: list[dict[str, Any]]) -> str:
    content = [(entry["filename"], entry["purpose"], entry["sha256"]) for entry in manifest]
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()
