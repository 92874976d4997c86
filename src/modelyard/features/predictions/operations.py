"""What the platform does with batch predictions. Files on their way in are in `files.py`."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from sqlalchemy.orm import Session

from modelyard.core import ids
from modelyard.core.errors import Invalid, NotFound
from modelyard.core.settings import Limits
from modelyard.credentials.scope import covers
from modelyard.features.auth.operations import Principal, check
from modelyard.features.datasets import operations as datasets
from modelyard.features.jobs import operations as jobs
from modelyard.features.jobs.operations import JobRow
from modelyard.features.models import operations as models
from modelyard.features.predictions import queries
from modelyard.features.predictions.errors import BatchGoing, NoResult, NoRowsNamed
from modelyard.features.predictions.schemas import BatchCreate
from modelyard.features.predictions.tables import BatchRow, PredictionFileRow
from modelyard.protocol import answers
from modelyard.protocol.batch import MEDIA_TYPES, PredictSpec
from modelyard.protocol.jobs import TERMINAL
from modelyard.protocol.signature import Signature
from modelyard.storage.db.paging import Paging, Rows

FILES_KEPT = timedelta(days=7)
"""How long an uploaded file waits to be predicted."""


class Batch(NamedTuple):
    """A batch prediction and its job."""

    row: BatchRow
    job: JobRow


class Download(NamedTuple):
    """A result: the object with it, its size in bytes, what it is called and what it is."""

    key: str
    size: int
    filename: str
    media_type: str


class _Source(NamedTuple):
    """Where rows come from: what the batch prediction and its job are told of it."""

    label: str
    columns: dict[str, Any]
    spec: dict[str, Any]


def create(session: Session, principal: Principal, wanted: BatchCreate, limits: Limits, now: datetime) -> Batch:
    """Enqueue a batch prediction. Raises NoRowsNamed, Invalid, NotFound."""
    name = models.parse(wanted.model)
    check(principal, "predict", prefix=name.prefix)
    found = models.get_version(session, principal, name)
    _check_parameters(wanted.parameters, models.signature_of(found.version))
    source = _of_file(session, principal, wanted) if wanted.file else _of_release(session, principal, wanted)
    batch_id, label = ids.new("bp"), models.name_of(found.model, found.version)
    spec = PredictSpec(
        version=models.held_version(found, 0),
        place=place_of(batch_id),
        parameters=wanted.parameters,
        output=wanted.output,
        on_error=wanted.on_error,
        columns_limit=limits.columns,
        unpacked_limit=limits.upload,
        **source.spec,
    )
    title = f"Predict {source.label} by {label}"
    job = jobs.enqueue(session, principal, kind="predict", title=title, payload=msgspec.to_builtins(spec))
    models.hold(session, holder(batch_id), [found.version.id])
    row = BatchRow(
        id=batch_id,
        prefix=found.model.prefix,
        version=label,
        parameters=wanted.parameters,
        output=wanted.output,
        on_error=wanted.on_error,
        job=job.id,
        result=None,
        **{"dataset": None, "release": None, "number": None, "purpose": None, "file": None, **source.columns},
        **principal.stamp(now),
    )
    session.add(row)
    session.flush()
    return Batch(row, job)


def get(session: Session, principal: Principal, batch_id: str) -> Batch:
    """A batch prediction. Raises NotFound."""
    row = queries.batch(session, principal.organisation, batch_id)
    if row is None or not covers(principal.prefixes, row.prefix):
        raise NotFound(f"There is no batch prediction {batch_id!r}.")
    return Batch(row, jobs.get(session, principal, row.job))


def list_all(session: Session, principal: Principal, paging: Paging) -> Rows:
    """The batch predictions that the caller may see, newest first."""
    return queries.batches(session, principal.organisation, principal.prefixes, paging)


def download(session: Session, principal: Principal, batch_id: str) -> Download:
    """Where the result lies. Raises BatchGoing, NoResult, NotFound."""
    row, job = get(session, principal, batch_id)
    check(principal, "predict", prefix=row.prefix)
    if job.state not in TERMINAL:
        raise BatchGoing(f"{row.id} is {job.state}, {job.fraction:.0%} done. Wait for its job {job.id}.")
    if row.result is None:
        raise NoResult(f"{row.id} has no result: its job {job.id} {job.state}. `modelyard job logs {job.id}` says why.")
    return Download(row.result["key"], row.result["size"], result_name(row), MEDIA_TYPES[row.output])


def delete(session: Session, principal: Principal, batch_id: str) -> tuple[str, str | None]:
    """Forget a batch prediction that has ended.

    The object prefix that is to be removed, and the key of its file where nobody else has that. Raises BatchGoing.
    """
    row, job = get(session, principal, batch_id)
    check(principal, "predict", prefix=row.prefix)
    if job.state not in TERMINAL:
        raise BatchGoing(f"{row.id} is {job.state}. Stop its job first: `modelyard job stop {job.id}`.")
    key = None
    if row.file is not None and not queries.users_of_file(session, row.file, row.id):
        key = file_key(row.file)
        file = queries.file(session, row.organisation, row.file)
        if file is not None:
            session.delete(file)
    session.delete(row)
    return place_of(row.id), key


def add_file(
    session: Session, principal: Principal, file_id: str, filename: str, size: int, sha256: str, now: datetime
) -> PredictionFileRow:
    """Note a file that has arrived."""
    row = PredictionFileRow(id=file_id, filename=filename, size=size, sha256=sha256, **principal.stamp(now))
    session.add(row)
    session.flush()
    return row


def forget_unused_files(session: Session, now: datetime) -> list[str]:
    """Forget the files that waited too long to be predicted; the keys of the objects that are to be removed."""
    found = queries.unused_files(session, now - FILES_KEPT)
    for row in found:
        session.delete(row)
    return [file_key(row.id) for row in found]


def place_of(batch_id: str) -> str:
    """Where all objects of a batch prediction lie."""
    return f"predictions/{batch_id}"


def file_key(file_id: str) -> str:
    """Where an uploaded file lies."""
    return f"prediction-files/{file_id}"


def holder(batch_id: str) -> str:
    """How messages name who needs a version."""
    return f"batch prediction {batch_id}"


def result_name(row: BatchRow) -> str:
    """What a result is called: the name of what was predicted, and `predictions`."""
    stem = row.filename.rpartition(".")[0] or row.filename
    return f"{stem}-predictions.{row.output}"


def _of_release(session: Session, principal: Principal, wanted: BatchCreate) -> _Source:
    if wanted.dataset is None:
        raise NoRowsNamed("Say which rows to predict: a `dataset`, or a `file` that was uploaded.")
    release = datasets.get_release(session, principal, wanted.dataset, wanted.release)
    dataset = datasets.get(session, principal, release.dataset)
    tables = [table for table in datasets.tables_of(release) if wanted.purpose in {None, table.purpose}]
    label = f"{dataset.name}@{release.number}"
    if not tables:
        raise NoRowsNamed(f"{label} has no {wanted.purpose or ''} rows.".replace("  ", " "))
    columns = {
        "dataset": dataset.name,
        "release": release.id,
        "number": release.number,
        "purpose": wanted.purpose,
        "filename": f"{dataset.name}-{release.number}",
    }
    return _Source(label, columns, {"tables": tuple(table.key for table in tables)})


def _of_file(session: Session, principal: Principal, wanted: BatchCreate) -> _Source:
    if wanted.dataset is not None:
        raise NoRowsNamed("Name a `dataset` or a `file`, not both.")
    row = queries.file(session, principal.organisation, wanted.file or "")
    if row is None:
        raise NotFound(f"There is no uploaded file {wanted.file!r}. Upload it: POST /api/v1/batch-predictions/files.")
    spec = {"file": file_key(row.id), "filename": row.filename}
    return _Source(row.filename, {"file": row.id, "filename": row.filename}, spec)


def _check_parameters(parameters: dict[str, Any], signature: Signature) -> None:
    known = answers.choices(signature)
    for name in parameters:
        if name not in known:
            there = f"Choose from {', '.join(known)}." if known else "This model lets nothing be chosen."
            fields = [{"field": f"parameters.{name}", "message": f"there is no such option. {there}"}]
            raise Invalid(f'Parameter "{name}": there is no such option. {there}', fields=fields)
