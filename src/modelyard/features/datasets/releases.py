"""Releases: taken, prepared by a job where tables are to be made, published, archived, deleted.

A release of files that nobody touched shares their objects and is published at once, as is a second one of the same
revision. The others wait for their job (worker/recipes/release.py), whose end publishes them.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy.orm import Session

from modelyard.core import ids
from modelyard.core.errors import InUse
from modelyard.features.auth.operations import Principal
from modelyard.features.datasets import held, operations, queries, users
from modelyard.features.datasets.errors import ColumnsDiffer, EmptyDataset, WrongState
from modelyard.features.datasets.held import Held
from modelyard.features.datasets.history import record_event
from modelyard.features.datasets.merging import merged
from modelyard.features.datasets.tables import DatasetRow, ReleaseRow, SampleRow
from modelyard.features.jobs import operations as jobs
from modelyard.features.jobs.operations import JobRow
from modelyard.protocol.releases import ReleasePart, ReleaseSpec
from modelyard.storage.db.engine import now as db_now
from modelyard.web.platform import Platform

JOB = "release"
_FAMILIES = {
    "BIGINT": "numbers",
    "DOUBLE": "numbers",
    "DATE": "dates",
    "TIMESTAMP": "dates",
    "BOOLEAN": "true or false",
}


def take(platform: Platform, principal: Principal, key: str, note: str) -> ReleaseRow:
    """Take a release of a dataset as it is now. Raises EmptyDataset, ColumnsDiffer, NotFound."""
    return _take(platform, principal, key, note, None)


def retry(platform: Platform, principal: Principal, key: str, number: int) -> ReleaseRow:
    """Make a release that failed again, of the dataset as it is now. Raises WrongState, NotFound."""
    return _take(platform, principal, key, None, number)


def _take(platform: Platform, principal: Principal, key: str, note: str | None, number: int | None) -> ReleaseRow:
    for _ in range(held.TRIES):
        with platform.database.session(read_only=True) as session:
            found = held.read(session, principal, key)
            release = ids.new("rel") if number is None else operations.find_release(session, principal, key, number).id
        _check(found)
        spec = _spec(found, release)
        if spec.edits is not None:
            platform.objects.put(spec.edits, msgspec.json.encode(found.edits))
        profile = merged([sample.profile for sample in found.samples]) if _untouched(spec) else {}
        with platform.database.session() as session:
            dataset = held.unchanged(session, found)
            if dataset is not None:
                return _begin(session, principal, dataset, spec, profile, note, number)
        if spec.edits is not None:
            platform.objects.delete(spec.edits)
    raise held.changed_meanwhile(found)


def _begin(
    session: Session,
    principal: Principal,
    dataset: DatasetRow,
    spec: ReleaseSpec,
    profile: dict[str, Any],
    note: str | None,
    number: int | None,
) -> ReleaseRow:
    row = _row(session, principal, dataset, spec, note, number)
    same = next((one for one in _newest(session, dataset) if one is not row and one.revision == row.revision), None)
    if same is not None:
        _publish(session, dataset, row, same.manifest, same.profile)
    elif _untouched(spec):
        _publish(session, dataset, row, [_as_it_is(part) for part in spec.parts], profile)
    else:
        title = f"Prepare release {row.number} of {dataset.name}"
        job = jobs.enqueue(session, principal, kind=JOB, title=title, payload=msgspec.to_builtins(spec))
        row.job, row.state = job.id, "preparing"
        record_event(session, dataset, principal.user, "release begun", _named(row), db_now(session))
    session.flush()
    return row


def _row(
    session: Session,
    principal: Principal,
    dataset: DatasetRow,
    spec: ReleaseSpec,
    note: str | None,
    number: int | None,
) -> ReleaseRow:
    """The row of a new release, or of one that is tried again."""
    now = db_now(session)
    if number is None:
        row = ReleaseRow(
            id=spec.release,
            dataset=dataset.id,
            number=(queries.latest_number(session, dataset.id) or 0) + 1,
            note=note or "",
            **principal.stamp(now),
        )
        session.add(row)
    else:
        row = operations.find_release(session, principal, dataset.id, number)
        if row.state != "failed":
            raise WrongState(
                f"Release {number} of {dataset.name} is {row.state}; only one that failed can be tried again. "
                f"Take a new one: `modelyard dataset release {dataset.name}`.",
                detail={"state": row.state},
            )
    target = {"target": dataset.target} if dataset.target is not None else {}
    row.state, row.manifest, row.checksum, row.profile, row.failure, row.job = "preparing", [], "", {}, None, None
    row.rows, row.revision, row.roles = 0, dataset.revision, {**target, **dataset.roles}
    session.flush()
    return row


def _newest(session: Session, dataset: DatasetRow) -> list[ReleaseRow]:
    """The published releases, newest first."""
    found = queries.all_releases(session, dataset.id)
    return [row for row in reversed(found) if row.state == "published"][:1]


def _publish(
    session: Session, dataset: DatasetRow, row: ReleaseRow, manifest: list[dict[str, Any]], profile: dict[str, Any]
) -> None:
    now = db_now(session)
    row.state, row.manifest, row.profile, row.checksum = "published", manifest, profile, _checksum(manifest)
    row.rows, row.published_at, row.failure = sum(entry["rows"] for entry in manifest), now, None
    record_event(session, dataset, row.created_by, "release published", _named(row) | {"rows": row.rows}, now)


def job_ended(session: Session, job: JobRow) -> None:
    """Publish the release that a job prepared, or say why it could not be made."""
    row = queries.release_of_job(session, job.id)
    if row is None or row.state != "preparing":
        return
    dataset = queries.locked(session, row.dataset)
    assert dataset is not None  # one with releases is never deleted
    if job.state == "succeeded" and job.result is not None:
        spec = msgspec.convert(job.payload, ReleaseSpec)
        profiles = [
            sample.profile for part in spec.parts if part.untouched and (sample := session.get(SampleRow, part.sample))
        ]
        made = [job.result["profile"]] if job.result["profile"] else []
        entries = job.result["entries"]
        job.result = {"release": f"{dataset.name}@{row.number}"}
        if any(entry["purpose"] == "training" for entry in entries):
            _publish(session, dataset, row, entries, merged([*profiles, *made]))
            return
        _fail(session, dataset, row, {"code": EmptyDataset.code, "message": _no_training(dataset.name)})
        return
    stopped = {"code": "job_stopped", "message": "The job that prepared it was stopped. Try it again."}
    _fail(session, dataset, row, job.failure or stopped)


def _fail(session: Session, dataset: DatasetRow, row: ReleaseRow, failure: dict[str, Any]) -> None:
    row.state, row.failure = "failed", failure
    detail = _named(row) | {"message": failure["message"]}
    record_event(session, dataset, row.created_by, "release failed", detail, db_now(session))


def archive(session: Session, principal: Principal, key: str, number: int, now: datetime) -> ReleaseRow:
    """Put a published release away: it is no longer offered for training. Raises WrongState, NotFound."""
    return _move(session, principal, key, number, "published", "archived", now)


def restore(session: Session, principal: Principal, key: str, number: int, now: datetime) -> ReleaseRow:
    """Take an archived release out again. Raises WrongState, NotFound."""
    return _move(session, principal, key, number, "archived", "published", now)


def _move(
    session: Session, principal: Principal, key: str, number: int, before: Any, after: Any, now: datetime
) -> ReleaseRow:
    row = operations.find_release(session, principal, key, number)
    if row.state != before:
        raise WrongState(
            f"Release {number} of {key} is {row.state}; only one that is {before} can become {after}.",
            detail={"state": row.state},
        )
    row.state = after
    dataset = operations.get(session, principal, key)
    action = "release archived" if after == "archived" else "release restored"
    record_event(session, dataset, principal.user, action, _named(row), now)
    return row


def delete(platform: Platform, principal: Principal, key: str, number: int) -> None:
    """Delete a release that was archived or failed, with the objects that nothing else needs.

    Raises InUse, naming who uses it, WrongState, NotFound.
    """
    with platform.database.session(read_only=True) as session:
        dataset = operations.get(session, principal, key)
    blobs = [info.key for info in platform.objects.list(f"datasets/{dataset.id}/blobs")]
    with platform.database.session() as session:
        prefixes, needed = _forget(session, principal, key, number, platform.clock.now())
    for prefix in prefixes:
        platform.objects.delete_all(prefix)
    for blob in set(blobs) - needed:
        platform.objects.delete(blob)


def _forget(session: Session, principal: Principal, key: str, number: int, now: datetime) -> tuple[list[str], set[str]]:
    """(prefixes to be removed, objects of other releases that stay)."""
    row = operations.find_release(session, principal, key, number)
    dataset = queries.locked(session, row.dataset)
    assert dataset is not None  # its release was found a moment ago, in this transaction
    _refuse_if_needed(session, dataset, row)
    session.delete(row)
    session.flush()
    left = queries.all_releases(session, dataset.id)
    kept = {entry["sample"] for release in left for entry in release.manifest}
    gone = [
        sample
        for sample in queries.samples_in_any_state(session, dataset.id)
        if sample.state == "removed" and sample.id not in kept
    ]
    queries.delete_edits(session, [sample.id for sample in gone])
    for sample in gone:
        session.delete(sample)
    record_event(session, dataset, principal.user, "release deleted", {"number": number}, now)
    prefixes = [f"datasets/{dataset.id}/releases/{row.id}", *(operations.sample_folder(sample) for sample in gone)]
    needed = {entry.get(name, "") for release in left for entry in release.manifest for name in ("table", "original")}
    return prefixes, needed


def _refuse_if_needed(session: Session, dataset: DatasetRow, row: ReleaseRow) -> None:
    uses = users.of_release(session, row.id)
    if uses:
        more = f" and {len(uses) - 10} more" if len(uses) > 10 else ""
        raise InUse(
            f"Release {row.number} of {dataset.name} is in use by {', '.join(uses[:10])}{more}. Delete those first.",
            detail={"used_by": uses},
        )
    if row.state not in {"archived", "failed"}:
        step = "Wait for its job or stop it" if row.state == "preparing" else "Archive it first"
        raise WrongState(
            f"Release {row.number} of {dataset.name} is {row.state}; only one that is archived or failed can be "
            f"deleted. {step}.",
            detail={"state": row.state},
        )
    preparing = [one.number for one in queries.all_releases(session, dataset.id) if one.state == "preparing"]
    if preparing:
        raise InUse(
            f"Release {preparing[0]} of {dataset.name} is being prepared and may share data with this one. Wait for "
            "it, then delete."
        )


def _check(found: Held) -> None:
    name = found.dataset.name
    if not found.counts["training"]:
        raise EmptyDataset(_no_training(name))
    _check_columns([sample for sample in found.samples if sample.rows])


def _no_training(name: str) -> str:
    return (
        f"{name} has no training rows. Upload some: `modelyard dataset upload {name} FILE`, or give rows the purpose "
        f"training: `modelyard dataset split {name}`."
    )


def _check_columns(samples: Sequence[SampleRow]) -> None:
    """Raises ColumnsDiffer where files have not the same columns, or what no type can hold together."""
    first = samples[0]
    expected = {column["name"]: column for column in first.profile["columns"]}
    for sample in samples[1:]:
        found = {column["name"]: column for column in sample.profile["columns"]}
        missing, more = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
        if missing or more:
            told = [f"lacks {', '.join(missing[:5])}"] * bool(missing)
            told += [f"has {', '.join(more[:5])} besides"] * bool(more)
            raise ColumnsDiffer(
                f"{sample.filename} {' and '.join(told)}, compared with {first.filename}. "
                "All files of a table need the same columns.",
                detail={"missing": missing, "unexpected": more, "sample": sample.id},
            )
        for name, column in found.items():
            _check_types(first, expected[name], sample, column)


def _check_types(first: SampleRow, one: dict[str, Any], sample: SampleRow, other: dict[str, Any]) -> None:
    # Text takes anything, and a column without values is anything.
    kinds = [_FAMILIES.get(column["type"]) for column in (one, other)]
    if None in kinds or kinds[0] == kinds[1] or not one["distinct"] or not other["distinct"]:
        return
    raise ColumnsDiffer(
        f"The column {one['name']!r} holds {kinds[1]} in {sample.filename} and {kinds[0]} in {first.filename}. "
        "Correct the one that is wrong and upload it again.",
        detail={"column": one["name"], "sample": sample.id},
    )


def _spec(found: Held, release: str) -> ReleaseSpec:
    dataset = found.dataset
    parts = tuple(
        ReleasePart(
            sample=sample.id,
            filename=sample.filename,
            purpose=sample.purpose,  # type: ignore[arg-type]  # written only as one of the three
            size=sample.size,
            sha256=sample.sha256,
            rows=int(sample.profile["rows"]),
            table=sample.table,
            original=sample.original,
            purposes=sample.purposes,
            edited=sample.id in found.edits,
        )
        for sample in found.samples
    )
    return ReleaseSpec(
        release=release,
        blobs=f"datasets/{dataset.id}/blobs",
        parts=parts,
        edits=f"datasets/{dataset.id}/releases/{release}/edits.json" if found.edits else None,
        lines=dataset.scenario == "log-clustering",
    )


def _untouched(spec: ReleaseSpec) -> bool:
    return all(part.untouched for part in spec.parts)


def _as_it_is(part: ReleasePart) -> dict[str, Any]:
    names = ("sample", "filename", "purpose", "size", "sha256", "rows", "table", "original")
    return {name: getattr(part, name) for name in names}


def _named(row: ReleaseRow) -> dict[str, Any]:
    return {"number": row.number, "note": row.note}


def _checksum(manifest: list[dict[str, Any]]) -> str:
    content = [(entry["filename"], entry["purpose"], entry["sha256"]) for entry in manifest]
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()
