"""What a recipe is given: its job, a scratch folder, the object store, and ways to report and to run shut in."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from modelyard.core.settings import Settings
from modelyard.protocol.jobs import Event, JobSpec
from modelyard.storage.objects.base import ObjectStore


class Stopped(Exception):
    """The job is to stop: raised out of any call of the context, so that a recipe ends where it stands."""


class JobContext(ABC):
    """The worker's side of one job. Every call may raise Stopped.

    `scratch` is private to the worker: the sandbox never sees it. `spec.payload` is the recipe's own spec as a dict.
    """

    spec: JobSpec
    scratch: Path
    objects: ObjectStore
    settings: Settings

    @abstractmethod
    def report(self, event: Event) -> None:
        """Send one event to the api. Progress never goes back: a smaller fraction is raised to the last one."""

    @abstractmethod
    def run_shut_in(self, argv: Sequence[str], *, work: Path, span: tuple[float, float]) -> None:
        """Run `argv` in the sandbox with `work` as its `/job`, forwarding its events and lines.

        The fractions that it reports are mapped into `span`. Raises JobFailed with a sentence for a person where it
        does not exit with 0: a limit that ended it, or the failure it wrote to `/job/failure.json`
        (protocol.jobs.Failure).
        """


class Recipe(ABC):
    """What a worker does with one kind of job.

    `builtin` says that all it runs shut in comes with the platform and nothing from a user: only such a recipe may run
    where no sandbox holds and the administrator allowed that.
    """

    builtin: ClassVar[bool] = False

    @abstractmethod
    def run(self, context: JobContext) -> dict[str, Any]:
        """Do the job; the result as JSON-ready values."""
