"""Datasets: what is uploaded, released and downloaded."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any, Literal

from modelyard.core.errors import Conflict, NotFound
from modelyard.features.datasets import schemas
from modelyard.features.datasets.errors import NameTaken
from modelyard.sdk.bodies import Body, Progress, body_of
from modelyard.sdk.calls import call, delete, fetch, get, pages, patch, path, post, save
from modelyard.sdk.entity import Entity, Listing
from modelyard.sdk.flow import Flow, Mode, Request, Resource, operation

Purpose = Literal["training", "validation", "test"]
IMPORT_SECONDS = 3600.0
"""An upload is answered when the file has been read and described, which takes a while for a large one."""


class Dataset(Entity[Mode, schemas.Dataset]):
    """A dataset, with its operations."""

    @operation
    def upload(
        self,
        data: Any,
        *,
        purpose: Purpose = "training",
        filename: str | None = None,
        progress: Progress | None = None,
    ) -> Flow[schemas.Sample]:
        """As `client.datasets.upload`."""
        return (
            yield from Datasets(self._connection).upload.flow(
                self.data.id, data, purpose=purpose, filename=filename, progress=progress
            )
        )

    @operation
    def release(self, note: str = "") -> Flow[Release[Mode]]:
        """As `client.datasets.release`."""
        return (yield from Datasets(self._connection).release.flow(self.data.id, note))

    @operation
    def delete(self) -> Flow[None]:
        """As `client.datasets.delete`."""
        yield from Datasets(self._connection).delete.flow(self.data.id)

    def _label(self) -> str:
        return f"{self.data.name}: {self.data.rows:,} rows"


class Release(Entity[Mode, schemas.Release]):
    """An immutable snapshot of a dataset."""

    @property
    def reference(self) -> str:
        """`dataset@number`, as commands and builds take it."""
        return f"{self.data.dataset_name}@{self.data.number}"

    @operation
    def download(self, to: str | Path = ".") -> Flow[Path]:
        """As `client.datasets.download`."""
        return (yield from Datasets(self._connection).download.flow(self.data.dataset_name, to, self.data.number))

    def _label(self) -> str:
        return f"{self.reference}: {self.data.rows:,} rows"


class Datasets(Resource[Mode]):
    """The platform's datasets. `dataset` is a name or an id throughout."""

    @operation
    def create(
        self,
        name: str,
        *,
        scenario: str = "tabular-classification",
        description: str = "",
        target: str | None = None,
    ) -> Flow[Dataset[Mode]]:
        """An empty dataset. Raises NameTaken."""
        body = {"name": name, "scenario": scenario, "description": description, "target": target}
        return self._dataset((yield from fetch(self, post("datasets", body=body), schemas.Dataset)))

    @operation
    def get(self, dataset: str) -> Flow[Dataset[Mode]]:
        """One dataset. Raises NotFound."""
        return self._dataset((yield from fetch(self, get("datasets", dataset), schemas.Dataset)))

    @operation
    def list(self, *, scenario: str | None = None, limit: int | None = None) -> Flow[Listing[Dataset[Mode]]]:
        """The datasets, newest first."""
        found = yield from pages(self, get("datasets", scenario=scenario), schemas.Dataset, limit)
        return Listing(self._dataset(data) for data in found)

    @operation
    def update(self, dataset: str, *, description: str | None = None, target: str | None = None) -> Flow[Dataset[Mode]]:
        """Change the description or the column to predict; what is None stays."""
        changes = {"description": description, "target": target}
        changes = {name: value for name, value in changes.items() if value is not None}
        return self._dataset((yield from fetch(self, patch("datasets", dataset, body=changes), schemas.Dataset)))

    @operation
    def delete(self, dataset: str) -> Flow[None]:
        """Delete a dataset without releases. Raises InUse where it has some."""
        yield from call(self, delete("datasets", dataset))

    @operation
    def upload(
        self,
        dataset: str,
        data: Any,
        *,
        purpose: Purpose = "training",
        filename: str | None = None,
        progress: Progress | None = None,
    ) -> Flow[schemas.Sample]:
        """Add a file: a path, bytes, an open binary file, or a data frame.

        `progress` is called with the bytes sent and the size. A file is streamed from disk, whatever its size.
        """
        body = body_of(data, filename)
        body.on_progress = progress
        return (yield from self._send(dataset, body, purpose))

    @operation
    def samples(self, dataset: str, *, limit: int | None = None) -> Flow[Listing[schemas.Sample]]:
        """The files of a dataset, newest first."""
        return Listing((yield from pages(self, get("datasets", dataset, "samples"), schemas.Sample, limit)))

    @operation
    def sample(self, dataset: str, sample: str) -> Flow[schemas.Sample]:
        """One file of a dataset with its profile."""
        return (yield from fetch(self, get("datasets", dataset, "samples", sample), schemas.Sample))

    @operation
    def set_purpose(self, dataset: str, sample: str, purpose: Purpose) -> Flow[schemas.Sample]:
        """Change what a file is for; releases already taken keep what it was."""
        request = patch("datasets", dataset, "samples", sample, body={"purpose": purpose})
        return (yield from fetch(self, request, schemas.Sample))

    @operation
    def delete_sample(self, dataset: str, sample: str) -> Flow[None]:
        """Take a file out of a dataset; releases that hold it keep it."""
        yield from call(self, delete("datasets", dataset, "samples", sample))

    @operation
    def release(self, dataset: str, note: str = "") -> Flow[Release[Mode]]:
        """Take an immutable release of a dataset as it is now. Raises EmptyDataset, ColumnsDiffer."""
        request = post("datasets", dataset, "releases", body={"note": note})
        return self._release((yield from fetch(self, request, schemas.Release)))

    @operation
    def releases(self, dataset: str, *, limit: int | None = None) -> Flow[Listing[Release[Mode]]]:
        """The releases of a dataset, newest first."""
        found = yield from pages(self, get("datasets", dataset, "releases"), schemas.Release, limit)
        return Listing(self._release(data) for data in found)

    @operation
    def download(self, dataset: str, to: str | Path = ".", release: int | None = None) -> Flow[Path]:
        """A release, the newest where none is named, as a ZIP at `to` (a file, or a folder); where it is now."""
        if release is None:
            release = (yield from self.get.flow(dataset)).data.latest_release
        if release is None:
            raise NotFound(f"{dataset} has no release yet. Take one: `modelyard dataset release {dataset}`.")
        found = yield from fetch(self, get("datasets", dataset, "releases", release), schemas.Release)
        name = f"{found.dataset_name}-{found.number}.zip"
        request = get("datasets", dataset, "releases", release, "download")
        return (yield from save(self, request, Path(to).expanduser(), name))

    @operation
    def ensure_release(self, dataset: str, data: Any, *, progress: Progress | None = None) -> Flow[Release[Mode]]:
        """A release that holds exactly this training file, made as far as it is missing.

        The dataset is created, the file uploaded and the release taken only where they are not there yet: the same
        content is never sent twice. Files of earlier releases leave the dataset, and stay in those releases. Raises
        Conflict where the dataset holds other files that no release has.
        """
        body = body_of(data)
        yield from self._ensure(dataset)
        digest = body.sha256() if body.repeatable else None
        released = yield from self.releases.flow(dataset)
        for release in released:
            if [(file.sha256, file.purpose) for file in release.data.files] == [(digest, "training")]:
                return release
        yield from self._make_room(dataset, digest, released)
        body.on_progress = progress
        if not any(sample.sha256 == digest for sample in (yield from self.samples.flow(dataset))):
            yield from self._send(dataset, body, "training")
        return (yield from self.release.flow(dataset))

    def _ensure(self, dataset: str) -> Flow[None]:
        try:
            yield from self.get.flow(dataset)
        except NotFound:
            try:
                yield from self.create.flow(dataset)
            except NameTaken:  # by somebody else, a moment ago
                return

    def _make_room(self, dataset: str, digest: str | None, released: Listing[Release[Mode]]) -> Flow[None]:
        kept = {file.sample for release in released for file in release.data.files}
        others = [sample for sample in (yield from self.samples.flow(dataset)) if sample.sha256 != digest]
        unreleased = [sample.filename for sample in others if sample.id not in kept]
        if unreleased:
            raise Conflict(
                f"The dataset {dataset} holds files that no release has: {', '.join(unreleased[:5])}. Release it "
                f"(`modelyard dataset release {dataset}`) and build on `{dataset}`, or delete them."
            )
        for sample in others:
            yield from self.delete_sample.flow(dataset, sample.id)

    def _send(self, dataset: str, body: Body, purpose: Purpose) -> Flow[schemas.Sample]:
        request = Request(
            method="POST",
            path=path("datasets", dataset, "samples"),
            params={"filename": body.name, "purpose": purpose},
            headers={"content-type": "application/octet-stream", "idempotency-key": uuid.uuid4().hex},
            content=body,
            patience=IMPORT_SECONDS,
        )
        return (yield from fetch(self, request, schemas.Sample))

    def _dataset(self, data: schemas.Dataset) -> Dataset[Mode]:
        return Dataset(self._connection, data)

    def _release(self, data: schemas.Release) -> Release[Mode]:
        return Release(self._connection, data)
