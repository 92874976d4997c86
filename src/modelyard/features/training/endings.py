"""What follows on the end of a run: it becomes a version."""

from typing import Any

from sqlalchemy.orm import Session

from modelyard.features.auth.operations import Principal
from modelyard.features.jobs import history
from modelyard.features.jobs.operations import JobRow
from modelyard.features.models import operations as models
from modelyard.features.training import queries
from modelyard.features.training.tables import RunRow
from modelyard.storage.db.engine import now as db_now

MACHINE = "machine"
"""The kind of record by which a worker says what it ran on."""


def run_ended(session: Session, job: JobRow) -> None:
    """Make the version of a run that succeeded."""
    run = queries.run_of_job(session, job.id)
    result = job.result
    if run is None or job.state != "succeeded" or run.version is not None or result is None:
        return
    now = db_now(session)
    principal = Principal(user=run.created_by, username="", organisation=run.organisation, role="administrator")
    model = models.ensure_model(session, principal, models.parse(run.model), now)
    version = models.add_version(
        session, model, job=job.id, created_by=run.created_by, result=result, lineage=_lineage(run, job), now=now
    )
    run.version = models.name_of(model, version)
    run.made = _made(session, job, result["artifact"])
    job.result = {"version": run.version, "evaluation": result["evaluation"]}


def _made(session: Session, job: JobRow, artifact: dict[str, Any]) -> dict[str, Any]:
    machine = {name: fact for record in history.records(session, job.id, MACHINE) for name, fact in record.data.items()}
    environment = {**artifact.get("created_with", {}), **machine}
    made = {"algorithm": artifact["algorithm"], "parameters": artifact.get("parameters", {})}
    return {**made, "environment": environment}


def _lineage(run: RunRow, job: JobRow) -> dict[str, Any]:
    spec = job.payload
    return {
        "run": run.id,
        "job": job.id,
        "release": spec["release"],
        "release_id": run.release,
        "intent": run.intent,
        "target": spec["target"],
        "seed": spec["seed"],
        "task": run.task,
    }


ENDINGS = {"train": run_ended}
