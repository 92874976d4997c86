"""Training tasks and runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modelyard.core.errors import Conflict, Invalid
from modelyard.core.paging import Page
from modelyard.features.jobs.schemas import MetricPoint
from modelyard.features.models.schemas import File
from modelyard.features.training import schemas
from modelyard.sdk.calls import call, delete, fetch, get, pages, patch, post, save
from modelyard.sdk.entity import Entity, Listing
from modelyard.sdk.flow import Flow, Mode, Resource, operation
from modelyard.sdk.jobs import Job, Jobs, waiting
from modelyard.sdk.models import Models, Version
from modelyard.sdk.progress import Report

POINTS = 10_000
"""Points of a history that are asked for at once."""


class Run(Entity[Mode, schemas.Run]):
    """One execution of a training task or a build. `version` is what it made, once it has."""

    def __init__(self, connection: Any, data: schemas.Run, version: Version[Mode] | None = None) -> None:
        super().__init__(connection, data)
        self._version: Version[Mode] | None = version

    @property
    def job(self) -> Job[Mode]:
        """Its job, with progress and log."""
        return Job(self._connection, self.data.job)

    @property
    def version(self) -> Version[Mode]:
        """The version that it made. Raises Conflict while there is none: `wait()` first."""
        if self._version is None:
            raise Conflict(f"{self.data.id} has made no version; it is {self.data.job.state}. Wait for it: `.wait()`.")
        return self._version

    @operation
    def refresh(self) -> Flow[Run[Mode]]:
        """Look again; the same object with what is known now, and its version where it has made one."""
        yield from self._refresh()
        return self

    @operation
    def wait(self, *, progress: bool | Report = False, timeout: float | None = None) -> Flow[Run[Mode]]:
        """Wait for the end, then fetch the version; the same object then. As `Job.wait`."""
        yield from self._wait(progress, timeout)
        return self

    @operation
    def stop(self) -> Flow[Job[Mode]]:
        """Ask its job to stop; it has within two seconds. Raises JobOver."""
        return (yield from Jobs(self._connection).stop.flow(self.data.job.id))

    @operation
    def trials(self) -> Flow[Listing[Run[Mode]]]:
        """The trials of its search, newest first."""
        return (yield from Runs(self._connection).list.flow(parent=self.data.id))

    @operation
    def history(self, name: str | None = None) -> Flow[Listing[MetricPoint]]:
        """The history of its metrics, or of one of them, oldest first."""
        return (yield from Runs(self._connection).history.flow(self.data.id, name))

    def _wait(self, progress: bool | Report, timeout: float | None) -> Flow[None]:
        yield from waiting(self.job, progress, timeout)
        yield from self._refresh()

    def _refresh(self) -> Flow[None]:
        self.data = yield from fetch(self, get("runs", self.data.id), type(self.data))
        yield from self.fetch_version()

    def fetch_version(self) -> Flow[None]:
        """Flow: fetch the version that it made, if it has."""
        if self.data.version is not None and self._version is None:
            self._version = yield from Models(self._connection).version.flow(self.data.version)

    def _label(self) -> str:
        return f"{self.data.id}: {self.data.model} ({self.data.state})"


class Runs(Resource[Mode]):
    """The executions of tasks and builds."""

    @operation
    def get(self, run: str) -> Flow[Run[Mode]]:
        """One run, by its own id or its job's. Raises NotFound."""
        data = yield from fetch(self, get("runs", run), schemas.Run)
        found: Run[Mode] = Run(self._connection, data)
        yield from found.fetch_version()
        return found

    @operation
    def list(
        self,
        *,
        task: str | None = None,
        state: str | None = None,
        model: str | None = None,
        parent: str | None = None,
        limit: int | None = None,
    ) -> Flow[Listing[Run[Mode]]]:
        """The runs, newest first; without their versions, which `refresh()` fetches.

        `parent` asks for the trials of a run that searched.
        """
        wanted = get("runs", task=task, state=state, model=model, parent=parent)
        found = yield from pages(self, wanted, schemas.Run, limit)
        return Listing(Run(self._connection, data) for data in found)

    @operation
    def delete(self, run: str) -> Flow[None]:
        """Delete a run with its log and metrics. Raises AlreadyRunning; HasVersion while its version is there."""
        yield from call(self, delete("runs", run))

    @operation
    def compare(self, *runs: str) -> Flow[schemas.Comparison]:
        """Two to ten runs or trials side by side. Raises Invalid, NotFound."""
        return (yield from fetch(self, get("runs", "compare", run=list(runs)), schemas.Comparison))

    @operation
    def history(self, run: str, name: str | None = None) -> Flow[Listing[MetricPoint]]:
        """The history of a run's metrics, or of one of them, oldest first."""
        found: list[MetricPoint] = []
        while True:
            after = found[-1].sequence if found else -1
            request = get("runs", run, "metrics", name=name, after=after, limit=POINTS)
            page = yield from fetch(self, request, Page[MetricPoint])
            found += page.items
            if len(page.items) < POINTS:
                return Listing(found)

    @operation
    def files(self, run: str) -> Flow[Listing[File]]:
        """The files of the version that a run made; none before that."""
        page = yield from fetch(self, get("runs", run, "files"), Page[File])
        return Listing(page.items)

    @operation
    def export_mlflow(self, run: str, to: str | Path = ".") -> Flow[Path]:
        """Write a run with its trials as a file store of MLflow's, a ZIP at `to` (a file, or a folder)."""
        target = Path(to).expanduser()
        return (yield from save(self, get("runs", run, "mlflow"), target, f"{run}-mlflow.zip"))


class Task(Entity[Mode, schemas.Task]):
    """An algorithm with its parameters, bound to a release: it can be run again and again."""

    @operation
    def start(self) -> Flow[Run[Mode]]:
        """Run it. Raises AlreadyRunning: a task runs once at a time."""
        return (yield from Tasks(self._connection).start.flow(self.data.id))

    @operation
    def stop(self) -> Flow[Run[Mode]]:
        """Ask its run to stop; it has within two seconds. Raises NotRunning."""
        return (yield from Tasks(self._connection).stop.flow(self.data.id))

    @operation
    def clone(self, /, **changes: Any) -> Flow[Task[Mode]]:
        """A task like this one, but for what is said, as `client.tasks.clone`."""
        return (yield from Tasks(self._connection).clone.flow(self.data.id, **changes))

    @operation
    def delete(self) -> Flow[None]:
        """As `client.tasks.delete`."""
        yield from Tasks(self._connection).delete.flow(self.data.id)

    @operation
    def runs(self) -> Flow[Listing[Run[Mode]]]:
        """Its runs, newest first."""
        return (yield from Runs(self._connection).list.flow(task=self.data.id))

    def _label(self) -> str:
        return f"{self.data.id}: {self.data.algorithm} -> {self.data.model}"


class Tasks(Resource[Mode]):
    """Training tasks."""

    @operation
    def create(
        self,
        dataset: str,
        algorithm: str | None,
        model: str,
        *,
        parameters: dict[str, Any] | None = None,
        target: str | None = None,
        name: str | None = None,
        configuration: str | None = None,
        horizon: int | None = None,
        seed: int = 0,
        search: schemas.Search | dict[str, Any] | int | None = None,
        metric: str | None = None,
        previous: str | None = None,
    ) -> Flow[Task[Mode]]:
        """A task that trains `algorithm` on `dataset` or `dataset@release` into versions of `model`.

        Without a release the newest counts, without an algorithm the scenario's default, without a configuration (an id
        or a name) the algorithm's. `horizon` is how many steps ahead series are predicted. `search` varies what is not
        given: a number of trials, or {"trials", "seconds", "patience"}; `metric` decides between them. `previous` is a
        version to go on from. Raises TargetMissing, BadParameters, WrongAlgorithm, Disabled, NotFound.
        """
        source, number = reference(dataset)
        body = {
            "dataset": source,
            "release": number,
            "algorithm": algorithm,
            "parameters": parameters or {},
            "target": target,
            "model": model,
            "name": name,
            "configuration": configuration,
            "horizon": horizon,
            "seed": seed,
            "search": _search(search),
            "metric": metric,
            "previous": previous,
        }
        return Task(self._connection, (yield from fetch(self, post("training-tasks", body=body), schemas.Task)))

    @operation
    def get(self, task: str) -> Flow[Task[Mode]]:
        """One task. Raises NotFound."""
        return Task(self._connection, (yield from fetch(self, get("training-tasks", task), schemas.Task)))

    @operation
    def list(
        self, *, algorithm: str | None = None, model: str | None = None, limit: int | None = None
    ) -> Flow[Listing[Task[Mode]]]:
        """The tasks, newest first."""
        found = yield from pages(self, get("training-tasks", algorithm=algorithm, model=model), schemas.Task, limit)
        return Listing(Task(self._connection, data) for data in found)

    @operation
    def update(
        self, task: str, *, name: str | None = None, parameters: dict[str, Any] | None = None
    ) -> Flow[Task[Mode]]:
        """Change a task's name, or its parameters while it does not run. Raises AlreadyRunning, BadParameters."""
        changes = {"name": name, "parameters": parameters}
        body = {key: value for key, value in changes.items() if value is not None}
        return Task(self._connection, (yield from fetch(self, patch("training-tasks", task, body=body), schemas.Task)))

    @operation
    def clone(self, /, task: str, **changes: Any) -> Flow[Task[Mode]]:
        """A task like this one, but for `changes`, named as in `create`; `parameters` are laid over its own."""
        if isinstance(changes.get("dataset"), str):
            changes["dataset"], changes["release"] = reference(changes["dataset"])
        if "search" in changes:
            changes["search"] = _search(changes["search"])
        request = post("training-tasks", task, "clone", body=changes)
        return Task(self._connection, (yield from fetch(self, request, schemas.Task)))

    @operation
    def delete(self, task: str) -> Flow[None]:
        """Delete a task with its runs. Raises AlreadyRunning; HasVersion where versions came of it."""
        yield from call(self, delete("training-tasks", task))

    @operation
    def stop(self, task: str) -> Flow[Run[Mode]]:
        """Ask a task's run to stop; it has within two seconds. Raises NotRunning."""
        return Run(self._connection, (yield from fetch(self, post("training-tasks", task, "stop"), schemas.Run)))

    @operation
    def export_mlflow(self, task: str, to: str | Path = ".") -> Flow[Path]:
        """Write every run of a task as a file store of MLflow's, a ZIP at `to` (a file, or a folder)."""
        target = Path(to).expanduser()
        return (yield from save(self, get("training-tasks", task, "mlflow"), target, f"{task}-mlflow.zip"))

    @operation
    def start(self, task: str) -> Flow[Run[Mode]]:
        """Run a task. Raises AlreadyRunning."""
        data = yield from fetch(self, post("training-tasks", task, "start"), schemas.Run)
        return Run(self._connection, data)


def reference(dataset: str) -> tuple[str, int | None]:
    """`name` or `name@release` taken apart. Raises Invalid."""
    name, at, number = dataset.rpartition("@")
    if not at:
        return dataset, None
    if not number.isdigit() or not name:
        raise Invalid(f"{dataset!r} is no dataset. Write `name` or `name@release`, as in churn@2.")
    return name, int(number)


def _search(wanted: schemas.Search | dict[str, Any] | int | None) -> dict[str, Any] | None:
    if isinstance(wanted, int):
        return {"trials": wanted}
    return wanted.model_dump() if isinstance(wanted, schemas.Search) else wanted
