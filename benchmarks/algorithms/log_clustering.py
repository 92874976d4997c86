"""Log clustering: grouping accuracy on thirteen kinds of made logs, and how many lines a second one core takes.

The logs and the systems that wrote them are invented, see `_logs.py`, so the true template of each line is known.
Labels are never given to learn from. What is judged is the saved and loaded version, on the lines it learned from (as
published figures are) and on lines of the same systems that it never saw.
"""

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.algorithms._logs import SYSTEMS, System, lines
from benchmarks.algorithms.base import Result
from modelyard.algorithms import registry
from modelyard.algorithms.base import Report, TrainingData
from modelyard.algorithms.log_clustering._grouping import grouping_accuracy
from modelyard.formats import folder
from modelyard.formats.base import Batch
from modelyard.formats.registry import open_version
from modelyard.protocol.artifact import DESCRIPTION, SIGNATURE, Artifact
from modelyard.protocol.signature import Field, Signature

SCENARIO = "log-clustering"
ALGORITHM = "log-clustering/drain"
GOAL = 0.95
SPEED_GOAL = 100_000
LINES = 2000


class _Silent(Report):
    def progress(self, phase: str, fraction: float, eta_seconds: float | None = None) -> None: ...

    def metric(self, name: str, step: int, value: float) -> None: ...

    def log(self, line: str) -> None: ...


def results(*, quick: bool) -> Iterator[Result]:
    """Every figure; with `quick` speed is taken on fewer lines."""
    for system in SYSTEMS:
        yield from _accuracy(system)
    yield from _speed(50_000 if quick else 1_000_000)


def _accuracy(system: System) -> Iterator[Result]:
    made = list(lines(system, 2 * LINES, seed=0))
    batch, truth = batch_of([line for line, _ in made]), np.array([group for _, group in made])
    cut = LINES * 3 // 4
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        predictor = _learned(_part(batch, 0, cut), _part(batch, cut, LINES), Path(scratch) / "version")
        seconds = time.monotonic() - began
        found = predictor.predict(batch)[:, 0].astype(np.int64)
    for name, part in (("grouping accuracy", slice(LINES)), ("grouping accuracy, unseen lines", slice(LINES, None))):
        value = grouping_accuracy(truth[part], found[part])
        yield Result(SCENARIO, system.name, ALGORITHM, name, value, GOAL, higher_is_better=True, seconds=seconds)


def _speed(count: int) -> Iterator[Result]:
    share = count // len(SYSTEMS)
    for system in SYSTEMS:
        batch = batch_of([line for line, _ in lines(system, share, seed=1)])
        with tempfile.TemporaryDirectory() as scratch:
            began = time.process_time()
            predictor = _learned(batch, _part(batch, 0, 0), Path(scratch) / "version")
            learning = time.process_time() - began
            began = time.process_time()
            predictor.predict(batch)
            matching = time.process_time() - began
        for name, seconds in (("lines learned in a second", learning), ("lines matched in a second", matching)):
            value = share / seconds
            yield Result(
                SCENARIO, system.name, ALGORITHM, name, value, SPEED_GOAL, higher_is_better=True, seconds=learning
            )


def _learned(rows: Batch, validation: Batch, target: Path):  # type: ignore[no-untyped-def]
    """The version that the platform would serve."""
    signature = Signature(scenario=SCENARIO, inputs=(Field(name="line", kind="text"),), target="group")
    nobody = np.full(rows.rows, -1, np.int64), np.full(validation.rows, -1, np.int64)
    data = TrainingData(
        signature=signature, rows=rows, labels=nobody[0], validation=validation, validation_labels=nobody[1], seed=0
    )
    algorithm = registry.get(ALGORITHM)
    parameters = algorithm.Parameters()
    trained = algorithm().fit(data, parameters, _Silent())
    if validation.rows:
        trained = algorithm().finish(data, trained, parameters, _Silent())
    target.mkdir()
    form = trained.save(target)
    folder.write(target / SIGNATURE, signature)
    folder.write(target / DESCRIPTION, Artifact(format=form, scenario=SCENARIO, algorithm=ALGORITHM))
    return open_version(target)


def batch_of(texts: Sequence[str]) -> Batch:
    """Lines as a predictor takes them."""
    strings = np.empty((len(texts), 1), object)
    strings[:, 0] = texts
    return Batch(np.empty((len(texts), 0), np.float32), strings)


def _part(batch: Batch, start: int, end: int) -> Batch:
    return Batch(batch.numbers[start:end], batch.strings[start:end])
