"""The process that imports: what it reads and writes, how much it needs, and that it reaches nothing else."""

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest

from modelyard.core.errors import tree
from modelyard.features.datasets.importers import errors
from modelyard.features.datasets.importers.engine import connect
from modelyard.features.datasets.importers.run import REGISTRY, import_file
from modelyard.features.datasets.profile import Profile

MIB = 1 << 20


def run(job: Path, **limits: Any) -> subprocess.CompletedProcess[str]:
    """The importer as the sandbox starts it."""
    command = [sys.executable, "-m", "modelyard.features.datasets.importers.run", str(job)]
    return subprocess.run(command, cwd="/", capture_output=True, text=True, check=False, **limits)


def prepared(tmp_path: Path, content: bytes, **spec: Any) -> Path:
    """A job's folder with one file in it."""
    job = tmp_path / "job"
    (job / "in").mkdir(parents=True)
    (job / "in" / "original").write_bytes(content)
    (job / "spec.json").write_text(json.dumps({"file": "in/original", "filename": "table.csv", **spec}))
    return job


def test_a_table_and_its_profile_are_written(tmp_path: Path) -> None:
    job = prepared(tmp_path, b"a,b\n1,x\n2,y\n")
    done = run(job)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sorted(str(path.relative_to(job)) for path in job.rglob("*") if path.is_file()) == [
        "in/original", "out/0/profile.json", "out/0/table.parquet", "out/samples.json", "spec.json",
    ]  # fmt: skip
    profile = msgspec.json.decode((job / "out" / "0" / "profile.json").read_bytes(), type=Profile)
    assert (profile.rows, [column.name for column in profile.columns]) == (2, ["a", "b"])
    assert duckdb.sql(f"SELECT * FROM read_parquet('{job}/out/0/table.parquet')").fetchall() == [(1, "x"), (2, "y")]


def test_a_failure_is_written_and_nothing_else(tmp_path: Path) -> None:
    job = prepared(tmp_path, b"a,b,c\n1,2,3\n", columns_limit=2)
    done = run(job)
    assert (done.returncode, done.stderr) == (1, "")
    failure = json.loads((job / "failure.json").read_text())
    assert (failure["code"], failure["detail"]) == ("too_many_columns", {"columns": 3, "limit": 2})
    assert list((job / "out").iterdir()) == []


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    content = b"a,b\n" + b"".join(b"%d,%d\n" % (number * 7919, number * 104729) for number in range(400_000))
    job = prepared(tmp_path, content)
    done = run(job, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, MIB)))
    assert done.returncode == 1
    assert done.stderr == "No space left on device\n"
    assert not (job / "failure.json").exists()
    assert list((job / "out").iterdir()) == []


def test_a_large_file_needs_little_memory(tmp_path: Path) -> None:
    lines = b"".join(b"%d,%d.5,name %d,2024-01-%02d\n" % (n, n, n % 1000, n % 28 + 1) for n in range(50_000))
    job = prepared(tmp_path, b"id,x,name,day\n" + lines * 40)
    # Measured by a small process in between: a child begins with the peak of the process it is forked from.
    measured = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    run = [sys.executable, "-m", "modelyard.features.datasets.importers.run", str(job)]
    done = subprocess.run([sys.executable, "-c", measured, *run], capture_output=True, text=True, check=True)
    assert int(done.stdout) * 1024 < 450 * MIB
    assert msgspec.json.decode((job / "out" / "0" / "profile.json").read_bytes(), type=Profile).rows == 2_000_000


def test_only_what_is_needed_is_imported() -> None:
    code = (
        "import modelyard.features.datasets.importers.run, sys; "
        "print(*sorted({'sqlalchemy', 'fastapi', 'pydantic', 'pandas', 'sklearn', 'obstore'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_the_engine_reaches_neither_other_files_nor_the_network(tmp_path: Path) -> None:
    own, other = tmp_path / "own", tmp_path / "other.csv"
    own.mkdir()
    other.write_text("a\n1\n")
    with connect(own, []) as connection:
        for query in (
            f"SELECT * FROM read_csv('{other}')",
            f"SELECT * FROM read_text('{other}')",
            f"SELECT * FROM glob('{tmp_path}/*')",
            f"COPY (SELECT 1) TO '{tmp_path}/written.csv'",
            f"ATTACH '{tmp_path}/other.db'",
            "SELECT * FROM read_csv('http://127.0.0.1:9/x.csv')",
            "INSTALL httpfs",
            "LOAD excel",
            "SET enable_external_access = true",
        ):
            with pytest.raises(duckdb.Error):
                connection.execute(query)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.csv", "own"]


def test_the_same_file_gives_the_same_bytes(tmp_path: Path) -> None:
    source = tmp_path / "source.csv"
    rows = (f"{number},{number / 7},{number % 97},word {number % 13}\n" for number in range(200_000))
    source.write_text("id,x,y,z\n" + "".join(rows))
    results = []
    for name in ("one", "two"):
        out = tmp_path / name
        out.mkdir()
        import_file(source, "source.csv", out)
        results.append(((out / "table.parquet").read_bytes(), (out / "profile.json").read_bytes()))
    assert results[0] == results[1]


def test_every_error_says_what_to_do_and_has_a_code_of_its_own() -> None:
    own = [error for error in tree() if error.__module__ == errors.__name__]
    assert len({error.code for error in own}) == len(own) == 12
    assert {error.status for error in own} == {422}


def test_the_importers_are_the_files_of_the_folder() -> None:
    assert REGISTRY.names() == ["csv", "excel", "json_lines", "lines", "parquet"]
