"""Trials of a search, as the runs that they are for whoever looks at them: numbered below the run that searches."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from modelyard.core.errors import NotFound
from modelyard.features.auth.operations import Principal
from modelyard.features.jobs import history
from modelyard.features.jobs.schemas import ENDED, JobRecord
from modelyard.features.training import operations
from modelyard.features.training.operations import Going
from modelyard.features.training.schemas import RunState

KIND = "trial"
"""The kind of record by which a worker tells of a trial."""


class Trial(NamedTuple):
    """A trial and the run it belongs to."""

    parent: Going
    record: JobRecord

    @property
    def id(self) -> str:
        """`<run>.<number>`."""
        return f"{self.parent.run.id}.{self.record.key}"

    @property
    def told(self) -> Mapping[str, Any]:
        """What the worker said: number, state, parameters, value, seconds, note."""
        return self.record.data

    @property
    def state(self) -> RunState:
        """Its own state; one that was under way when its run ended has stopped."""
        state: RunState = self.told.get("state", "running")
        return "stopped" if state == "running" and self.parent.job.state in ENDED else state


Found = Going | Trial


def find(session: Session, principal: Principal, run_id: str) -> Found:
    """A run, or a trial where the id has a number at its end. Raises NotFound."""
    parent, dot, number = run_id.partition(".")
    if not dot:
        return operations.get_run(session, principal, run_id)
    going = operations.get_run(session, principal, parent)
    for record in history.records(session, going.job.id, KIND):
        if record.key == number:
            return Trial(going, record)
    raise NotFound(f"{parent} has no trial {number!r}.")


def of(session: Session, principal: Principal, run_id: str) -> list[Trial]:
    """The trials of a run, newest first. Raises NotFound."""
    going = operations.get_run(session, principal, run_id)
    found = history.records(session, going.job.id, KIND)
    return [Trial(going, record) for record in sorted(found, key=_number, reverse=True)]


def prefix_of(found: Found) -> str:
    """How the names of a run's metrics begin in its job's history: a trial's with its name."""
    return f"trial {found.record.key}/" if isinstance(found, Trial) else ""


def job_of(found: Found) -> str:
    """The job whose log and history it is part of."""
    return found.parent.job.id if isinstance(found, Trial) else found.job.id


def _number(record: JobRecord) -> int:
    return int(record.key) if record.key.isdigit() else 0
