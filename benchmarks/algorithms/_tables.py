"""Learning from a table as the platform does: read, divide, choose columns, fit, finish, save, and open again."""

import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np

from modelyard.algorithms import registry
from modelyard.algorithms.base import Report, TrainingData
from modelyard.algorithms.tabular import columns, labels, parts, table
from modelyard.formats import folder
from modelyard.formats.base import Batch, Predictor
from modelyard.formats.registry import open_version
from modelyard.protocol.artifact import DESCRIPTION, SIGNATURE, Artifact
from modelyard.protocol.signature import Signature

SEED = 0


class Silent(Report):
    """Says nothing."""

    def progress(self, phase: str, fraction: float, eta_seconds: float | None = None) -> None: ...

    def metric(self, name: str, step: int, value: float) -> None: ...

    def log(self, line: str) -> None: ...


class Task(NamedTuple):
    """What is learned from, and the rows that only judge."""

    data: TrainingData
    test: Batch
    test_labels: np.ndarray
    positive: int


def task(scenario: str, source: Path, target: str) -> Task:
    """A set of `train.csv` and `test.csv`; validation rows are split off the training rows."""
    with tempfile.TemporaryDirectory() as temporary:
        paths = {}
        for purpose, name in (("training", "train"), ("test", "test")):
            paths[purpose] = Path(temporary) / f"{name}.parquet"
            read = f"SELECT * FROM read_csv('{source / name}.csv', nullstr=['', ' '])"
            duckdb.sql(read).write_parquet(str(paths[purpose]))
        types = table.schema([paths["training"]])
        tables = {purpose: table.read_parquet(path, types) for purpose, path in paths.items()}
    found = None if scenario == "tabular-regression" else labels.classes(tables["training"][target], None)
    names = found.names if found else ()
    divided = parts.divide(tables, target, parts.labeller(names), seed=SEED)
    chosen = columns.choose(divided.training.table, target, ())
    signature = Signature(scenario=scenario, inputs=chosen.fields, target=target, classes=names)
    positive = names.index(found.positive) if found and found.positive else 0
    test = divided.test.table.batch(signature.inputs)
    return Task(parts.training_data(divided, signature, SEED), test, divided.test.labels, positive)


def learned(name: str, data: TrainingData) -> tuple[Predictor, float]:
    """The version that is served, opened from its folder, with default parameters; and the seconds learning took."""
    algorithm = registry.get(name)
    parameters, started = algorithm.Parameters(), time.perf_counter()
    trained = algorithm().fit(data, parameters, Silent())
    trained = algorithm().finish(data, trained, parameters, Silent())
    seconds = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as temporary:
        target = Path(temporary)
        form = trained.save(target)
        folder.write(target / SIGNATURE, data.signature)
        folder.write(target / DESCRIPTION, Artifact(format=form, scenario=data.signature.scenario, algorithm=name))
        return open_version(target), seconds


def single(scenario: str) -> list[str]:
    """The algorithms of a scenario that have all they need; those that mix others are left to their own benchmark."""
    return [name for name in registry.names(scenario) if _installed(name)]


def _installed(name: str) -> bool:
    try:
        return all(import_module(package) for package in registry.get(name).requires)
    except ImportError:
        return False


def milliseconds(predictor: Predictor, rows: Batch, *, times: int = 200) -> float:
    """The median time of one call."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        predictor.predict(rows)
        taken.append(time.perf_counter() - started)
    return 1000 * float(np.median(taken))
