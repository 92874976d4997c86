"""Files as people upload them, and what becomes of them."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import msgspec
import pytest

from fixtures.workbook import write_workbook
from modelyard.features.datasets.importers.run import import_file, import_upload
from modelyard.features.datasets.profile import ColumnProfile, Profile
from modelyard.protocol.intake import ImportSpec


class Imported(NamedTuple):
    """The canonical table as rows, and its profile."""

    rows: list[tuple[Any, ...]]
    profile: Profile

    @property
    def types(self) -> dict[str, str]:
        """The type of each column."""
        return {column.name: column.type for column in self.profile.columns}

    def column(self, name: str) -> list[Any]:
        """All values of one column."""
        return [row[list(self.types).index(name)] for row in self.rows]

    def profiled(self, name: str) -> ColumnProfile:
        """The profile of one column."""
        return next(column for column in self.profile.columns if column.name == name)


@pytest.fixture
def imported(tmp_path: Path) -> Callable[..., Imported]:
    """`imported(content, filename="table.csv", limit=5000)`: the import of a file, bytes or text, or the error."""

    def run(content: bytes | str | Path, filename: str = "table.csv", limit: int = 5000) -> Imported:
        out = tmp_path / "out"
        out.mkdir(exist_ok=True)
        path = content if isinstance(content, Path) else tmp_path / "original"
        if not isinstance(content, Path):
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        try:
            profile = import_file(path, filename, out, limit)
        except BaseException:
            assert list(out.iterdir()) == [], "a failed import leaves nothing"
            raise
        assert sorted(file.name for file in out.iterdir()) == ["profile.json", "table.parquet"]
        with duckdb.connect() as connection:
            rows = connection.execute("SELECT * FROM read_parquet(?)", [str(out / "table.parquet")]).fetchall()
        for file in out.iterdir():
            file.unlink()
        return Imported(rows, profile)

    return run


class Uploaded(NamedTuple):
    """What became of an upload: each file's rows by its name and purpose, the codes of its problems, what was left."""

    tables: dict[tuple[str, str], list[tuple[Any, ...]]]
    problems: list[dict[str, Any]]
    left_out: list[str]

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        """The rows of the only file."""
        (rows,) = self.tables.values()
        return rows

    def problem(self, code: str) -> dict[str, Any]:
        """The problem of this code."""
        return next(problem for problem in self.problems if problem["code"] == code)


@pytest.fixture
def uploaded(tmp_path: Path) -> Callable[..., Uploaded]:
    """`uploaded(content, filename, scenario, …)`: the import of an upload as the sandbox does it, or the error."""

    def run(content: bytes | str | Path, filename: str, scenario: str = "tabular-classification", **more: Any) -> Any:
        job = tmp_path / "upload"
        shutil.rmtree(job, ignore_errors=True)
        (job / "out").mkdir(parents=True)
        path = job / "original"
        given = content.read_bytes() if isinstance(content, Path) else content
        path.write_bytes(given if isinstance(given, bytes) else given.encode())
        try:
            made = import_upload(ImportSpec("original", filename, scenario=scenario, **more), job, job / "out")
        finally:
            assert [each.name for each in job.iterdir() if each.name.startswith(".")] == [], "nothing is left behind"
        tables = {}
        for found in made.files:
            table = job / "out" / found.folder / "table.parquet"
            assert (job / "out" / found.folder / "original").is_file() == found.packed
            with duckdb.connect() as connection:
                rows = connection.execute("SELECT * FROM read_parquet(?)", [str(table)]).fetchall()
            tables[found.filename, found.purpose] = rows
        problems = [
            problem
            for found in msgspec.json.decode(msgspec.json.encode(made))["files"]
            for problem in found["problems"]
        ]
        return Uploaded(tables, problems, made.left_out)

    return run


@pytest.fixture
def parquet(tmp_path: Path) -> Callable[[str], Path]:
    """`parquet("SELECT …")`: a Parquet file of what a query gives."""

    def write(query: str) -> Path:
        path = tmp_path / "written.parquet"
        with duckdb.connect() as connection:
            connection.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
        return path

    return write


@pytest.fixture
def workbook(tmp_path: Path) -> Callable[..., Path]:
    """`workbook(rows, …)`: an .xlsx with a sheet for each list of rows; (day,) is a date by its number since 1900."""

    def write(*sheets: Sequence[Sequence[Any]]) -> Path:
        return write_workbook(tmp_path / "written.xlsx", *sheets)

    return write
