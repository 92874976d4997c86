"""Datasets without a server: a real database and object store, samples made from SQL, jobs done in this process."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest

from modelyard.core import ids
from modelyard.features.auth.permissions import Principal
from modelyard.features.auth.tables import UserRow
from modelyard.features.datasets import operations, releases
from modelyard.features.datasets.contents import derive
from modelyard.features.datasets.profile import describe
from modelyard.features.datasets.schemas import DatasetCreate, Row, RowPage, Where
from modelyard.features.datasets.tables import DatasetRow, ReleaseRow, SampleRow
from modelyard.features.jobs import operations as jobs
from modelyard.features.jobs.tables import JobRow
from modelyard.protocol.jobs import Event, Failure, Finish, JobSpec
from modelyard.storage.db.paging import Paging
from modelyard.web.platform import Platform
from modelyard.worker.context import JobContext
from modelyard.worker.recipes.release import Release

TABLE = (
    "SELECT range AS id, range % 90 AS age, 'city ' || range % 7 AS city, range / 8 AS income, range % 3 = 0 AS left, "
    "TIMESTAMP '2024-01-01' + to_hours(range::INT) AS seen FROM range({rows})"
)


CANONICAL = {"INTEGER": "BIGINT", "DECIMAL(2,1)": "DOUBLE", '"NULL"': "VARCHAR"}


def quote(name: str) -> str:
    return name.replace('"', '""')


class Context(JobContext):
    """What a worker would give the recipe; what runs shut in runs here."""

    def __init__(self, platform: Platform, folder: Path, spec: JobSpec) -> None:
        self.spec, self.scratch, self.objects, self.settings = spec, folder, platform.objects, platform.settings
        self.events: list[Event] = []

    def report(self, event: Event) -> None:
        self.events.append(event)

    def run_shut_in(self, argv: Sequence[str], *, work: Path, span: tuple[float, float]) -> None:
        derived = derive.derive(work, lambda _phase, _fraction: None)
        (work / "out" / "derived.json").write_bytes(msgspec.json.encode(derived))


class Shelf:
    """A platform with somebody who keeps datasets on it."""

    def __init__(self, platform: Platform, folder: Path) -> None:
        self.platform, self._folder, self._number = platform, folder, 0
        with platform.database.session(read_only=True) as session:
            user = session.query(UserRow).first()
        assert user is not None
        self.principal = Principal(
            user=user.id, username=user.username, organisation=user.organisation, role="administrator"
        )

    def dataset(self, name: str = "people", **more: Any) -> DatasetRow:
        with self.platform.database.session() as session:
            wanted = DatasetCreate(name=name, **more)
            return operations.create(session, self.principal, wanted, self.platform.clock.now())

    def sample(self, query: str, *, to: str = "people", purpose: Any = "training", name: str = "") -> SampleRow:
        """A sample whose canonical table is what a query gives; its file is the same as CSV."""
        self._number += 1
        sample_id, name = ids.new("smp"), name or f"file-{self._number}.csv"
        table, original = (self._folder / f"{sample_id}.{kind}" for kind in ("parquet", "csv"))
        with duckdb.connect() as connection:
            types = connection.execute(f"DESCRIBE {query}").fetchall()
            casts = ", ".join(
                f'"{quote(column)}"::{CANONICAL.get(kind, kind)} AS "{quote(column)}"' for column, kind, *_ in types
            )
            query = f"SELECT {casts} FROM ({query})"
            connection.execute(f"COPY ({query}) TO '{table}' (FORMAT parquet)")
            connection.execute(f"COPY ({query}) TO '{original}' (FORMAT csv)")
            profile = msgspec.json.decode(msgspec.json.encode(describe(connection, f"read_parquet('{table}')")))
        with self.platform.database.session(read_only=True) as session:
            dataset = operations.get(session, self.principal, to)
        folder = f"datasets/{dataset.id}/{sample_id}"
        self.platform.objects.put(f"{folder}/table.parquet", table)
        self.platform.objects.put(f"{folder}/original", original)
        with self.platform.database.session() as session:
            return operations.add_sample(
                session, operations.get(session, self.principal, to), sample_id=sample_id, filename=name,
                purpose=purpose, size=original.stat().st_size, sha256=f"{self._number:064x}", profile=profile,
                original=f"{folder}/original", table=f"{folder}/table.parquet", problems=(),
                created_by=self.principal.user, organisation=self.principal.organisation,
                now=self.platform.clock.now(),
            )  # fmt: skip

    def rows(
        self, *filters: str, of: str = "people", sort: str | None = None, limit: int = 1000, **where: Any
    ) -> RowPage:
        from modelyard.features.datasets import rows

        wanted = Where(filter=list(filters), **where)
        return rows.page(self.platform, self.principal, of, wanted, sort=sort, limit=limit, offset=0)

    def all(self, of: str = "people") -> list[Row]:
        return self.rows(of=of).items

    def release(self, of: str = "people", note: str = "") -> ReleaseRow:
        """A release, its job done where it has one."""
        row = releases.take(self.platform, self.principal, of, note)
        if row.state == "preparing":
            self.work(row)
        return self.shown(row)

    def shown(self, row: ReleaseRow) -> ReleaseRow:
        with self.platform.database.session(read_only=True) as session:
            found = session.get(ReleaseRow, row.id)
            assert found is not None
            return found

    def work(self, row: ReleaseRow, outcome: Any = "succeeded") -> None:
        """Do the job of a release as a worker would, or end it otherwise."""
        assert row.job is not None
        with self.platform.database.session() as session:
            start = jobs.start_next(session, self.platform.settings.jobs)
            assert start is not None
            assert start.job == row.job
            spec = jobs.claim(session, start.job, start.token, self.platform.settings.jobs)
        finish = Finish(token=spec.token, outcome=outcome)
        if outcome == "succeeded":
            self._number += 1
            folder = self._folder / f"scratch-{self._number}"
            folder.mkdir()
            result = Release().run(Context(self.platform, folder, spec))
            finish = Finish(token=spec.token, outcome=outcome, result=msgspec.json.decode(msgspec.json.encode(result)))
        if outcome == "failed":
            finish = Finish(
                token=spec.token, outcome=outcome, failure=Failure(code="out_of_space", message="The disk is full.")
            )
        with self.platform.database.session() as session:
            jobs.finish(session, spec.id, finish, self.platform.settings.jobs)

    def job(self, row: ReleaseRow) -> JobRow:
        with self.platform.database.session(read_only=True) as session:
            found = session.get(JobRow, row.job)
            assert found is not None
            return found

    def table(self, release: ReleaseRow, purpose: str) -> list[tuple[Any, ...]]:
        """The rows of a release that are for something, in order."""
        found: list[tuple[Any, ...]] = []
        for given in operations.tables_of(release):
            if given.purpose == purpose:
                path = self._folder / "fetched.parquet"
                self.platform.objects.download(given.key, path)
                with duckdb.connect() as connection:
                    part = connection.execute(f"SELECT * FROM read_parquet('{path}')").fetchall()
                assert len(part) == given.rows
                found += part
        return found

    def release_numbers(self, of: str = "people") -> list[int]:
        with self.platform.database.session(read_only=True) as session:
            return [row.number for row in operations.releases(session, self.principal, of, Paging()).rows]

    def objects(self, prefix: str = "datasets") -> list[str]:
        return [info.key for info in self.platform.objects.list(prefix)]


@pytest.fixture
def shelf(platform_parts: Platform, tmp_path: Path) -> Shelf:
    folder = tmp_path / "shelf"
    folder.mkdir()
    return Shelf(platform_parts, folder)


@pytest.fixture
def people(shelf: Shelf) -> Callable[..., SampleRow]:
    """A dataset of people with a file of so many rows."""

    def make(rows: int = 100, **more: Any) -> SampleRow:
        shelf.dataset(**more)
        return shelf.sample(TABLE.format(rows=rows))

    return make
