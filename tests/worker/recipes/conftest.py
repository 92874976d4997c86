"""A job context in this process: real objects in a folder, the real child as a plain process, its events in a list."""

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import duckdb
import msgspec
import pytest

from modelyard.core.settings import Settings, child_environment
from modelyard.protocol.jobs import CandidateSpec, Event, Failure, JobSpec, LogLine, Progress, TableInput, TrainSpec
from modelyard.storage.objects.opened import open_store
from modelyard.worker.context import JobContext
from modelyard.worker.failures import JobFailed

# What a sandbox does for its command: the events' descriptor becomes number 3.
AS_THREE = """
import os, sys
given = int(sys.argv[1])
os.dup2(given, 3)
if given != 3:
    os.close(given)
os.execv(sys.argv[2], sys.argv[2:])
"""

DATA = Path(__file__).parents[2] / "data"


class Context(JobContext):
    """What a worker would give a recipe, without a sandbox and without an api."""

    def __init__(self, folder: Path) -> None:
        self.scratch = folder / "scratch"
        self.scratch.mkdir()
        self.objects = open_store(str(folder / "objects"))
        self.settings = Settings(data=folder)
        self.events: list[Event] = []
        self.runs: list[Path] = []
        self.path: list[str] = []
        self.number = 0

    def report(self, event: Event) -> None:
        self.events.append(event)

    def run_shut_in(self, argv: Sequence[str], *, work: Path, span: tuple[float, float]) -> None:
        self.runs.append(work)
        listening, telling = os.pipe()
        listener = threading.Thread(target=self._listen, args=(listening, span))
        listener.start()
        here = [str(work) if part == "/job" else part for part in argv]
        command = [sys.executable, "-c", AS_THREE, str(telling), *here]
        environment = {**child_environment(self.settings), "PYTHONPATH": os.pathsep.join(self.path)}
        ran = subprocess.run(
            command, pass_fds=[telling], env=environment, cwd=work, capture_output=True, text=True, check=False
        )
        os.close(telling)
        listener.join()
        if ran.returncode:
            assert (work / "failure.json").is_file(), ran.stderr
            raise JobFailed(msgspec.json.decode((work / "failure.json").read_bytes(), type=Failure))

    def _listen(self, descriptor: int, span: tuple[float, float]) -> None:
        with os.fdopen(descriptor) as lines:
            for line in lines:
                event = msgspec.json.decode(line, type=Event)
                if isinstance(event, Progress):
                    fraction = span[0] + event.fraction * (span[1] - span[0])
                    event = msgspec.structs.replace(event, fraction=fraction)
                self.events.append(event)

    def lines(self) -> list[str]:
        return [event.line for event in self.events if isinstance(event, LogLine)]

    def table(self, query: str, purpose: str = "training") -> TableInput:
        """A Parquet table in the object store, from SQL."""
        self.number += 1
        path, key = self.scratch / f"given-{self.number}.parquet", f"samples/{self.number}/table.parquet"
        duckdb.sql(query).write_parquet(str(path))
        rows = duckdb.sql(f"SELECT count(*) FROM '{path}'").fetchall()[0][0]
        self.objects.put(key, path)
        return TableInput(key=key, purpose=purpose, rows=rows)

    def train(self, *tables: TableInput, target: str, **settings) -> dict:
        """What the recipe answers."""
        from modelyard.worker.recipes.train import Train

        scenario = settings.pop("scenario", "tabular-classification")
        names = settings.pop("algorithms", ("linear", "lightgbm"))
        usual = {"candidates": tuple(CandidateSpec(algorithm=f"{scenario}/{name}") for name in names)}
        usual["output"] = "runs/run_1"
        spec = TrainSpec(
            scenario=scenario, target=target, tables=tables, model="tests/model", release="data@1",
            **{**usual, **settings},
        )  # fmt: skip
        payload = msgspec.to_builtins(spec)
        self.spec = JobSpec(id="job_1", kind="train", token=7, lease_seconds=10, payload=payload)
        return Train().run(self)

    def download(self, result: dict, target: Path) -> Path:
        for entry in result["files"]:
            path = target / entry["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            self.objects.download(f"{result['folder']}/{entry['path']}", path)
        return target


@pytest.fixture(scope="session")
def context_in() -> type[Context]:
    """Makes a context in a folder."""
    return Context


@pytest.fixture
def context(tmp_path) -> Context:
    return Context(tmp_path)


@pytest.fixture
def titanic() -> str:
    """SQL for the table, with the types that an importer finds."""
    return f"SELECT * FROM read_csv('{DATA}/titanic/train.csv')"


@pytest.fixture
def telco() -> str:
    """The same for telco: blanks in a column of numbers are missing values, Yes and No are words."""
    blanks = "TRY_CAST(trim(TotalCharges::VARCHAR) AS DOUBLE)"
    types = "auto_type_candidates=['BIGINT', 'DOUBLE', 'VARCHAR']"
    return f"SELECT * REPLACE ({blanks} AS TotalCharges) FROM read_csv('{DATA}/telco_churn/train.csv', {types})"
