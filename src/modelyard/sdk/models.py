"""Models and their versions."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from modelyard.features.models import schemas
from modelyard.protocol.evaluation import Evaluation, Metric
from modelyard.sdk.calls import call, delete, fetch, get, pages, post, save
from modelyard.sdk.entity import Entity, Listing
from modelyard.sdk.flow import Flow, Mode, Resource, operation

Stage = Literal["staging", "production"]


class Version(Entity[Mode, schemas.Version]):
    """One immutable result of a training."""

    @property
    def path(self) -> str:
        """`prefix/model/vN`."""
        return f"{self.data.model}/{self.data.version}"

    @property
    def verdict(self) -> Evaluation:
        """How good it is: `evaluation` with names and types."""
        return msgspec.convert(self.data.evaluation, Evaluation)

    @property
    def metrics(self) -> dict[str, Metric]:
        """The metrics on held-out rows by name, each with its 95 % interval and the baseline's value."""
        return {metric.name: metric for metric in self.verdict.metrics}

    @operation
    def download(self, to: str | Path = ".") -> Flow[Path]:
        """As `client.models.download`."""
        return (yield from Models(self._connection).download.flow(self.path, to))

    @operation
    def set_stage(self, stage: Stage | None) -> Flow[Version[Mode]]:
        """As `client.models.stage`."""
        return (yield from Models(self._connection).stage.flow(self.path, stage))

    @operation
    def delete(self) -> Flow[None]:
        """Delete the version. Raises VersionInUse where a deployment holds it."""
        yield from Models(self._connection).delete.flow(self.path)

    def _label(self) -> str:
        stage = f" ({self.data.stage})" if self.data.stage else ""
        return f"{self.path}{stage}: {self.data.algorithm}"


class Model(Entity[Mode, schemas.Model]):
    """A model: the sequence of its versions."""

    @operation
    def versions(self) -> Flow[Listing[Version[Mode]]]:
        """Its versions, newest first."""
        return (yield from Models(self._connection).versions.flow(self.data.path))

    @operation
    def delete(self) -> Flow[None]:
        """Delete the model with all its versions. Raises VersionInUse where a deployment holds one."""
        yield from Models(self._connection).delete.flow(self.data.path)

    def _label(self) -> str:
        return f"{self.data.path}: {self.data.versions} versions"


class Prefixes(Resource[Mode]):
    """The namespaces of models."""

    @operation
    def list(self) -> Flow[Listing[schemas.Prefix]]:
        """The prefixes that the caller may see."""
        return Listing((yield from pages(self, get("prefixes"), schemas.Prefix)))


class Models(Resource[Mode]):
    """The platform's models. A `model` is `prefix/name`; a `version` is that with `/vN` or a stage, else the latest."""

    @operation
    def list(self, *, prefix: str | None = None, limit: int | None = None) -> Flow[Listing[Model[Mode]]]:
        """The models of every prefix, or of one."""
        found = yield from pages(self, get("models", prefix=prefix), schemas.Model, limit)
        return Listing(Model(self._connection, data) for data in found)

    @operation
    def get(self, model: str) -> Flow[Model[Mode]]:
        """One model. Raises NotFound."""
        data = yield from fetch(self, get(*_parts(schemas.parse(model))), schemas.Model)
        return Model(self._connection, data)

    @operation
    def versions(self, model: str) -> Flow[Listing[Version[Mode]]]:
        """A model's versions, newest first."""
        found = yield from pages(self, get(*_parts(schemas.parse(model)), "versions"), schemas.Version)
        return Listing(Version(self._connection, data) for data in found)

    @operation
    def version(self, version: str) -> Flow[Version[Mode]]:
        """One version. Raises NotFound."""
        data = yield from fetch(self, get(*_version_parts(version)), schemas.Version)
        return Version(self._connection, data)

    @operation
    def compare(self, one: str, other: str) -> Flow[Listing[dict[str, Any]]]:
        """Two versions side by side: a row for each metric, with both values and the differences of the second.

        `better` names the version that is better by that metric where their intervals do not overlap, else None.
        """
        first = yield from self.version.flow(one)
        second = yield from self.version.flow(other)
        theirs = second.metrics
        shared = [(metric, theirs[name]) for name, metric in first.metrics.items() if name in theirs]
        return Listing(_compared(first.path, second.path, *pair) for pair in shared)

    @operation
    def download(self, version: str, to: str | Path = ".") -> Flow[Path]:
        """A version's whole folder as a ZIP at `to` (a file, or a folder); where it is now."""
        found = yield from self.version.flow(version)
        name = f"{found.data.name}-{found.data.version}.zip"
        return (yield from save(self, get(*_version_parts(found.path), "download"), Path(to).expanduser(), name))

    @operation
    def stage(self, version: str, stage: Stage | None) -> Flow[Version[Mode]]:
        """Make a version the one in `stage`, in place of the one that is; None takes its stage away."""
        request = post(*_version_parts(version), "stage", body={"stage": stage})
        return Version(self._connection, (yield from fetch(self, request, schemas.Version)))

    @operation
    def delete(self, model: str) -> Flow[None]:
        """Delete a version, or a model with all of them. Raises VersionInUse where a deployment holds one."""
        name = schemas.parse(model)
        yield from call(self, delete(*(_version_parts(model) if name.selector else _parts(name))))


def _parts(name: schemas.ModelName) -> tuple[str, ...]:
    return "prefixes", name.prefix, "models", name.name


def _version_parts(version: str) -> tuple[str, ...]:
    name = schemas.parse(version)
    return *_parts(name), "versions", name.selector or "latest"


def _compared(one: str, other: str, first: Metric, second: Metric) -> dict[str, Any]:
    apart = second.lower > first.upper or second.upper < first.lower
    rises = (second.value > first.value) == (first.direction == "higher")
    return {
        "metric": first.name,
        "direction": first.direction,
        one: first.value,
        other: second.value,
        "difference": second.value - first.value,
        "better": (other if rises else one) if apart else None,
    }
