"""Made tables and series with anomalies whose places are known."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from modelyard.algorithms import registry
from modelyard.algorithms.base import Report, Trained, TrainingData
from modelyard.formats import folder
from modelyard.formats.base import Batch, Predictor
from modelyard.formats.registry import open_version
from modelyard.protocol.artifact import DESCRIPTION, SIGNATURE, Artifact
from modelyard.protocol.signature import Field, Signature

TABLE = Signature(
    scenario="anomaly-detection",
    inputs=(
        Field(name="a", kind="number"),
        Field(name="b", kind="number"),
        Field(name="flat", kind="number"),
        Field(name="count", kind="integer"),
        Field(name="colour", kind="category"),
        Field(name="note", kind="text"),
    ),
    target="odd",
)
SERIES = Signature(
    scenario="anomaly-detection",
    inputs=(
        Field(name="at", kind="date"),
        Field(name="pump", kind="category"),
        Field(name="value", kind="number"),
    ),
    target="odd",
    time="at",
    series="pump",
)


class Unread(Report):
    """A report that nobody reads."""

    def progress(self, phase, fraction, eta_seconds=None): ...

    def metric(self, name, step, value): ...

    def log(self, line): ...


def made_table(rows: int, seed: int) -> tuple[Batch, np.ndarray]:
    """Rows of TABLE; every twentieth is an anomaly in `a`, `b` and `colour`."""
    random = np.random.default_rng(seed)
    odd = np.arange(rows) % 20 == 7
    first = random.normal(0, 1, rows)
    second = first + random.normal(0, 0.3, rows)
    first[odd] += random.choice([-6, 6], odd.sum())
    numbers = np.column_stack([first, second, np.full(rows, 3.0), random.integers(0, 9, rows)])
    numbers[random.random(rows) < 0.05, 3] = np.nan
    colours = np.where(odd, "violet", random.choice(["red", "green", ""], rows))
    strings = np.column_stack([colours, [f"note number {row}" for row in range(rows)]]).astype(object)
    return Batch(numbers.astype(np.float32), strings), odd.astype(np.int64)


def made_series(rows: int, seed: int, names: tuple[str, ...] = ("p1", "p2")) -> tuple[Batch, np.ndarray]:
    """Hourly rows of SERIES, with a daily course; three spikes in the last half of each."""
    random = np.random.default_rng(seed)
    numbers, strings, labels = [], [], []
    times = np.datetime64("2024-01-01T00") + np.arange(rows)
    for place, name in enumerate(names):
        value = 10 * (place + 1) * (1 + 0.2 * np.sin(np.arange(rows) * np.pi / 12)) + random.normal(0, 0.2, rows)
        odd = np.zeros(rows, np.int64)
        odd[[rows * 6 // 10, rows * 8 // 10, rows * 19 // 20]] = 1
        numbers.append(value + odd * 10 * (place + 1))
        strings.append(np.column_stack([np.datetime_as_string(times, "s"), np.full(rows, name)]))
        labels.append(odd)
    batch = Batch(np.concatenate(numbers).astype(np.float32)[:, None], np.concatenate(strings).astype(object))
    return batch, np.concatenate(labels)


def part(batch: Batch, rows) -> Batch:
    return Batch(batch.numbers[rows], batch.strings[rows])


def data_of(
    signature: Signature, rows: Batch, labels: np.ndarray | None = None, validation: Batch | None = None,
    validation_labels: np.ndarray | None = None, seed: int = 3,
) -> TrainingData:  # fmt: skip
    """Without labels unless they are given."""
    validation = part(rows, np.arange(0)) if validation is None else validation
    return TrainingData(
        signature=signature,
        rows=rows,
        labels=np.full(rows.rows, -1) if labels is None else labels,
        validation=validation,
        validation_labels=np.full(validation.rows, -1) if validation_labels is None else validation_labels,
        seed=seed,
    )


def learn(name: str, data: TrainingData, report: Report, **settings) -> Trained:
    """What `fit` and `finish` give."""
    algorithm = registry.get(f"anomaly-detection/{name}")
    parameters = algorithm.Parameters(**settings)
    trained = algorithm().fit(data, parameters, report)
    return algorithm().finish(data, trained, parameters, report)


def served(trained: Trained, target: Path) -> Predictor:
    """The predictor that a version folder gives back."""
    target.mkdir(exist_ok=True)
    form = trained.save(target)
    folder.write(target / SIGNATURE, trained.signature)
    folder.write(target / DESCRIPTION, Artifact(format=form, scenario="anomaly-detection", algorithm="any"))
    return open_version(target)


@pytest.fixture(scope="session")
def table() -> tuple[Batch, np.ndarray]:
    return made_table(600, 1)


@pytest.fixture(scope="session")
def series() -> tuple[Batch, np.ndarray]:
    return made_series(800, 1)


@pytest.fixture(scope="session")
def kit() -> SimpleNamespace:
    """What the tests of this folder are made with."""
    return SimpleNamespace(
        TABLE=TABLE, SERIES=SERIES, made_table=made_table, made_series=made_series, part=part, data_of=data_of,
        learn=learn, served=served, Kept=Unread,
    )  # fmt: skip
