"""What follows on the end of a batch prediction: its result is noted, and its version may be deleted again."""

from sqlalchemy.orm import Session

from modelyard.features.jobs.operations import JobRow
from modelyard.features.models import operations as models
from modelyard.features.predictions import operations, queries


def batch_ended(session: Session, job: JobRow) -> None:
    """Keep what a job that succeeded made; let go of the version either way."""
    row = queries.batch_of_job(session, job.id)
    if row is None:
        return
    models.hold(session, operations.holder(row.id), [])
    if job.state == "succeeded" and job.result is not None:
        row.result = job.result
        job.result = {"batch_prediction": row.id, **{name: job.result[name] for name in ("rows", "unfit", "size")}}


ENDINGS = {"predict": batch_ended}
