"""Jobs as the interface shows them: shared by the routes of every feature that starts some."""

from sqlalchemy.orm import Session

from modelyard.features.jobs import queries, schemas
from modelyard.features.jobs.tables import JobMetricRow, JobRow


def job_schema(session: Session, row: JobRow) -> schemas.Job:
    """A job as the interface shows it."""
    progress = schemas.Progress(phase=row.phase, fraction=row.fraction, eta_seconds=row.eta_seconds)
    return schemas.Job(
        id=row.id,
        kind=row.kind,
        title=row.title,
        state=row.state,
        progress=progress,
        place=queries.place(session, row),
        attempts=row.attempts,
        result=row.result,
        error=row.failure,
        created_at=row.created_at,
        created_by=row.created_by,
        started_at=row.started_at,
        ended_at=row.ended_at,
    )


def point_schema(row: JobMetricRow, prefix: str = "") -> schemas.MetricPoint:
    """A point of a metric's history as the interface shows it, its name without `prefix`."""
    point = schemas.MetricPoint.model_validate(row, from_attributes=True)
    return point.model_copy(update={"name": point.name.removeprefix(prefix)}) if prefix else point
