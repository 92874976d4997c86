"""Changes of rows: their values, what they are for, whether they are there. Every change is in the history.

What is to be changed is worked out outside of any transaction and written where nobody else changed the dataset since.
"""

import io
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import insert
from sqlalchemy.orm import Session

from modelyard.core import ids
from modelyard.core.errors import TooLarge
from modelyard.features.auth.operations import Principal
from modelyard.features.datasets import filters, held, operations, queries
from modelyard.features.datasets.contents.view import PURPOSES, Edit
from modelyard.features.datasets.errors import BadValue
from modelyard.features.datasets.held import Held
from modelyard.features.datasets.history import record_change
from modelyard.features.datasets.reading import purposes_of, reader
from modelyard.features.datasets.schemas import RowsChanged, RowsUpdate
from modelyard.features.datasets.tables import RowEditRow, SampleRow
from modelyard.features.datasets.values import checked
from modelyard.storage.db.engine import now as db_now
from modelyard.web.platform import Platform

MOST_EDITED = 100_000
"""Rows whose values one request may change; purposes may be set for any number."""

Rows = Mapping[str, NDArray[np.int64]]
"""Row numbers by sample."""


class SampleChange(NamedTuple):
    """What becomes of one sample: a purpose for each row or its edits, where they are not None."""

    sample: SampleRow
    purposes: NDArray[np.uint8] | None = None
    edits: list[Edit] | None = None


class Change(NamedTuple):
    """What is to be written, how many rows that changes, and how the history tells it."""

    samples: list[SampleChange]
    changed: int
    action: str
    detail: dict[str, Any]


def update(platform: Platform, principal: Principal, key: str, wanted: RowsUpdate) -> RowsChanged:
    """Change the rows that are named. Raises BadFilter, BadValue, TooLarge, Changed, NotFound."""

    def work_out(found: Held) -> Change:
        rows = _named(found, wanted) if wanted.rows is not None else _fitting(platform, found, wanted)
        if wanted.purpose is not None:
            return _purposes(platform, found, rows, wanted.purpose)
        return _edits(found, rows, wanted.values, deleted=wanted.deleted)

    return apply(platform, principal, key, work_out)


def apply(platform: Platform, principal: Principal, key: str, work_out: Callable[[Held], Change]) -> RowsChanged:
    """Work out a change of a dataset and write it, again where somebody else was faster. Raises Changed."""
    for _ in range(held.TRIES):
        with platform.database.session(read_only=True) as session:
            found = held.read(session, principal, key)
        change = work_out(found)
        if not change.samples:
            return RowsChanged(changed=0, counts=found.counts, revision=found.dataset.revision)
        prepared = [_prepared(platform, found, one) for one in change.samples]
        with platform.database.session() as session:
            answer, unused = _write(session, principal, found, change, prepared)
        for array in unused:
            platform.objects.delete(array)
        if answer is not None:
            return answer
    raise held.changed_meanwhile(found)


class _Prepared(NamedTuple):
    """What is written of one sample; `array` is the key of its purposes, None where all rows have one."""

    sample: str
    purpose: str
    array: str | None
    counts: dict[str, int]
    edits: list[Edit] | None


def _prepared(platform: Platform, found: Held, change: SampleChange) -> _Prepared:
    """Puts the purposes of a sample into the object store where they are new and differ."""
    sample, purposes, edits = change
    array, purpose = sample.purposes, sample.purpose
    if purposes is not None and np.ptp(purposes):
        content = io.BytesIO()
        np.save(content, purposes, allow_pickle=False)
        array = f"datasets/{found.dataset.id}/{sample.id}/purposes-{ids.new('arr')}.npy"
        platform.objects.put(array, content.getvalue())
    elif purposes is not None:
        array, purpose = None, PURPOSES[int(purposes[0])]
    now = purposes_of(platform.objects, sample) if purposes is None else purposes
    counts = _counts(now, found.edits.get(sample.id, []) if edits is None else edits)
    return _Prepared(sample.id, purpose, array, counts, edits)


def _write(
    session: Session, principal: Principal, found: Held, change: Change, prepared: list[_Prepared]
) -> tuple[RowsChanged | None, list[str]]:
    """(the answer, None where the dataset is another by now; arrays that nobody needs)."""
    before = {sample.id: sample.purposes for sample in found.samples}
    dataset = held.unchanged(session, found)
    if dataset is None:
        return None, [one.array for one in prepared if one.array is not None and one.array != before[one.sample]]
    preparing = any(release.state == "preparing" for release in queries.all_releases(session, dataset.id))
    unused = []
    for one in prepared:
        row = session.get(SampleRow, one.sample)
        assert row is not None  # of the same revision
        if row.purposes is not None and row.purposes != one.array and not preparing:
            unused.append(row.purposes)
        row.purpose, row.purposes, row.counts = one.purpose, one.array, one.counts
        row.rows = sum(one.counts.values())
        if one.edits is not None:
            _save_edits(session, row.id, one.edits)
    record_change(session, dataset, principal.user, change.action, change.detail, db_now(session))
    session.flush()
    counts = operations.summed(queries.counts(session, dataset.id))
    return RowsChanged(changed=change.changed, counts=counts, revision=dataset.revision), unused


def _counts(purposes: NDArray[np.uint8], edits: list[Edit]) -> dict[str, int]:
    left = np.ones(len(purposes), bool)
    left[[edit.row for edit in edits if edit.deleted]] = False
    counts = np.bincount(purposes[left], minlength=len(PURPOSES))
    return {purpose: int(count) for purpose, count in zip(PURPOSES, counts, strict=True) if count}


def _save_edits(session: Session, sample: str, edits: list[Edit]) -> None:
    queries.delete_edits(session, [sample])
    rows = [{"sample": sample, "row": edit.row, "values": edit.values, "deleted": edit.deleted} for edit in edits]
    if rows:
        session.execute(insert(RowEditRow), rows)


def _named(found: Held, wanted: RowsUpdate) -> Rows:
    """The rows that are named by their ids. Raises BadValue for one that is not there."""
    samples = {sample.id: sample for sample in found.samples}
    gone = {sample: {edit.row for edit in edits if edit.deleted} for sample, edits in found.edits.items()}
    rows: dict[str, set[int]] = {}
    for row_id in wanted.rows or ():
        sample, _, number = row_id.partition(":")
        there = sample in samples and int(number) < int(samples[sample].profile["rows"])
        if not there or (wanted.deleted is not False and int(number) in gone.get(sample, ())):
            raise BadValue(
                f"{found.dataset.name} has no row {row_id!r}. List the rows again: they may have changed.",
                fields=[{"field": "rows", "message": f"no row {row_id!r}"}],
            )
        rows.setdefault(sample, set()).add(int(number))
    return {sample: np.array(sorted(numbers), np.int64) for sample, numbers in rows.items()}


def _fitting(platform: Platform, found: Held, wanted: RowsUpdate) -> Rows:
    """The rows that fit a filter."""
    assert wanted.where is not None  # one of both is given: see schemas.RowsUpdate
    if not found.samples:
        return {}
    with reader(platform, found) as opened:
        condition = filters.condition(opened.view, wanted.where)
        # Names in SQL are numbered and values are parameters.
        query = f"SELECT s, r FROM {opened.view.sql} WHERE {condition.sql} ORDER BY s, r"  # noqa: S608
        arrays = opened.arrays(query, condition.parameters)
    places, numbers = np.asarray(arrays["s"]), np.asarray(arrays["r"], np.int64)
    return {found.samples[place].id: numbers[places == place] for place in np.unique(places)}


def _purposes(platform: Platform, found: Held, rows: Rows, purpose: str) -> Change:
    changes, changed, code = [], 0, PURPOSES.index(purpose)
    for sample in found.samples:
        if sample.id not in rows:
            continue
        purposes = purposes_of(platform.objects, sample).copy()
        other = purposes[rows[sample.id]] != code
        if other.any():
            purposes[rows[sample.id]] = code
            changes.append(SampleChange(sample, purposes=purposes))
            changed += int(other.sum())
    return Change(changes, changed, "purpose set", {"purpose": purpose, "rows": changed})


def _edits(found: Held, rows: Rows, values: dict[str, Any] | None, *, deleted: bool | None) -> Change:
    total = sum(len(numbers) for numbers in rows.values())
    if total > MOST_EDITED:
        raise TooLarge(
            f"{total:,} rows would be changed; {MOST_EDITED:,} at a time may be. Narrow the filter, or upload a "
            "corrected file in place of this one."
        )
    changes = []
    for sample in found.samples:
        if sample.id in rows:
            new = _values(found, sample, values) if values is not None else None
            changes.append(SampleChange(sample, edits=_edited(found, sample, rows[sample.id], new, deleted=deleted)))
    action = "rows edited" if values is not None else "rows deleted" if deleted else "rows restored"
    detail: dict[str, Any] = {"rows": total}
    if values is not None:
        detail["columns"] = list(values)
    return Change(changes, total, action, detail)


def _edited(
    found: Held, sample: SampleRow, rows: NDArray[np.int64], values: dict[str, Any] | None, *, deleted: bool | None
) -> list[Edit]:
    """All edits of a sample after a change of some rows."""
    known = {edit.row: edit for edit in found.edits.get(sample.id, ())}
    for number in rows.tolist():
        old = known.get(number, Edit(number))
        merged = {**(old.values or {}), **values} if values is not None else old.values
        known[number] = Edit(number, merged, old.deleted if deleted is None else deleted)
    return [known[number] for number in sorted(known)]


def _values(found: Held, sample: SampleRow, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as the columns of a sample keep them. Raises BadValue."""
    types = {column["name"]: column["type"] for column in sample.profile["columns"]}
    allowed = _editable(found, list(types))
    for name in values:
        if name not in types:
            raise BadValue(
                f"{sample.filename} has no column {name!r}. It has {', '.join(list(types)[:20])}.",
                fields=[{"field": name, "message": "no such column"}],
            )
        if name not in allowed:
            which = f"Only {' and '.join(allowed)} can be" if allowed else "It has no label column; nothing can be"
            raise BadValue(
                f"The column {name!r} of data for {found.dataset.scenario} cannot be edited. {which}.",
                fields=[{"field": name, "message": "cannot be edited"}],
            )
    kept = {name: checked(name, types[name], value) for name, value in values.items()}
    text = found.dataset.roles.get("text")
    if text in kept and kept[text] is None:
        raise BadValue("A text may not be empty. Delete the row instead.", fields=[{"field": text, "message": "empty"}])
    return kept


def _editable(found: Held, columns: list[str]) -> list[str]:
    """The columns that a person may edit: what was observed stays, a judgement of it may change."""
    scenario, target = found.dataset.scenario, found.dataset.target
    if scenario in {"anomaly-detection", "log-clustering"}:
        return [name for name in columns if name == target]
    if scenario == "text-classification":
        return [name for name in columns if name in {target, found.dataset.roles.get("text")}]
    return columns
