"""Tasks and runs as the interface shows them: shared by the routes of training and of the builder."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from modelyard.features.auth.operations import Principal
from modelyard.features.datasets import operations as datasets
from modelyard.features.jobs import history
from modelyard.features.jobs.presenting import job_schema
from modelyard.features.training import operations, schemas
from modelyard.features.training.operations import Going
from modelyard.features.training.reasons import reason_of
from modelyard.features.training.tables import RunRow, TaskRow
from modelyard.features.training.trials import Found, Trial


def task_schemas(session: Session, principal: Principal, rows: Sequence[TaskRow]) -> list[schemas.Task]:
    """Tasks as the interface shows them, each with its last and its best run."""
    runs = operations.runs_of_tasks(session, [row.id for row in rows])
    return [_task(session, principal, row, runs.get(row.id, [])) for row in rows]


def task_schema(session: Session, principal: Principal, row: TaskRow) -> schemas.Task:
    """One task as the interface shows it."""
    return task_schemas(session, principal, [row])[0]


def run_schemas(session: Session, rows: Sequence[RunRow]) -> list[schemas.Run]:
    """Runs as the interface shows them."""
    jobs = history.rows(session, [row.job for row in rows])
    return [run_schema(session, Going(row, jobs[row.job])) for row in rows]


def run_schema(session: Session, going: Found) -> schemas.Run:
    """A run or a trial as the interface shows it, its job inside."""
    return _trial(session, going) if isinstance(going, Trial) else _run(session, going)


def best_of(runs: Sequence[Going], metric: str | None) -> Going | None:
    """The best of the runs that succeeded, by `metric` or by the one that decided; the newest of equals."""
    best: tuple[float, Going] | None = None
    for going in runs:
        found = _headline(going, metric)
        if found is None or found.direction not in {"higher", "lower"}:
            continue
        merit = found.value if found.direction == "higher" else -found.value
        if best is None or merit > best[0]:
            best = (merit, going)
    return best[1] if best else None


def metrics_of(going: Going) -> list[schemas.RunMetric]:
    """What the version of a run measured on the test rows."""
    return [schemas.RunMetric.model_validate(metric) for metric in _evaluation(going).get("metrics", ())]


def primary_of(going: Going) -> str | None:
    """The metric that decided."""
    found: str | None = _evaluation(going).get("primary")
    return found


def asked_parameters(going: Going) -> dict[str, Any]:
    """The version's parameters once there is one; before that what was asked for, where it is one algorithm."""
    if going.run.made is not None:
        return dict(going.run.made["parameters"])
    candidates = going.job.payload.get("candidates", ())
    return dict(candidates[0].get("parameters", {})) if len(candidates) == 1 else {}


def algorithm_of(going: Going) -> str | None:
    """The algorithm that made the version; before that the one that was asked for, where it is one."""
    if going.run.made is not None:
        return str(going.run.made["algorithm"])
    candidates = going.job.payload.get("candidates", ())
    return str(candidates[0]["algorithm"]) if len(candidates) == 1 else None


def _task(session: Session, principal: Principal, row: TaskRow, runs: Sequence[Going]) -> schemas.Task:
    release = datasets.release_by_id(session, principal, row.release)
    dataset = datasets.get(session, principal, release.dataset)
    best = best_of(runs, row.metric)
    own = {
        name: getattr(row, name)
        for name in schemas.Task.model_fields
        if name not in {"dataset", "last_run", "best_run"}
    }
    return schemas.Task(
        **own,
        dataset=f"{dataset.name}@{release.number}",
        last_run=_brief(runs[0], row.metric) if runs else None,
        best_run=_brief(best, row.metric) if best else None,
    )


def _brief(going: Going, metric: str | None) -> schemas.RunBrief:
    found = _headline(going, metric)
    return schemas.RunBrief(
        id=going.run.id,
        state=going.job.state,
        version=going.run.version,
        metric=found.name if found else None,
        value=found.value if found else None,
        created_at=going.run.created_at,
    )


def _run(session: Session, going: Going) -> schemas.Run:
    run, job = going.run, going.job
    headline = _headline(going, None)
    return schemas.Run(
        id=run.id,
        kind=run.kind,
        state=job.state,
        parent=None,
        task=run.task,
        job=job_schema(session, job),
        release=run.release,
        model=run.model,
        intent=run.intent,
        plan=run.plan,
        version=run.version,
        algorithm=algorithm_of(going),
        parameters=asked_parameters(going),
        environment=dict(run.made["environment"]) if run.made else {},
        primary=primary_of(going),
        value=headline.value if headline else None,
        metrics=metrics_of(going),
        seconds=_seconds(job.started_at, job.ended_at),
        reason=reason_of(job.failure),
        note="",
        created_at=run.created_at,
        created_by=run.created_by,
    )


def _trial(session: Session, trial: Trial) -> schemas.Run:
    run, told = trial.parent.run, trial.told
    return schemas.Run(
        id=trial.id,
        kind="trial",
        state=trial.state,
        parent=run.id,
        task=run.task,
        job=job_schema(session, trial.parent.job),
        release=run.release,
        model=run.model,
        intent=None,
        plan=None,
        version=None,
        algorithm=algorithm_of(trial.parent),
        parameters=dict(told.get("parameters") or {}),
        environment={},
        primary=primary_of(trial.parent) or trial.parent.job.payload.get("metric"),
        value=told.get("value"),
        metrics=[],
        seconds=told.get("seconds"),
        reason=None,
        note=str(told.get("note") or ""),
        created_at=datetime.fromtimestamp(trial.record.at - (told.get("seconds") or 0), UTC),
        created_by=run.created_by,
    )


def _headline(going: Going, metric: str | None) -> schemas.RunMetric | None:
    wanted = metric or primary_of(going)
    return next((found for found in metrics_of(going) if found.name == wanted), None)


def _evaluation(going: Going) -> Mapping[str, Any]:
    """What a run that succeeded measured; empty for any other."""
    result = going.job.result or {}
    found: Mapping[str, Any] = result.get("evaluation", {}) if going.job.state == "succeeded" else {}
    return found


def _seconds(started: datetime | None, ended: datetime | None) -> float | None:
    return (ended - started).total_seconds() if started and ended else None
