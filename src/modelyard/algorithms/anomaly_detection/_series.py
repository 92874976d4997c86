"""What the algorithms for series share: scale and season of each, its history judged by row, the threshold."""

from abc import abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from msgspec.structs import replace as changed
from numpy.typing import NDArray

from modelyard.algorithms.anomaly_detection._labels import judges
from modelyard.algorithms.base import Algorithm, Report, Trained, TrainingData
from modelyard.algorithms.forms import Form, Search, parameter
from modelyard.algorithms.tabular.rows import joined, taken
from modelyard.core.errors import Invalid
from modelyard.formats._anomaly_measures import Season
from modelyard.formats.anomaly import Judgement
from modelyard.formats.base import Batch
from modelyard.formats.series import Series, series_of, step_of
from modelyard.formats.series_anomaly import (
    Description,
    MomentAnomalies,
    Settings,
    fresh,
    judged,
    nothing,
    scale_of,
    shortened,
)

PARTS = 10
"""Of the history: how many alarms there were in each is told."""

LONGEST_PERIOD = 2000
NEARLY = 0.9
"""The first peak that is so high against the highest is the period."""

CORRELATED = 0.3
"""Autocorrelation from which on a period counts."""


def deviations(default: float) -> Any:
    """The threshold of a form; measures with heavier tails need a higher one."""
    return parameter(
        default, "Threshold",
        "How many standard deviations above its usual measure a row has to lie to be an anomaly. With labels the "
        "threshold is the one that finds most labelled events with the fewest false alarms.",
        group="Threshold", unit="standard deviations", search=Search(1.5, 8.0), ge=1.0, le=20.0,
    )  # fmt: skip


class SeriesForm(Form):
    """Parameters of every algorithm for series."""

    deviations: float = deviations(2.5)
    silence: int = parameter(
        100, "Silence after an alarm",
        "For so many rows after an alarm only what is odder still is an alarm again.",
        group="Threshold", unit="rows", search=Search(10, 300, log=True), ge=0, le=10_000,
    )  # fmt: skip


class TrainedSeries(Trained):
    """What is served, itself."""

    def __init__(self, predictor: MomentAnomalies) -> None:
        self.signature = predictor.signature
        self.predictor = predictor

    def predict(self, batch: Batch) -> NDArray[np.float32]:
        return self.predictor.predict(batch)

    def save(self, folder: Path) -> str:
        return self.predictor.save(folder)


Chosen = TypeVar("Chosen", bound=SeriesForm)


class SeriesAlgorithm(Algorithm[Chosen]):
    """What is the same in every algorithm for series: they differ in what is measured."""

    @abstractmethod
    def settings(self, parameters: Chosen) -> Settings:
        """Which measure, and its bounds in rows."""

    def period(self, parameters: Chosen) -> int | None:  # noqa: ARG002
        """The season that is taken off, in rows: 0 automatic, None for none."""
        return None

    def fit(self, data: TrainingData, parameters: Chosen, report: Report) -> Trained:
        return fit(data, self.settings(parameters), parameters, report, self.period(parameters))

    def finish(self, data: TrainingData, trained: Trained, parameters: Chosen, report: Report) -> Trained:  # noqa: ARG002
        return finish(data, self.settings(parameters), parameters, report, self.period(parameters))


def fit(
    data: TrainingData, settings: Settings, parameters: SeriesForm, report: Report, period: int | None = None
) -> TrainedSeries:
    """Judge the history of each series and keep its end. `period` in rows: None without season, 0 automatic."""
    predictor, scores = _learn(data, settings, report, period)
    labels = data.labels
    if judges(data.validation_labels):
        scores, labels = predictor.predict(data.validation)[:, 0].astype(np.float64), data.validation_labels
    return _with_threshold(predictor, scores, labels, parameters, report)


def finish(
    data: TrainingData, settings: Settings, parameters: SeriesForm, report: Report, period: int | None = None
) -> TrainedSeries:
    """The same with the validation rows, which come last: what is served goes on from their end."""
    rows = joined([data.rows, data.validation])
    labels = np.concatenate([data.labels, data.validation_labels])
    whole = replace(data, rows=rows, labels=labels, validation=taken(rows, np.arange(0)), validation_labels=labels[:0])
    predictor, scores = _learn(whole, settings, report, period)
    return _with_threshold(predictor, scores, labels, parameters, report)


def period_of(values: NDArray[np.float64]) -> int:
    """The period of evenly spaced values (rows, columns), in rows: a peak of their autocorrelation; 0: none.

    At least three periods must lie in the history. The mean is taken off first.
    """
    rows = len(values)
    longest = min(LONGEST_PERIOD, rows // 3)
    if longest < 4:
        return 0
    centred = np.nan_to_num(values - np.nanmean(values, axis=0))
    length = 2 ** int(np.ceil(np.log2(2 * rows)))
    power = np.square(np.abs(np.fft.rfft(centred, length, axis=0))).sum(axis=1)
    correlation = np.fft.irfft(power)[: longest + 1] / np.arange(rows, rows - longest - 1, -1)
    if correlation[0] <= 0:
        return 0
    correlation = correlation / correlation[0]
    negative = np.flatnonzero(correlation < 0)
    # Neighbours are always alike; a period shows once that has passed.
    if not len(negative):
        return 0
    inner = correlation[1:-1]
    peaks = np.flatnonzero((inner >= correlation[:-2]) & (inner >= correlation[2:])) + 1
    peaks = peaks[peaks > negative[0]]
    if not len(peaks) or correlation[peaks].max() < CORRELATED:
        return 0
    # Its multiples are peaks as well, by chance higher ones.
    return int(peaks[correlation[peaks] >= NEARLY * correlation[peaks].max()][0])


def _learn(
    data: TrainingData, settings: Settings, report: Report, period: int | None
) -> tuple[MomentAnomalies, NDArray[np.float64]]:
    signature = data.signature
    if signature.time is None:
        raise Invalid("This algorithm needs a time column. Name the column that says when each row was.")
    report.progress("putting the rows in order", 0.0)
    numbers = data.rows.numbers.astype(np.float64)
    spread = [bool((~np.isnan(column)).any() and np.nanmax(column) > np.nanmin(column)) for column in numbers.T]
    columns = np.flatnonzero(spread) if any(spread) else np.flatnonzero((~np.isnan(numbers)).any(axis=0))
    if not len(columns):
        raise Invalid("No column holds values to look at: add a number that is measured over time.")
    looked_at = ", ".join(signature.numeric_inputs[place].name for place in columns.tolist())
    report.log(f"Looking at {looked_at}.")
    measure = settings.measure()
    kept = max(measure.reach, settings.silence)
    scores = np.zeros(data.rows.rows)
    stored = []
    all_series = series_of(signature, data.rows)
    for number, series in enumerate(all_series, start=1):
        values = numbers[series.rows][:, columns]
        scales = [scale_of(column) for column in values.T]
        centre, scale = zip(*scales, strict=True)
        season = None if period is None else _season(series, values, np.array(centre), np.array(scale), period, report)
        known = fresh(series.name, centre, scale, season, measure.levels)
        nothing_before = nothing(len(columns), measure.levels)
        times = series.times.astype(np.int64)
        found = judged(measure, settings.silence, known, nothing_before, times, values.astype(np.float32))
        scores[series.rows] = found.scores
        stored.append(shortened(found, kept))
        report.progress(f"judging series {number} of {len(all_series)}", 0.9 * number / len(all_series))
    description = Description(
        settings, tuple(columns.tolist()), Judgement(1.0, 0.0), tuple(known for known, _ in stored)
    )
    return MomentAnomalies(signature, description, [tail for _, tail in stored]), scores


def _season(
    series: Series, values: NDArray[np.float64], centre: NDArray[np.float64], scale: NDArray[np.float64], rows: int,
    report: Report,
) -> Season | None:  # fmt: skip
    """The median course of one period; None where there is no period."""
    step = step_of(series.times)
    period = rows or period_of(values)
    name = f"Series {series.name!r}" if series.name else "The series"
    if step.months or period < 2 or len(values) < 2 * period:
        report.log(f"{name} has no period that was seen twice or more.")
        return None
    length = period * step.micros
    report.log(f"{name} has a period of {period} rows.")
    phases = series.times.astype(np.int64) % length * period // length
    flat = (values - centre) / scale
    level = np.zeros((period, values.shape[1]))
    for phase in np.unique(phases).tolist():
        seen = flat[phases == phase]
        level[phase] = [np.median(column[~np.isnan(column)]) if (~np.isnan(column)).any() else 0.0 for column in seen.T]
    return Season(length, tuple(tuple(row) for row in level.tolist()))


def _with_threshold(
    predictor: MomentAnomalies,
    scores: NDArray[np.float64],
    labels: NDArray[Any],
    parameters: SeriesForm,
    report: Report,
) -> TrainedSeries:
    square = parameters.deviations**2
    threshold = square / (square + 9.0)
    if judges(labels):
        threshold, reached = best_alarm(scores, labels, threshold)
        report.metric("F1 of events", 1, reached)
        report.log(f"Threshold {threshold:.3f}: the best F1 of labelled events ({reached:.3f}).")
    else:
        report.log(
            f"Threshold {threshold:.3f}, from {parameters.deviations:g} deviations: there are no labels of both kinds."
        )
    for step, part in enumerate(np.array_split(scores > threshold, min(PARTS, max(1, len(scores)))), start=1):
        report.metric("alarms per 1,000 rows", step, 1000.0 * float(np.mean(part)) if len(part) else 0.0)
    report.progress("threshold chosen", 1.0)
    described = changed(predictor.description, judgement=Judgement(float(threshold), 0.0))
    return TrainedSeries(MomentAnomalies(predictor.signature, described, predictor.tails))


def best_alarm(scores: NDArray[np.float64], labels: NDArray[Any], otherwise: float) -> tuple[float, float]:
    """The threshold with the best F1 where neighbouring anomalies are one event, found by one alarm inside it.

    `otherwise` is taken where no threshold finds anything.
    """
    starts = np.flatnonzero((labels == 1) & (np.concatenate([[0], labels[:-1]]) != 1))
    ends = np.flatnonzero((labels == 1) & (np.concatenate([labels[1:], [0]]) != 1)) + 1
    highest = np.array([scores[start:end].max() for start, end in zip(starts, ends, strict=True)])
    normal = np.sort(scores[labels == 0])
    candidates = np.unique(highest[highest > 0])
    if not len(candidates):
        return otherwise, 0.0
    found = len(highest) - np.searchsorted(np.sort(highest), candidates, "left")
    false = len(normal) - np.searchsorted(normal, candidates, "left")
    f1 = 2.0 * found / (found + false + len(highest))
    best = int(np.argmax(f1))
    lower = np.concatenate([scores[scores < candidates[best]], [0.0]]).max()
    return float((candidates[best] + lower) / 2.0), float(f1[best])
