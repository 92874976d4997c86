"""Datasets: what is uploaded, looked at, edited, divided, released and downloaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from modelyard.core.errors import Conflict, Invalid, NotFound
from modelyard.features.datasets import schemas
from modelyard.features.datasets.errors import NameTaken
from modelyard.features.datasets.schemas import Purpose
from modelyard.sdk.bodies import Progress, body_of, is_frame
from modelyard.sdk.calls import call, delete, fetch, get, pages, patch, post, save
from modelyard.sdk.entity import Entity, Listing, frame
from modelyard.sdk.errors import JobFailed, rebuilt
from modelyard.sdk.flow import Flow, Mode, Resource, operation
from modelyard.sdk.jobs import Jobs, waiting
from modelyard.sdk.progress import Report
from modelyard.sdk.uploads import OnError, Uploads

ROWS = 1000
"""Rows of one request."""


class Samples(Listing[schemas.Sample]):
    """What came of an upload. Of a single file the sample's fields are attributes here too."""

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and len(self) == 1:
            return getattr(self[0], name)
        raise AttributeError(f"There are {len(self)} samples: take one of them, as in samples[0].{name}.")


class Rows(Listing[schemas.Row]):
    """Rows of a dataset. `total` are those that fit in all, `columns` the columns with their types."""

    total: int = 0
    columns: dict[str, str] = {}  # noqa: RUF012 - replaced, never changed

    def to_pandas(self) -> Any:
        """A pandas DataFrame: `row` (its id) and `purpose`, then the values; `_row` where a column is called `row`."""
        own = [name if name not in self.columns else f"_{name}" for name in ("row", "purpose")]
        return frame([{own[0]: row.id, own[1]: row.purpose, **row.values} for row in self])


class Dataset(Entity[Mode, schemas.Dataset]):
    """A dataset, with its operations."""

    @operation
    def upload(self, /, data: Any, **options: Any) -> Flow[Samples]:
        """As `client.datasets.upload`."""
        return (yield from Datasets(self._connection).upload.flow(self.data.id, data, **options))

    @operation
    def split(self, /, **options: Any) -> Flow[schemas.SplitDone]:
        """As `client.datasets.split`."""
        return (yield from Datasets(self._connection).split.flow(self.data.id, **options))

    @operation
    def profile(self) -> Flow[schemas.DatasetProfile]:
        """As `client.datasets.profile`."""
        return (yield from Datasets(self._connection).profile.flow(self.data.id))

    @operation
    def release(self, note: str = "", *, progress: bool | Report = False) -> Flow[Release[Mode]]:
        """As `client.datasets.release`."""
        return (yield from Datasets(self._connection).release.flow(self.data.id, note, progress=progress))

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
    def wait(self, *, progress: bool | Report = False, timeout: float | None = None) -> Flow[Release[Mode]]:
        """Wait until it is published; the same object then. Raises why it could not be made, TimedOut."""
        if self.data.job is not None and self.data.state == "preparing":
            job = yield from Jobs(self._connection).get.flow(self.data.job)
            yield from waiting(job, progress, timeout)
            request = get("datasets", self.data.dataset, "releases", self.data.number)
            self.data = yield from fetch(self, request, schemas.Release)
        if self.data.state == "failed" and self.data.failure is not None:
            raise rebuilt(self.data.failure, JobFailed.status, otherwise=JobFailed)
        return self

    @operation
    def download(self, to: str | Path = ".") -> Flow[Path]:
        """As `client.datasets.download`."""
        return (yield from Datasets(self._connection).download.flow(self.data.dataset, to, self.data.number))

    @operation
    def compare(self, other: int) -> Flow[schemas.Comparison]:
        """What changed from this release to another of the same dataset, by its number."""
        return (yield from Datasets(self._connection).compare.flow(self.data.dataset, self.data.number, other))

    @operation
    def archive(self) -> Flow[Release[Mode]]:
        """As `client.datasets.archive`; the same object then."""
        changed = yield from Datasets(self._connection).archive.flow(self.data.dataset, self.data.number)
        self.data = changed.data
        return self

    @operation
    def restore(self) -> Flow[Release[Mode]]:
        """As `client.datasets.restore`; the same object then."""
        changed = yield from Datasets(self._connection).restore.flow(self.data.dataset, self.data.number)
        self.data = changed.data
        return self

    @operation
    def delete(self) -> Flow[None]:
        """As `client.datasets.delete_release`."""
        yield from Datasets(self._connection).delete_release.flow(self.data.dataset, self.data.number)

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
        roles: Mapping[str, str] | None = None,
    ) -> Flow[Dataset[Mode]]:
        """An empty dataset. `roles` name the columns of the time, the series, the text or the group.

        Raises NameTaken.
        """
        body = {"name": name, "scenario": scenario, "description": description, "target": target}
        made = yield from fetch(self, post("datasets", body=body | {"roles": dict(roles or {})}), schemas.Dataset)
        return self._dataset(made)

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
    def update(
        self,
        dataset: str,
        *,
        description: str | None = None,
        target: str | None = None,
        roles: Mapping[str, str] | None = None,
    ) -> Flow[Dataset[Mode]]:
        """Change the description, the column to predict or the roles of the columns; what is None stays."""
        changes = {"description": description, "target": target, "roles": roles}
        changes = {name: value for name, value in changes.items() if value is not None}
        return self._dataset((yield from fetch(self, patch("datasets", dataset, body=changes), schemas.Dataset)))

    @operation
    def delete(self, dataset: str) -> Flow[None]:
        """Delete a dataset without releases. Raises InUse where it has some."""
        yield from call(self, delete("datasets", dataset))

    @operation
    def changes(self, dataset: str, *, limit: int | None = None) -> Flow[Listing[schemas.Change]]:
        """The history of a dataset, newest first: who changed what, when."""
        return Listing((yield from pages(self, get("datasets", dataset, "changes"), schemas.Change, limit)))

    @operation
    def upload(
        self,
        dataset: str,
        data: Any,
        *,
        purpose: Purpose | None = None,
        filename: str | None = None,
        on_error: OnError = "strict",
        replace: str | None = None,
        resume: bool = False,
        progress: bool | Progress | None = None,
    ) -> Flow[Samples]:
        """Add data: a path, a folder, several of them, bytes, an open binary file, or a data frame.

        A file is streamed from disk, whatever its size; large ones go in pieces that survive a lost connection. The
        folders training, validation and test of an archive or a folder say what rows are for. With
        `on_error="tolerant"` broken rows are left out and told in the samples' `problems`. `replace` is the id of a
        sample that goes when this one comes, `resume` goes on with an upload that was broken off. `progress` True
        draws how far it is, a function is called with the bytes sent and the size.
        """
        found = yield from Uploads(self._connection).send.flow(
            dataset, data, purpose=purpose, filename=filename, on_error=on_error, replace=replace, resume=resume,
            progress=progress or False,
        )  # fmt: skip
        return Samples(found)

    @operation
    def samples(
        self, dataset: str, *, purpose: Purpose | None = None, limit: int | None = None
    ) -> Flow[Listing[schemas.Sample]]:
        """The files of a dataset, newest first; those with rows of one purpose where one is named."""
        request = get("datasets", dataset, "samples", purpose=purpose)
        return Listing((yield from pages(self, request, schemas.Sample, limit)))

    @operation
    def sample(self, dataset: str, sample: str) -> Flow[schemas.Sample]:
        """One file of a dataset with its profile and what validation found."""
        return (yield from fetch(self, get("datasets", dataset, "samples", sample), schemas.Sample))

    @operation
    def set_purpose(self, dataset: str, sample: str, purpose: Purpose) -> Flow[schemas.Sample]:
        """Change what all rows of a file are for; releases already taken keep what it was."""
        request = patch("datasets", dataset, "samples", sample, body={"purpose": purpose})
        return (yield from fetch(self, request, schemas.Sample))

    @operation
    def delete_sample(self, dataset: str, sample: str) -> Flow[None]:
        """Take a file out of a dataset; releases that hold it keep it. Raises InUse while one is being prepared."""
        yield from call(self, delete("datasets", dataset, "samples", sample))

    @operation
    def rows(
        self,
        dataset: str,
        *,
        filters: Sequence[str] = (),
        search: str | None = None,
        purpose: Purpose | None = None,
        sample: str | None = None,
        sort: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> Flow[Rows]:
        """Rows as they are now, edits included.

        `filters` are `column:operator:value` with =, !=, <, <=, >, >=, contains, or `column:missing` and
        `column:present`; all of them hold. `sort` is a column, `column:asc` or `column:desc`. Raises BadFilter.
        """
        found = Rows()
        while True:
            request = get(
                "datasets", dataset, "rows", filter=[*filters] or None, search=search, purpose=purpose, sample=sample,
                sort=sort, limit=min(ROWS, limit - len(found)), offset=offset + len(found),
            )  # fmt: skip
            page = yield from fetch(self, request, schemas.RowPage)
            found += page.items
            found.total, found.columns = page.total, page.columns
            if not page.items or len(found) >= limit:
                return found

    @operation
    def add_rows(self, dataset: str, rows: Any, *, purpose: Purpose = "training") -> Flow[schemas.Sample]:
        """Append rows, mappings of column and value or a data frame, as a small file of their own. Raises BadValue."""
        if is_frame(rows):
            rows = _records(rows)
        body = {"rows": [dict(row) for row in rows], "purpose": purpose}
        return (yield from fetch(self, post("datasets", dataset, "rows", body=body), schemas.Sample))

    @operation
    def edit_rows(
        self,
        dataset: str,
        rows: Sequence[str] | None = None,
        *,
        where: Mapping[str, Any] | None = None,
        values: Mapping[str, Any] | None = None,
        purpose: Purpose | None = None,
        deleted: bool | None = None,
    ) -> Flow[schemas.RowsChanged]:
        """Change rows, named by ids or by `where` ({"filter": [...], "search", "purpose", "sample"}).

        One of: `values` of some columns, a `purpose`, `deleted` (False has them back). Raises BadValue, BadFilter.
        """
        named: dict[str, Any] = {"rows": None if rows is None else tuple(rows), "where": where}
        body = {**named, "values": values, "purpose": purpose, "deleted": deleted}
        body = {name: value for name, value in body.items() if value is not None}
        return (yield from fetch(self, patch("datasets", dataset, "rows", body=body), schemas.RowsChanged))

    @operation
    def label(self, dataset: str, rows: Sequence[str], label: Any) -> Flow[schemas.RowsChanged]:
        """Give rows a label: a value of the column that is to be predicted. Raises BadValue, Invalid without one."""
        target = (yield from self.get.flow(dataset)).data.target
        if target is None:
            raise Invalid(
                f"{dataset} has no label column. Say which one it is: "
                f"`modelyard dataset update {dataset} --target COLUMN`."
            )
        return (yield from self.edit_rows.flow(dataset, rows, values={target: label}))

    @operation
    def split(
        self,
        dataset: str,
        *,
        method: schemas.Method | None = None,
        training: float = 0.7,
        validation: float = 0.15,
        test: float = 0.15,
        seed: int = 0,
        group: str | None = None,
        time: str | None = None,
        keep_existing: bool = False,
        rules: Sequence[Mapping[str, Any]] | None = None,
    ) -> Flow[schemas.SplitDone]:
        """Divide the rows into training, validation and test.

        By `rules` ({"filter": [...], "purpose": ...}), or by a method: random, stratified, time or group; where none is
        named the scenario and the roles of the columns decide. Rows that are alike stay together. The same `seed`
        divides the same rows alike. Raises BadSplit.
        """
        body = {
            "method": method, "training": training, "validation": validation, "test": test, "seed": seed,
            "group": group, "time": time, "keep_existing": keep_existing,
            "rules": None if rules is None else [dict(rule) for rule in rules],
        }  # fmt: skip
        return (yield from fetch(self, post("datasets", dataset, "split", body=body), schemas.SplitDone))

    @operation
    def profile(self, dataset: str) -> Flow[schemas.DatasetProfile]:
        """What a dataset holds now: columns with their distributions, balance of the classes, span of the series."""
        return (yield from fetch(self, get("datasets", dataset, "profile"), schemas.DatasetProfile))

    @operation
    def release(
        self, dataset: str, note: str = "", *, wait: bool = True, progress: bool | Report = False
    ) -> Flow[Release[Mode]]:
        """Take an immutable release of a dataset as it is now.

        Where tables have to be made for it (rows with purposes of their own, edits) it waits for their job, unless
        `wait` is False. Raises EmptyDataset, ColumnsDiffer.
        """
        request = post("datasets", dataset, "releases", body={"note": note})
        return (yield from self._made(request, wait=wait, progress=progress))

    @operation
    def retry_release(
        self, dataset: str, release: int, *, wait: bool = True, progress: bool | Report = False
    ) -> Flow[Release[Mode]]:
        """Make a release that failed again, of the dataset as it is now. Raises WrongState."""
        request = post("datasets", dataset, "releases", release, "retry")
        return (yield from self._made(request, wait=wait, progress=progress))

    @operation
    def releases(self, dataset: str, *, limit: int | None = None) -> Flow[Listing[Release[Mode]]]:
        """The releases of a dataset, newest first."""
        found = yield from pages(self, get("datasets", dataset, "releases"), schemas.Release, limit)
        return Listing(self._release(data) for data in found)

    @operation
    def get_release(self, dataset: str, release: int) -> Flow[Release[Mode]]:
        """One release by its number. Raises NotFound."""
        request = get("datasets", dataset, "releases", release)
        return self._release((yield from fetch(self, request, schemas.Release)))

    @operation
    def archive(self, dataset: str, release: int) -> Flow[Release[Mode]]:
        """Put a release away: it stays as it is, and is no longer offered for training. Raises WrongState."""
        request = post("datasets", dataset, "releases", release, "archive")
        return self._release((yield from fetch(self, request, schemas.Release)))

    @operation
    def restore(self, dataset: str, release: int) -> Flow[Release[Mode]]:
        """Take an archived release out again. Raises WrongState."""
        request = post("datasets", dataset, "releases", release, "restore")
        return self._release((yield from fetch(self, request, schemas.Release)))

    @operation
    def delete_release(self, dataset: str, release: int) -> Flow[None]:
        """Delete a release that is archived or failed. Raises InUse, naming what uses it, WrongState."""
        yield from call(self, delete("datasets", dataset, "releases", release))

    @operation
    def release_profile(self, dataset: str, release: int) -> Flow[schemas.ReleaseProfile]:
        """What the columns of a release hold."""
        request = get("datasets", dataset, "releases", release, "profile")
        return (yield from fetch(self, request, schemas.ReleaseProfile))

    @operation
    def compare(self, dataset: str, before: int, after: int) -> Flow[schemas.Comparison]:
        """What changed from one release to another: files, rows, columns, distributions, balance of the classes."""
        request = get("datasets", dataset, "releases", before, "compare", after)
        return (yield from fetch(self, request, schemas.Comparison))

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
            same = [(file.sha256, file.purpose) for file in release.data.files] == [(digest, "training")]
            if same and release.data.state == "published":
                return release
        yield from self._make_room(dataset, digest, released)
        if not any(sample.sha256 == digest for sample in (yield from self.samples.flow(dataset))):
            yield from self.upload.flow(dataset, data, purpose="training", progress=progress)
        return (yield from self.release.flow(dataset))

    def _made(self, request: Any, *, wait: bool, progress: bool | Report) -> Flow[Release[Mode]]:
        made = self._release((yield from fetch(self, request, schemas.Release)))
        if wait:
            yield from made.wait.flow(progress=progress)
        return made

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

    def _dataset(self, data: schemas.Dataset) -> Dataset[Mode]:
        return Dataset(self._connection, data)

    def _release(self, data: schemas.Release) -> Release[Mode]:
        return Release(self._connection, data)


def _records(data: Any) -> Any:
    """The rows of a pandas or polars data frame as mappings."""
    return data.to_dict("records") if hasattr(data, "to_csv") else data.to_dicts()
