"""Jobs and runs as the interface shows them: shared by the routes of training and of the builder."""

from sqlalchemy.orm import Session

from modelyard.features.training import operations, queries, schemas
from modelyard.features.training.tables import JobRow


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


def run_schema(session: Session, going: operations.Going) -> schemas.Run:
    """A run as the interface shows it, its job inside."""
    run = going.run
    return schemas.Run(
        id=run.id,
        kind=run.kind,
        task=run.task,
        job=job_schema(session, going.job),
        release=run.release,
        model=run.model,
        intent=run.intent,
        plan=run.plan,
        version=run.version,
        created_at=run.created_at,
        created_by=run.created_by,
    )
