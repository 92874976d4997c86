"""Builds: from a sentence and data to a version."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from modelyard.core.errors import NotFound
from modelyard.features.builder import schemas
from modelyard.features.models.schemas import parse
from modelyard.sdk.bodies import Progress
from modelyard.sdk.calls import fetch, get, pages, post
from modelyard.sdk.datasets import Datasets
from modelyard.sdk.entity import Listing
from modelyard.sdk.flow import Flow, Mode, Resource, operation
from modelyard.sdk.progress import Report
from modelyard.sdk.training import Run, reference

DATASET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(@\d+)?")
TABLE_ENDINGS = frozenset({".csv", ".tsv", ".parquet", ".jsonl", ".ndjson", ".json", ".xlsx", ".xls", ".txt", ".gz"})


class Build(Run[Mode]):
    """A run that starts from an intent."""

    @property
    def plan(self) -> schemas.Plan:
        """How the intent was understood, each decision with its reason."""
        return schemas.Plan.model_validate(self.data.plan)

    @operation
    def refresh(self) -> Flow[Build[Mode]]:
        """Look again; the same object with what is known now, and its version where it has made one."""
        yield from self._refresh()
        return self

    @operation
    def wait(self, *, progress: bool | Report = False, timeout: float | None = None) -> Flow[Build[Mode]]:
        """Wait for the end, then fetch the version; the same object then. As `Job.wait`."""
        yield from self._wait(progress, timeout)
        return self


class Builds(Resource[Mode]):
    """The platform's builds."""

    @operation
    def create(
        self,
        intent: str,
        data: Any,
        model: str,
        *,
        target: str | None = None,
        seconds: float | None = None,
        progress: Progress | None = None,
    ) -> Flow[Build[Mode]]:
        """Start building `model` (`prefix/name`) from an intent in plain words.

        `data` is a file's path, a data frame, bytes or an open file, or `dataset` or `dataset@release` of the platform.
        A file goes into a dataset named after the model, and is sent only where that does not hold it yet; `progress`
        is called with the bytes sent and their number. `target` overrules what the intent is understood to mean.
        `seconds` is a budget: no further candidate begins after it.

        Raises TargetUnclear, NothingToPredict and what the data is refused for, before anything is trained.
        """
        dataset, release = yield from self._data(data, model, progress)
        body: dict[str, Any] = {
            "intent": intent,
            "dataset": dataset,
            "release": release,
            "model": model,
            "target": target,
        }
        if seconds is not None:
            body["seconds"] = seconds
        return Build(self._connection, (yield from fetch(self, post("builds", body=body), schemas.Build)))

    @operation
    def get(self, build: str) -> Flow[Build[Mode]]:
        """One build, by its own id or its job's. Raises NotFound."""
        found: Build[Mode] = Build(self._connection, (yield from fetch(self, get("builds", build), schemas.Build)))
        yield from found.fetch_version()
        return found

    @operation
    def list(self, *, limit: int | None = None) -> Flow[Listing[Build[Mode]]]:
        """The builds, newest first; without their versions, which `refresh()` fetches."""
        found = yield from pages(self, get("builds"), schemas.Build, limit)
        return Listing(Build(self._connection, data) for data in found)

    @operation
    def plan(self, intent: str, profile: dict[str, Any], *, target: str | None = None) -> Flow[schemas.Plan]:
        """How an intent would be understood over data with this profile (`sample.profile`), without training."""
        body: dict[str, Any] = {"intent": intent, "profile": profile, "target": target}
        return (yield from fetch(self, post("plans", body=body), schemas.Plan))

    def _data(self, data: Any, model: str, progress: Progress | None) -> Flow[tuple[str, int | None]]:
        """The dataset and release that `data` is, uploaded and released where it has to be."""
        datasets = Datasets(self._connection)
        if is_dataset(data):
            name, number = reference(data)
            if number is None and (yield from datasets.get.flow(name)).data.latest_release is None:
                yield from datasets.release.flow(name)
            return name, number
        name = dataset_of(model)
        release = yield from datasets.ensure_release.flow(name, data, progress=progress)
        return name, release.data.number


def is_dataset(data: Any) -> bool:
    """Whether `data` names a dataset of the platform and no file here. Raises NotFound for a file that is not there."""
    if not isinstance(data, str) or Path(data).expanduser().exists():
        return False
    if not DATASET.fullmatch(data) or Path(data).suffix.lower() in TABLE_ENDINGS:
        raise NotFound(
            f"There is no file {data}. Name a file, or a dataset of the platform as `name` or `name@release`."
        )
    return True


def dataset_of(model: str) -> str:
    """The dataset that holds the files a model is built from: `sales/churn` has `sales-churn`."""
    return parse(model).path.replace("/", "-")
