"""SQL over tasks and runs. Private to this feature. Every query filters by organisation, and by visible prefixes."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, false, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from modelyard.credentials.scope import covers
from modelyard.features.auth.operations import Principal
from modelyard.features.jobs.operations import JobRow
from modelyard.features.training.tables import RunRow, TaskRow
from modelyard.storage.db.paging import Paging, Rows, page


def task(session: Session, principal: Principal, task_id: str) -> TaskRow | None:
    """A task by id."""
    row = session.get(TaskRow, task_id)
    return row if row is not None and _visible(principal, row) else None


def locked_task(session: Session, task_id: str) -> TaskRow:
    """A task, locked against other writers until the transaction ends."""
    query = select(TaskRow).where(TaskRow.id == task_id).with_for_update()
    return session.scalars(query.execution_options(populate_existing=True)).one()


def tasks(
    session: Session, principal: Principal, paging: Paging, *, algorithm: str | None = None, model: str | None = None
) -> Rows:
    """Tasks, newest first."""
    statement = select(TaskRow).where(*_seen(principal, TaskRow.organisation, TaskRow.model))
    if algorithm is not None:
        statement = statement.where(TaskRow.algorithm == algorithm)
    if model is not None:
        statement = statement.where(TaskRow.model == model)
    return page(session, statement, TaskRow.id, paging)


def tasks_with(session: Session, **wanted: str) -> Sequence[TaskRow]:
    """Every task whose columns have these values, newest first."""
    columns = [getattr(TaskRow, name) == value for name, value in wanted.items()]
    return session.scalars(select(TaskRow).where(*columns).order_by(TaskRow.id.desc())).all()


def run(session: Session, principal: Principal, run_id: str) -> RunRow | None:
    """A run by its own id or its job's."""
    wanted = or_(RunRow.id == run_id, RunRow.job == run_id)
    found = session.scalars(select(RunRow).where(RunRow.organisation == principal.organisation, wanted)).first()
    return found if found is not None and _visible(principal, found) else None


def run_of_job(session: Session, job_id: str) -> RunRow | None:
    """The run that a job executes."""
    return session.scalars(select(RunRow).where(RunRow.job == job_id)).first()


def runs(
    session: Session,
    principal: Principal,
    paging: Paging,
    *,
    task: str | None = None,
    kind: str | None = None,
    state: str | None = None,
    model: str | None = None,
) -> Rows:
    """Runs, newest first."""
    statement: Select[Any] = select(RunRow).where(*_seen(principal, RunRow.organisation, RunRow.model))
    for column, value in ((RunRow.task, task), (RunRow.kind, kind), (RunRow.model, model)):
        if value is not None:
            statement = statement.where(column == value)
    if state is not None:
        statement = statement.join(JobRow, JobRow.id == RunRow.job).where(JobRow.state == state)
    return page(session, statement, RunRow.id, paging)


def runs_of(session: Session, task_id: str) -> Sequence[RunRow]:
    """Every run of a task, newest first."""
    return session.scalars(select(RunRow).where(RunRow.task == task_id).order_by(RunRow.id.desc())).all()


def runs_of_tasks(session: Session, task_ids: Collection[str]) -> dict[str, list[tuple[RunRow, JobRow]]]:
    """The runs of these tasks with their jobs, newest first."""
    query = select(RunRow, JobRow).join(JobRow, JobRow.id == RunRow.job).where(RunRow.task.in_(task_ids))
    found: dict[str, list[tuple[RunRow, JobRow]]] = defaultdict(list)
    for row, job in session.execute(query.order_by(RunRow.id.desc())):
        found[str(row.task)].append((row, job))
    return found


def builds_on(session: Session, release_id: str) -> Sequence[RunRow]:
    """The runs on a release that belong to no task, newest first."""
    query = select(RunRow).where(RunRow.release == release_id, RunRow.task.is_(None))
    return session.scalars(query.order_by(RunRow.id.desc())).all()


def _visible(principal: Principal, row: TaskRow | RunRow) -> bool:
    prefix = row.model.rpartition("/")[0]
    return row.organisation == principal.organisation and covers(principal.prefixes, prefix)


def _seen(
    principal: Principal, organisation: InstrumentedAttribute[str], model: InstrumentedAttribute[str]
) -> list[ColumnElement[bool]]:
    """What the caller may see: its organisation's, and for a narrowed key those of models below its prefixes."""
    wanted: list[ColumnElement[bool]] = [organisation == principal.organisation]
    if principal.prefixes is not None:
        own = (model.startswith(f"{prefix}/", autoescape=True) for prefix in principal.prefixes)
        wanted.append(or_(false(), *own))
    return wanted
