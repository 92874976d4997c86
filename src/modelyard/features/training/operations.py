"""What the platform does with training tasks and runs. The job engine itself is in `jobs.py`."""

import difflib
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from pydantic import ValidationError
from sqlalchemy.orm import Session

from modelyard.algorithms import registry as algorithms
from modelyard.core import ids
from modelyard.core.errors import NotFound
from modelyard.core.settings import Jobs
from modelyard.features.auth.operations import Principal, check
from modelyard.features.datasets import operations as datasets
from modelyard.features.models import operations as models
from modelyard.features.training import jobs, queries
from modelyard.features.training.errors import AlreadyRunning, BadParameters, TargetMissing
from modelyard.features.training.schemas import TaskCreate
from modelyard.features.training.tables import JobRow, RunRow, TaskRow
from modelyard.protocol.jobs import CandidateSpec, Finish, TrainSpec
from modelyard.storage.db.paging import Paging, Rows

USUAL_TARGETS = ("target", "label", "class", "y", "outcome")


class Going(NamedTuple):
    """A run and its job."""

    run: RunRow
    job: JobRow


def create_task(session: Session, principal: Principal, wanted: TaskCreate, now: datetime) -> TaskRow:
    """A new task, checked against its release and the algorithm's form.

    Raises TargetMissing, BadParameters, NotFound.
    """
    name = models.parse(wanted.model)
    check(principal, "write", prefix=name.prefix)
    release = datasets.get_release(session, principal, wanted.dataset, wanted.release)
    columns = datasets.columns_of(datasets.profile_of(session, release))
    target = choose_target(columns, wanted.target or datasets.get(session, principal, wanted.dataset).target)
    row = TaskRow(
        id=ids.new("task"),
        algorithm=wanted.algorithm,
        parameters=_checked(wanted.algorithm, wanted.parameters),
        release=release.id,
        target=target,
        model=name.path,
        **principal.stamp(now),
    )
    session.add(row)
    session.flush()
    return row


def get_task(session: Session, principal: Principal, task_id: str) -> TaskRow:
    """A task. Raises NotFound."""
    row = queries.task(session, principal.organisation, task_id)
    if row is None:
        raise NotFound(f"There is no training task {task_id!r}.")
    return row


def list_tasks(session: Session, principal: Principal, paging: Paging) -> Rows:
    """Tasks, newest first."""
    return queries.tasks(session, principal.organisation, paging)


def start_task(session: Session, principal: Principal, task_id: str, now: datetime) -> Going:
    """Run a task. Raises AlreadyRunning: a task runs once at a time."""
    task = get_task(session, principal, task_id)
    active = queries.active_run(session, task.id)
    if active is not None:
        raise AlreadyRunning(f"The task is running already, as {active.id}. Wait for it, or stop its job {active.job}.")
    scenario = task.algorithm.partition("/")[0]
    return start_run(
        session,
        principal,
        release_id=task.release,
        model=task.model,
        scenario=scenario,
        target=task.target,
        candidates=(CandidateSpec(algorithm=task.algorithm, parameters=task.parameters),),
        task=task.id,
        now=now,
    )


def start_run(
    session: Session,
    principal: Principal,
    *,
    release_id: str,
    model: str,
    scenario: str,
    target: str,
    candidates: tuple[CandidateSpec, ...],
    now: datetime,
    task: str | None = None,
    intent: str | None = None,
    plan: dict[str, Any] | None = None,
    drop: tuple[str, ...] = (),
    positive: str | None = None,
    metric: str | None = None,
    seconds: float | None = None,
    reasons: tuple[str, ...] = (),
) -> Going:
    """Enqueue a run: of a task, or of a build where `intent` is given."""
    name = models.parse(model)
    models.ensure_model(session, principal, name, now)
    release = datasets.release_by_id(session, principal, release_id)
    dataset = datasets.get(session, principal, release.dataset)
    run_id = ids.new("run")
    spec = TrainSpec(
        scenario=scenario,
        target=target,
        tables=datasets.tables_of(release),
        candidates=candidates,
        output=f"runs/{run_id}",
        model=name.path,
        release=f"{dataset.name}@{release.number}",
        positive=positive,
        metric=metric,
        seconds=seconds,
        drop=drop,
        intent=intent,
        reasons=reasons,
    )
    title = intent or f"Train {candidates[0].algorithm} on {dataset.name}@{release.number}"
    job = jobs.enqueue(session, principal, kind="train", title=title, payload=msgspec.to_builtins(spec))
    row = RunRow(
        id=run_id,
        kind="build" if intent else "training",
        task=task,
        job=job.id,
        release=release.id,
        model=name.path,
        intent=intent,
        plan=plan,
        **principal.stamp(now),
    )
    session.add(row)
    session.flush()
    return Going(row, job)


def get_run(session: Session, principal: Principal, run_id: str) -> Going:
    """A run by its own id or its job's. Raises NotFound."""
    row = queries.run(session, principal.organisation, run_id)
    if row is None:
        raise NotFound(f"There is no run {run_id!r}.")
    return Going(row, jobs.get(session, principal, row.job))


def list_runs(session: Session, principal: Principal, task: str | None, kind: str | None, paging: Paging) -> Rows:
    """Runs, newest first."""
    return queries.runs(session, principal.organisation, task, kind, paging)


def finish_job(session: Session, job_id: str, report: Finish, settings: Jobs, now: datetime) -> None:
    """A worker's last word; a run that succeeded becomes a version in the same transaction. Raises Fenced."""
    job = jobs.finish(session, job_id, report, settings)
    run = queries.run_of_job(session, job_id)
    if run is None or job.state != "succeeded" or run.version is not None:
        return
    principal = Principal(user=run.created_by, username="", organisation=run.organisation, role="administrator")
    model = models.ensure_model(session, principal, models.parse(run.model), now)
    version = models.add_version(
        session, model, job=job.id, created_by=run.created_by, result=report.result, lineage=_lineage(run, job), now=now
    )
    run.version = models.name_of(model, version)
    job.result = {"version": run.version, "evaluation": report.result["evaluation"]}


def choose_target(columns: list[str], wanted: str | None) -> str:
    """The column to predict: the one named, else one that is usually called so, else the last. Raises TargetMissing."""
    if wanted is None:
        lowered = {column.lower(): column for column in reversed(columns)}
        return next((lowered[name] for name in USUAL_TARGETS if name in lowered), columns[-1])
    if wanted in columns:
        return wanted
    near = difflib.get_close_matches(wanted, columns, n=3, cutoff=0.4)
    hint = f"The nearest are {', '.join(near)}." if near else f"There are: {', '.join(columns[:20])}."
    raise TargetMissing(f"The table has no column {wanted!r}. {hint}", detail={"nearest": near})


def _checked(algorithm: str, parameters: dict[str, Any]) -> dict[str, Any]:
    form = algorithms.get(algorithm).Parameters
    unknown = sorted(set(parameters) - set(form.model_fields))
    if unknown:
        raise BadParameters(
            f"{algorithm} has no parameter {', '.join(unknown)}. It has: {', '.join(form.model_fields)}.",
            fields=[{"field": name, "message": "unknown parameter"} for name in unknown],
        )
    try:
        checked: dict[str, Any] = form.model_validate(parameters).model_dump(mode="json")
    except ValidationError as error:
        fields = [{"field": ".".join(map(str, item["loc"])), "message": item["msg"]} for item in error.errors()]
        raise BadParameters(f"{fields[0]['field']}: {fields[0]['message']}", fields=fields) from None
    return checked


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
