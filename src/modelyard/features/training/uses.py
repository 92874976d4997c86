"""Which tasks and runs need something that others would take away. Asked by the features below, by this file's name."""

from sqlalchemy.orm import Session

from modelyard.features.training import queries
from modelyard.features.training.tables import TaskRow


def release_uses(session: Session, release_id: str) -> list[str]:
    """The tasks bound to a release, and the builds on it; the runs of a task go with it."""
    tasks = [_named(task) for task in queries.tasks_with(session, release=release_id)]
    return tasks + [f"build {run.id}" for run in queries.builds_on(session, release_id)]


def algorithm_uses(session: Session, organisation: str, algorithm: str) -> list[str]:
    """The tasks that could run an algorithm."""
    return [_named(task) for task in queries.tasks_with(session, organisation=organisation, algorithm=algorithm)]


def configuration_uses(session: Session, configuration_id: str) -> list[str]:
    """The tasks that are set by a configuration."""
    return [_named(task) for task in queries.tasks_with(session, configuration=configuration_id)]


def _named(task: TaskRow) -> str:
    return f"training task {task.name} ({task.id})" if task.name else f"training task {task.id}"
