"""Anomaly detection: ROC AUC on three tables, NAB scores on series, microseconds for each row.

Tables: learned from all rows without their labels and scored on the same rows, as published tables of PyOD are; and
learned from 60 % and scored on the rest. Series: what is learned is the probationary part of each, the rest is one
request; one threshold for all series, the best one as NAB's optimiser finds it, and the algorithm's own.

The detectors that are combined by default, and the measure and silence for series, were chosen by their scores on these
same sets, labels included: expect somewhat less on others.
"""

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.algorithms import _nab
from benchmarks.algorithms.base import DATA, Result
from modelyard.algorithms import registry
from modelyard.algorithms.anomaly_detection._labels import area_under_curve
from modelyard.algorithms.base import Report, TrainingData
from modelyard.formats import folder
from modelyard.formats.base import Batch, Predictor
from modelyard.formats.registry import open_version
from modelyard.protocol.artifact import DESCRIPTION, SIGNATURE, Artifact
from modelyard.protocol.signature import Field, Signature

SCENARIO = "anomaly-detection"
TABLES = {"cardio": 0.95, "thyroid": 0.98, "mammography": 0.90}
ROW_ALGORITHMS = ("rank-average", "isolation-forest", "ecod", "hbos", "knn")
SERIES_ALGORITHMS = ("matrix-profile", "seasonal-residual", "change-points")
NAB_GOALS = {"realAWSCloudwatch": 60.7, "artificialWithAnomaly": 56.6}
SEEDS = 3
DEFAULT, SERIES_DEFAULT = ROW_ALGORITHMS[0], SERIES_ALGORITHMS[0]
"""The numbers to beat are for whoever takes these."""


class Silent(Report):
    """Says nothing."""

    def progress(self, phase: str, fraction: float, eta_seconds: float | None = None) -> None: ...

    def metric(self, name: str, step: int, value: float) -> None: ...

    def log(self, line: str) -> None: ...


def results(*, quick: bool) -> Iterator[Result]:
    """Every figure; `quick` leaves out all but the default algorithms and one seed."""
    for name in ROW_ALGORITHMS[: 1 if quick else None]:
        for table, goal in TABLES.items():
            yield from _table(name, table, goal if name == DEFAULT else None, 1 if quick else SEEDS)
    for name in SERIES_ALGORITHMS[: 1 if quick else None]:
        yield from _nab_results(name)


def _table(name: str, table: str, goal: float | None, seeds: int) -> Iterator[Result]:
    cells = np.loadtxt(DATA / f"anomaly_tab_{table}" / "data.csv", delimiter=",", skiprows=1)
    rows, labels = cells[:, :-1].astype(np.float32), cells[:, -1].astype(np.int64)
    fields = tuple(Field(name=f"f{place}", kind="number") for place in range(rows.shape[1]))
    signature = Signature(scenario=SCENARIO, inputs=fields, target="is_anomaly")
    whole, held_out, seconds = [], [], 0.0
    for seed in range(seeds):
        predictor, took = _learned(name, signature, _batch(rows), seed)
        seconds += took / seeds
        whole.append(_area(predictor, rows, labels))
        if seed == 0:
            yield from _latency(name, table, predictor, rows)
        order = np.random.default_rng(seed).permutation(len(rows))
        first, rest = np.split(order, [round(0.6 * len(rows))])
        parted, _ = _learned(name, signature, _batch(rows[first]), seed)
        held_out.append(_area(parted, rows[rest], labels[rest]))
    mean, apart = float(np.mean(whole)), float(np.mean(held_out))
    yield Result(SCENARIO, table, name, f"ROC AUC, all rows, mean of {seeds}", mean, goal, True, seconds)
    yield Result(SCENARIO, table, name, f"ROC AUC, 40 % held out, mean of {seeds}", apart, None, True, seconds)


def _nab_results(name: str) -> Iterator[Result]:
    root = DATA / "anomaly_ts_nab"
    windows = json.loads((root / "labels" / "combined_windows.json").read_text())
    fields = (Field(name="timestamp", kind="date"), Field(name="value", kind="number"))
    signature = Signature(scenario=SCENARIO, inputs=fields, target="is_anomaly", time="timestamp")
    found: dict[str, _nab.Labelled] = {}
    flags: dict[str, _nab.Labelled] = {}
    seconds, micros, single = 0.0, [], []
    for file, spans in sorted(windows.items()):
        lines = [line.split(",") for line in (root / "data" / file).read_text().splitlines()[1:]]
        times = np.array([line[0] for line in lines])
        values = np.array([[float(line[1])] for line in lines], np.float32)
        batch = Batch(values, times.astype(object)[:, None])
        cut = _nab.probation(len(lines))
        predictor, took = _learned(name, signature, Batch(batch.numbers[:cut], batch.strings[:cut]), 0)
        seconds += took
        rest = Batch(batch.numbers[cut:], batch.strings[cut:])
        answers = np.concatenate([np.zeros((cut, 3)), predictor.predict(rest).astype(np.float64)])
        moments = times.astype("datetime64[us]")
        places = [
            (
                int(moments.searchsorted(np.datetime64(start))),
                int(moments.searchsorted(np.datetime64(end), "right")) - 1,
            )
            for start, end in spans
        ]
        found[file] = _nab.Labelled(answers[:, 0], places)
        flags[file] = _nab.Labelled(answers[:, 2], places)
        thousand, one = (Batch(rest.numbers[:count], rest.strings[:count]) for count in (1000, 1))
        micros.append(_micros(predictor, thousand) / thousand.rows)
        single.append(_micros(predictor, one))
    threshold = _nab.best_threshold(list(found.values()))
    for part, goal in NAB_GOALS.items():
        for said, scored, limit, bar in (
            ("best common threshold", found, threshold, goal if name == SERIES_DEFAULT else None),
            ("own threshold", flags, 0.5, None),
        ):
            value = _nab.score([each for file, each in scored.items() if file.startswith(part)], limit)
            yield Result(SCENARIO, f"NAB {part}", name, f"NAB standard, {said}", value, bar, True, seconds)
    yield Result(SCENARIO, "NAB", name, "µs per row, 1000 rows", float(np.median(micros)), 50.0, False, seconds)
    yield Result(SCENARIO, "NAB", name, "µs per row, 1 row", float(np.median(single)), None, False, seconds)


def _learned(name: str, signature: Signature, rows: Batch, seed: int) -> tuple[Predictor, float]:
    """Learned without labels, saved, and loaded again; the seconds of learning."""
    nothing = Batch(rows.numbers[:0], rows.strings[:0])
    unknown = np.full(rows.rows, -1, np.int64)
    data = TrainingData(
        signature=signature, rows=rows, labels=unknown, validation=nothing, validation_labels=unknown[:0], seed=seed
    )
    algorithm = registry.get(f"{SCENARIO}/{name}")
    parameters = algorithm.Parameters()
    started = time.monotonic()
    trained = algorithm().fit(data, parameters, Silent())
    final = algorithm().finish(data, trained, parameters, Silent())
    seconds = time.monotonic() - started
    with tempfile.TemporaryDirectory() as made:
        target = Path(made)
        form = final.save(target)
        folder.write(target / SIGNATURE, signature)
        folder.write(target / DESCRIPTION, Artifact(format=form, scenario=SCENARIO, algorithm=name))
        return open_version(target), seconds


def _latency(name: str, table: str, predictor: Predictor, rows: np.ndarray) -> Iterator[Result]:
    goal = 50.0
    for count in (32, 1):
        micros = _micros(predictor, _batch(rows[:count])) / count
        yield Result(
            SCENARIO, table, name, f"µs per row, {count} rows", micros, goal if count > 1 else None, False, 0.0
        )


def _micros(predictor: Predictor, batch: Batch) -> float:
    """Microseconds of one call, the median of 20."""
    times = []
    for _ in range(20):
        started = time.perf_counter()
        predictor.predict(batch)
        times.append(time.perf_counter() - started)
    return float(np.median(times)) * 1e6


def _area(predictor: Predictor, rows: np.ndarray, labels: np.ndarray) -> float:
    return area_under_curve(predictor.predict(_batch(rows))[:, 0].astype(np.float64), labels)


def _batch(rows: np.ndarray) -> Batch:
    return Batch(rows, np.empty((len(rows), 0), object))
