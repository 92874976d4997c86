"""Made tables: every kind of column, gaps in all of them, a target that hangs on some."""

from collections.abc import Callable, Collection

import numpy as np
import pytest

from modelyard.algorithms.base import Report, TrainingData
from modelyard.formats.base import Batch
from modelyard.protocol.signature import Field, Signature

FIELDS = (
    Field(name="size", kind="number"),
    Field(name="count", kind="integer"),
    Field(name="open", kind="boolean"),
    Field(name="colour", kind="category"),
    Field(name="town", kind="category"),
    Field(name="since", kind="date"),
    Field(name="note", kind="text"),
)
WORDS = ["late", "broken", "quick", "cold", "warm", "paid", "missing", "again", "never", "box", "good", "bad", "fine"]


class Kept(Report):
    """A report that keeps what it is told."""

    def __init__(self) -> None:
        self.fractions: list[float] = []
        self.metrics: list[tuple[str, int, float]] = []
        self.lines: list[str] = []

    def progress(self, phase, fraction, eta_seconds=None):
        assert 0 <= fraction <= 1
        assert eta_seconds is None or eta_seconds >= 0
        self.fractions.append(fraction)

    def metric(self, name, step, value):
        self.metrics.append((name, step, value))

    def log(self, line):
        self.lines.append(line)


def made_rows(rows: int, seed: int, towns: int = 60) -> tuple[Batch, np.ndarray]:
    """Rows of FIELDS and a number that hangs on them."""
    random = np.random.default_rng(seed)
    numbers = np.column_stack([random.lognormal(3, 1, rows), random.integers(0, 9, rows), random.integers(0, 2, rows)])
    colours = random.choice(["red", "green", "blue", "grün|=\n", ""], rows)
    places = np.array([f"town {number}" for number in random.zipf(1.3, rows) % towns])
    days = (np.datetime64("2021-03-01") + random.integers(0, 900, rows)).astype(str)
    notes = np.array([" ".join(random.choice(WORDS, 6)) for _ in range(rows)])
    strings = np.column_stack([colours, places, days, notes]).astype(object)
    value = 2 * np.log(numbers[:, 0]) + (colours == "red") * 2 + numbers[:, 2] + np.char.count(notes, "late")
    value = value + (np.char.str_len(places) == 6) + random.normal(0, 0.3, rows)
    numbers[random.random(numbers.shape) < 0.05] = np.nan
    strings[random.random(strings.shape) < 0.05] = ""
    return Batch(numbers.astype(np.float32), strings), value


def labels_of(value: np.ndarray, classes: int) -> np.ndarray:
    """The value itself, or in which of so many equal parts it lies."""
    if not classes:
        return value
    return np.searchsorted(np.quantile(value, np.arange(1, classes) / classes), value).astype(np.int64)


@pytest.fixture(scope="session")
def made() -> Callable[..., TrainingData]:
    """A training set with so many classes (none for regression) and the columns `kept`."""

    def make(classes: int, rows: int = 600, kept: Collection[str] = (), **of_rows) -> TrainingData:
        fields = tuple(field for field in FIELDS if not kept or field.name in kept)
        scenario = "tabular-classification" if classes else "tabular-regression"
        names = tuple(f"class {place}" for place in range(classes))
        signature = Signature(scenario=scenario, inputs=fields, target="y", classes=names)
        batch, value = made_rows(rows, 1, **of_rows)
        numeric = [place for place, field in enumerate(FIELDS[:3]) if field in fields]
        strings = [place for place, field in enumerate(FIELDS[3:]) if field in fields]
        batch = Batch(batch.numbers[:, numeric], batch.strings[:, strings])
        labels, cut = labels_of(value, classes), rows * 4 // 5
        return TrainingData(
            signature=signature,
            rows=Batch(batch.numbers[:cut], batch.strings[:cut]),
            labels=labels[:cut],
            validation=Batch(batch.numbers[cut:], batch.strings[cut:]),
            validation_labels=labels[cut:],
            seed=3,
        )

    return make


@pytest.fixture
def report() -> Kept:
    return Kept()


@pytest.fixture(scope="session")
def odd() -> Batch:
    """Rows of FIELDS that training never saw: nothing known, everything missing, the very large and the very small."""
    numbers = [[np.nan] * 3, [3.0e38, 1e9, 1], [-3.0e38, -1e9, 0], [1e-30, 0, 0], [0, 0, np.nan]]
    strings = [
        ["", "", "", ""],
        ["violet", "elsewhere", "1066-10-14", "words that nobody wrote"],
        ["re", "town 1 ", "9999-12-31T23:59:59", "late " * 400],
        ["3=red", "0=town 1", "2024-02-29T12:00:00+05:30", "¡ñandú! ümläut 漢字"],
        ["red", "town 1", "not a date", "."],
    ]
    return Batch(np.array(numbers, np.float32), np.array(strings, object))
