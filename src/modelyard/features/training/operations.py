"""What the platform does with training tasks, and how runs begin."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy.orm import Session

from modelyard.core import ids
from modelyard.core.errors import Invalid, NotFound
from modelyard.features.auth.operations import Principal, check
from modelyard.features.catalogue import configurations
from modelyard.features.catalogue import operations as catalogue
from modelyard.features.catalogue.schemas import NONE
from modelyard.features.datasets import operations as datasets
from modelyard.features.jobs import history
from modelyard.features.jobs import operations as jobs
from modelyard.features.jobs.operations import JobRow
from modelyard.features.jobs.schemas import ENDED
from modelyard.features.models import operations as models
from modelyard.features.training import choices, queries
from modelyard.features.training.errors import AlreadyRunning, HasVersion, NotRunning
from modelyard.features.training.schemas import TaskChange, TaskClone, TaskCreate
from modelyard.features.training.tables import RunRow, TaskRow
from modelyard.protocol.jobs import CandidateSpec, SearchSpec, TrainSpec
from modelyard.storage.db.paging import Paging, Rows


class Going(NamedTuple):
    """A run and its job."""

    run: RunRow
    job: JobRow


def create_task(session: Session, principal: Principal, wanted: TaskCreate, now: datetime) -> TaskRow:
    """A new task, checked against its release and the algorithm's form.

    Raises TargetMissing, BadParameters, WrongAlgorithm, Disabled, NotInstalled, Invalid, NotFound.
    """
    name = models.parse(wanted.model)
    check(principal, "write", prefix=name.prefix)
    dataset = datasets.get(session, principal, wanted.dataset)
    release = datasets.get_release(session, principal, wanted.dataset, wanted.release)
    reference = f"{dataset.name}@{release.number}"
    chosen = choices.choose(session, principal, dataset.scenario, wanted.algorithm, wanted.configuration)
    settings = choices.settings(chosen, wanted.parameters)
    scenario, _, short = chosen.algorithm.partition("/")
    choices.check_horizon(scenario, wanted.horizon)
    choices.check_metric(scenario, wanted.metric)
    columns = datasets.columns_of(datasets.profile_of(session, release))
    roles = datasets.roles_of(release)
    previous = None
    if wanted.previous is not None:
        found = choices.previous_version(session, principal, wanted.previous, chosen.algorithm)
        previous = models.name_of(found.model, found.version)
    row = TaskRow(
        id=ids.new("task"),
        name=wanted.name or f"{short} on {reference}",
        algorithm=chosen.algorithm,
        parameters=settings.parameters,
        fixed=settings.fixed,
        configuration=chosen.configuration.id if chosen.configuration else None,
        release=release.id,
        target=choices.target_of(scenario, columns, wanted.target or dataset.target, roles),
        model=name.path,
        horizon=wanted.horizon,
        seed=wanted.seed,
        search=wanted.search.model_dump() if wanted.search else None,
        metric=wanted.metric,
        previous=previous,
        **principal.stamp(now),
    )
    session.add(row)
    session.flush()
    return row


def get_task(session: Session, principal: Principal, task_id: str) -> TaskRow:
    """A task. Raises NotFound."""
    row = queries.task(session, principal, task_id)
    if row is None:
        raise NotFound(f"There is no training task {task_id!r}. See `modelyard task list`.")
    return row


def list_tasks(
    session: Session, principal: Principal, paging: Paging, *, algorithm: str | None = None, model: str | None = None
) -> Rows:
    """Tasks, newest first."""
    return queries.tasks(session, principal, paging, algorithm=algorithm, model=model)


def change_task(session: Session, principal: Principal, task_id: str, wanted: TaskChange) -> TaskRow:
    """Change a task's name or, while it does not run, its parameters.

    Raises AlreadyRunning, BadParameters, NotFound.
    """
    row = _to_write(session, principal, task_id)
    if wanted.parameters is not None:
        _refuse_while_running(session, row)
        configuration = configurations.get(session, principal, row.configuration) if row.configuration else None
        chosen = choices.Chosen(row.algorithm, configuration)
        row.parameters, row.fixed = choices.settings(chosen, wanted.parameters)
    if wanted.name is not None:
        row.name = wanted.name
    session.flush()
    return row


def clone_task(session: Session, principal: Principal, task_id: str, wanted: TaskClone, now: datetime) -> TaskRow:
    """A new task like this one, but for what `wanted` says. Raises what `create_task` does."""
    row = get_task(session, principal, task_id)
    release = datasets.release_by_id(session, principal, row.release)
    changes = {
        name: value
        for name, value in wanted.model_dump(exclude_unset=True).items()
        if value is not None or name not in {"dataset", "algorithm", "model", "seed"}
    }
    same_algorithm = changes.get("algorithm", row.algorithm) == row.algorithm
    given = _given(row) if same_algorithm else {}
    if row.configuration and "configuration" in changes:
        replaced = configurations.get(session, principal, row.configuration).parameters
        given = {name: value for name, value in given.items() if name not in replaced or replaced[name] != value}
    kept: dict[str, Any] = {
        "dataset": release.dataset,
        "release": None if "dataset" in changes else release.number,
        "algorithm": row.algorithm,
        "configuration": (row.configuration or NONE) if same_algorithm else None,
        "target": row.target or None,
        "model": row.model,
        "horizon": row.horizon,
        "seed": row.seed,
        "search": row.search,
        "metric": row.metric,
        "previous": row.previous if same_algorithm else None,
    }
    changes["parameters"] = {**given, **wanted.parameters}
    changes.setdefault("name", f"{row.name} (copy)"[:200] if same_algorithm else None)
    return create_task(session, principal, TaskCreate.model_validate({**kept, **changes}), now)


def delete_task(session: Session, principal: Principal, task_id: str) -> list[str]:
    """Delete a task with its runs; the object-store prefixes to be removed.

    Raises AlreadyRunning; HasVersion where versions came of it; NotFound.
    """
    row = _to_write(session, principal, task_id)
    _refuse_while_running(session, row)
    found = queries.runs_of(session, row.id)
    versions = [str(run.version) for run in found if version_of(session, run) is not None]
    if versions:
        raise HasVersion(
            f"{', '.join(versions[:10])} came of this task, which says how. Delete "
            f"{'that version' if len(versions) == 1 else 'those versions'} first.",
            detail={"versions": versions},
        )
    forget(session, found)
    session.delete(row)
    session.flush()
    return [output_of(run) for run in found]


def start_task(session: Session, principal: Principal, task_id: str, now: datetime) -> Going:
    """Run a task. Raises AlreadyRunning: a task runs once at a time; Disabled, NotInstalled, NotFound."""
    # Locked, so that of two that start it at once the second sees the first one's run.
    task = _to_write(session, principal, task_id)
    _refuse_while_running(session, task)
    catalogue.require_usable(session, principal, task.algorithm)
    if task.configuration:
        configurations.find(session, principal, task.algorithm, task.configuration)
    previous = choices.previous_version(session, principal, task.previous, task.algorithm) if task.previous else None
    return start_run(
        session,
        principal,
        release_id=task.release,
        model=task.model,
        scenario=task.algorithm.partition("/")[0],
        target=task.target,
        candidates=(
            CandidateSpec(algorithm=task.algorithm, parameters=_given(task) if task.search else task.parameters),
        ),
        task=task.id,
        metric=task.metric,
        horizon=task.horizon,
        seed=task.seed,
        search=msgspec.convert(task.search, SearchSpec) if task.search else None,
        previous=previous.version.folder if previous else None,
        now=now,
    )


def stop_task(session: Session, principal: Principal, task_id: str) -> Going:
    """Ask the run of a task to stop; it has within two seconds. Raises NotRunning, NotFound."""
    task = _to_write(session, principal, task_id)
    active = active_run(session, task.id)
    if active is None:
        raise NotRunning(f"The task does not run. Start it: `modelyard task start {task.id}`.")
    return Going(active, jobs.stop(session, principal, active.job))


def active_run(session: Session, task_id: str) -> RunRow | None:
    """The run of a task that has not ended."""
    runs = queries.runs_of(session, task_id)
    going = jobs.going(session, [run.job for run in runs])
    return next((run for run in runs if run.job in going), None)


def runs_of_tasks(session: Session, task_ids: Sequence[str]) -> dict[str, list[Going]]:
    """The runs of each of these tasks, newest first."""
    found = queries.runs_of_tasks(session, task_ids)
    return {task: [Going(run, job) for run, job in runs] for task, runs in found.items()}


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
    horizon: int | None = None,
    seed: int = 0,
    search: SearchSpec | None = None,
    previous: str | None = None,
) -> Going:
    """Enqueue a run: of a task, or of a build where `intent` is given. A build leaves out what is switched off.

    Raises Invalid where nothing of it may be used.
    """
    name = models.parse(model)
    models.ensure_model(session, principal, name, now)
    release = datasets.release_by_id(session, principal, release_id)
    dataset = datasets.get(session, principal, release.dataset)
    run_id = ids.new("run")
    roles = datasets.roles_of(release)
    spec = TrainSpec(
        scenario=scenario,
        target=target,
        tables=datasets.tables_of(release),
        candidates=_usable(session, principal, candidates) if intent else candidates,
        output=f"runs/{run_id}",
        model=name.path,
        release=f"{dataset.name}@{release.number}",
        positive=positive,
        metric=metric,
        seconds=seconds,
        drop=drop,
        seed=seed,
        intent=intent,
        reasons=reasons,
        roles={role: column for role, column in roles.items() if role != "target"},
        horizon=horizon,
        search=search,
        previous=previous,
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
    row = queries.run(session, principal, run_id)
    if row is None:
        raise NotFound(f"There is no run {run_id!r}. See `modelyard run list`.")
    return Going(row, jobs.get(session, principal, row.job))


def list_runs(
    session: Session,
    principal: Principal,
    task: str | None,
    kind: str | None,
    paging: Paging,
    *,
    state: str | None = None,
    model: str | None = None,
) -> Rows:
    """Runs, newest first."""
    return queries.runs(session, principal, paging, task=task, kind=kind, state=state, model=model)


def delete_run(session: Session, principal: Principal, run_id: str) -> str:
    """Delete a run with its log and metrics; the object-store prefix to be removed.

    Raises AlreadyRunning; HasVersion while its version is there; NotFound.
    """
    going = get_run(session, principal, run_id)
    check(principal, "write", prefix=models.parse(going.run.model).prefix)
    if going.job.state not in ENDED:
        raise AlreadyRunning(f"The run is {going.job.state}. Stop it first: `modelyard job stop {going.job.id}`.")
    if version_of(session, going.run) is not None:
        raise HasVersion(f"{going.run.version} came of this run, which says how. Delete that version first.")
    forget(session, [going.run])
    return output_of(going.run)


def version_of(session: Session, run: RunRow) -> models.Found | None:
    """The version that a run made, as long as it is there."""
    if run.version is None:
        return None
    everything = Principal(user=run.created_by, username="", organisation=run.organisation, role="viewer")
    try:
        found = models.get_version(session, everything, models.parse(run.version))
    except NotFound:
        return None
    # A model that was deleted and made again begins to count again.
    return found if found.version.job == run.job else None


def forget(session: Session, runs: Sequence[RunRow]) -> None:
    """Delete runs that have ended, with all that is kept of them."""
    found = history.rows(session, [run.job for run in runs])
    for run in runs:
        session.delete(run)
    session.flush()
    history.forget(session, list(found.values()))


def output_of(run: RunRow) -> str:
    """The object-store prefix below which a run writes."""
    return f"runs/{run.id}"


def _given(task: TaskRow) -> dict[str, Any]:
    """The parameters of a task that somebody gave."""
    return {name: task.parameters[name] for name in task.fixed if name in task.parameters}


def _to_write(session: Session, principal: Principal, task_id: str) -> TaskRow:
    """A task that is about to change, locked. Raises NotFound, Forbidden."""
    row = get_task(session, principal, task_id)
    check(principal, "write", prefix=models.parse(row.model).prefix)
    return queries.locked_task(session, row.id)


def _refuse_while_running(session: Session, task: TaskRow) -> None:
    active = active_run(session, task.id)
    if active is not None:
        raise AlreadyRunning(
            f"The task is running already, as {active.id}. Wait for it, or stop it: `modelyard task stop {task.id}`."
        )


def _usable(session: Session, principal: Principal, candidates: tuple[CandidateSpec, ...]) -> tuple[CandidateSpec, ...]:
    """Those candidates that may be used here. Raises Invalid where none may."""
    found = tuple(
        candidate
        for candidate in candidates
        if catalogue.is_enabled(session, principal, candidate.algorithm) and catalogue.is_installed(candidate.algorithm)
    )
    if not found:
        names = ", ".join(candidate.algorithm for candidate in candidates)
        raise Invalid(f"{names} may not be used here. Ask an administrator to switch one on.")
    return found
