"""Forecasts on a monthly series, on hours of a power transformer, and on many made series, against simpler methods.

Learning sees training and validation rows only; what is judged is the saved and loaded version.
"""

import csv
import gzip
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.algorithms.base import DATA, Result
from modelyard.algorithms import registry
from modelyard.algorithms.base import Report, TrainingData
from modelyard.formats import folder
from modelyard.formats.base import Batch
from modelyard.formats.registry import open_version
from modelyard.protocol.artifact import DESCRIPTION, SIGNATURE, Artifact
from modelyard.protocol.signature import Field, Signature

SCENARIO = "time-series-prediction"
ALGORITHMS = ("automatic", "ets", "seasonal-naive")
LOOKBACK = 1008
STRIDE = 25
"""Hours between the origins on ETTh1: each hour of the day has its turn, and every set takes less than a minute."""

HOUR = np.timedelta64(3600, "s")
SIGN = Signature(
    scenario=SCENARIO, target="value", time="time", series="series",
    inputs=(Field(name="time", kind="date"), Field(name="series", kind="category"), Field(name="value", kind="number")),
)  # fmt: skip


class Panel(NamedTuple):
    """Series of one set: values (each of its own length), first time and step; how many are predicted."""

    name: str
    series: list[np.ndarray]
    start: np.datetime64
    step: np.timedelta64
    horizon: int
    season: int


class Quiet(Report):
    """Says nothing."""

    def progress(self, phase, fraction, eta_seconds=None):
        pass

    def metric(self, name, step, value):
        pass

    def log(self, line):
        pass


def results(*, quick: bool) -> Iterator[Result]:
    """Every figure. ETTh1 and the made hours take the most time."""
    yield from judged(airline(), goal=3.0)
    if not quick:
        yield from judged(made_hours(400))
        yield from etth1(("OT",), "ETTh1 OT", None)
        yield from etth1(None, "ETTh1, 7 columns", (0.375, 0.399))


def _for(algorithm: str, goal: float | None) -> float | None:
    """The number to beat is for whoever takes the default."""
    return goal if algorithm == ALGORITHMS[0] else None


def judged(panel: Panel, *, goal: float | None = None) -> Iterator[Result]:
    """The last `horizon` values of each series: MAPE, or OWA for several series."""
    histories = [values[: -panel.horizon] for values in panel.series]
    actual = np.array([values[-panel.horizon :] for values in panel.series])
    for algorithm in ALGORITHMS:
        started = time.monotonic()
        predictor = learned(panel, histories, algorithm)
        seconds = time.monotonic() - started
        asked = batch_of(panel, [np.full(panel.horizon, np.nan)] * len(histories), [len(each) for each in histories])
        forecast = predictor.predict(asked)[:, :3].reshape(*actual.shape, 3)
        if len(panel.series) == 1:
            value = 100 * float(np.mean(np.abs(forecast[..., 0] - actual) / np.abs(actual)))
            yield Result(SCENARIO, panel.name, algorithm, "mape", value, _for(algorithm, goal), False, seconds)
        else:
            value = owa(histories, actual, forecast[..., 0], panel.season)
            yield Result(SCENARIO, panel.name, algorithm, "owa", value, _for(algorithm, goal), False, seconds)
        inside = float(np.mean((forecast[..., 1] <= actual) & (actual <= forecast[..., 2])))
        yield Result(SCENARIO, panel.name, algorithm, "coverage of 95 %", inside, None, True, seconds)


def etth1(columns: tuple[str, ...] | None, name: str, goals: tuple[float, float] | None) -> Iterator[Result]:
    """Standardised squared and absolute error, 96 hours ahead, from histories that each request brings."""
    table, names = _etth1()
    kept = [names.index(column) for column in columns or names]
    series = table[:14400, kept].T
    panel = Panel(name, list(series), np.datetime64("2016-07-01T00:00:00"), HOUR, 96, 24)
    centre, width = series[:, :8640].mean(axis=1), series[:, :8640].std(axis=1)
    for algorithm in ALGORITHMS:
        started = time.monotonic()
        predictor = learned(panel, list(series[:, :11520]), algorithm, validation=2880)
        seconds = time.monotonic() - started
        errors = []
        for origin in range(11520, 14400 - 96 + 1, STRIDE):
            history = [each[origin - LOOKBACK : origin] for each in series]
            asked = [np.concatenate([each, np.full(96, np.nan)]) for each in history]
            answer = predictor.predict(batch_of(panel, asked, [origin - LOOKBACK] * len(asked)))[:, 0]
            ahead = answer.reshape(len(asked), -1)[:, LOOKBACK:].astype(np.float64)
            errors.append((ahead - series[:, origin : origin + 96]) / width[:, None])
        whole = np.stack(errors)
        for metric, value, goal in (
            ("mse", np.mean(whole**2), goals and goals[0]),
            ("mae", np.mean(np.abs(whole)), goals and goals[1]),
        ):
            yield Result(SCENARIO, name, algorithm, metric, float(value), _for(algorithm, goal), False, seconds)
    assert np.isfinite(centre).all()


def learned(panel: Panel, histories, algorithm: str, *, validation: int | None = None):
    """The saved and loaded version: learned from all but the last values of each series, then from these too."""
    held = validation or panel.horizon
    earlier = [values[:-held] if len(values) > 2 * held else values[: len(values) // 2 + 1] for values in histories]
    later = [values[len(each) :] for values, each in zip(histories, earlier, strict=True)]
    signature = Signature(**{name: getattr(SIGN, name) for name in SIGN.__struct_fields__} | {"horizon": panel.horizon})
    rows = batch_of(panel, earlier, [0] * len(earlier))
    asked = batch_of(panel, [np.full(len(each), np.nan) for each in later], [len(each) for each in earlier])
    data = TrainingData(
        signature=signature, rows=rows, labels=np.concatenate(earlier), validation=asked,
        validation_labels=np.concatenate(later), seed=0,
    )  # fmt: skip
    name = f"{SCENARIO}/{algorithm}"
    learner = registry.get(name)
    parameters = learner.Parameters()
    trained = learner().fit(data, parameters, Quiet())
    trained = learner().finish(data, trained, parameters, Quiet())
    with tempfile.TemporaryDirectory() as target:
        form = trained.save(Path(target))
        folder.write(Path(target) / SIGNATURE, signature)
        folder.write(Path(target) / DESCRIPTION, Artifact(format=form, scenario=SCENARIO, algorithm=name))
        return open_version(Path(target))


def batch_of(panel: Panel, values, starts) -> Batch:
    """Rows of several series, each from its own place on."""
    lengths = [len(each) for each in values]
    places = np.concatenate([start + np.arange(length) for start, length in zip(starts, lengths, strict=True)])
    strings = np.empty((len(places), 2), object)
    strings[:, 0] = np.datetime_as_string(panel.start + places * panel.step).tolist()
    strings[:, 1] = np.repeat([f"series {place}" for place in range(len(values))], lengths)
    return Batch(np.concatenate(values).astype(np.float32)[:, None], strings)


def airline() -> Panel:
    """Box and Jenkins' passengers, the last 12 months held back."""
    with (DATA / "forecast_airline" / "data.csv").open(encoding="utf-8") as file:
        values = [float(row[1]) for row in list(csv.reader(file))[1:]]
    return Panel("airline", [np.array(values)], np.datetime64("1949-01"), np.timedelta64(1, "M"), 12, 12)


def made_hours(count: int, *, length: int = 1000, seed: int = 0) -> Panel:
    """Hourly series with days, weeks, trends, noise that hangs together, and steps of the level."""
    random = np.random.default_rng(seed)
    hours = np.arange(length)
    series = []
    for _ in range(count):
        day = np.convolve(random.normal(size=24 + 6), np.hanning(7), "valid")
        week = np.repeat(random.normal(0, 0.4, 7), 24)
        weekend = 1 - random.uniform(0, 0.6) * ((hours // 24 % 7) >= 5)
        pattern = np.tile(day, length // 24 + 1)[:length] * weekend + np.tile(week, length // 168 + 1)[:length]
        noise = random.normal(0, random.uniform(0.05, 0.6), length)
        share = random.uniform(0, 0.9)
        for hour in range(1, length):
            noise[hour] += share * noise[hour - 1]
        level = random.normal(0, 0.004) * hours + random.normal(0, 0.02, length).cumsum()
        if random.random() < 0.3:
            level += random.normal(0, 2) * (hours > random.integers(100, 900))
        whole = 10 + random.uniform(0, 5) + pattern + noise + level
        series.append(np.maximum(whole, 0) * 10 ** random.uniform(-1, 4))
    return Panel(f"{count} made hourly series", series, np.datetime64("2024-01-01T00:00:00"), HOUR, 48, 24)


def owa(histories, actual, forecast, season: int) -> float:
    """The M4 competition's overall weighted average: sMAPE and MASE relative to Naive2, their mean."""
    simple = np.array([naive2(values, actual.shape[1], season) for values in histories])
    scales = np.array([np.mean(np.abs(values[season:] - values[:-season])) for values in histories])
    usable = scales > 0

    def scores(ahead):
        error = np.abs(ahead - actual)
        sizes = np.maximum(np.abs(ahead) + np.abs(actual), 1e-12)
        return np.mean(2 * error / sizes), np.mean(error[usable].mean(axis=1) / scales[usable])

    own, other = scores(forecast), scores(simple)
    return float((own[0] / other[0] + own[1] / other[1]) / 2)


def naive2(values: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """The last value, after the season was taken out by classical multiplicative decomposition where one shows."""
    if season < 2 or len(values) < 3 * season or not _seasonal(values, season):
        return np.full(horizon, values[-1])
    kernel = np.full(season, 1 / season) if season % 2 else np.r_[0.5, np.ones(season - 1), 0.5] / season
    trend = np.convolve(values, kernel, "valid")
    half = (len(values) - len(trend)) // 2
    ratios = values[half : half + len(trend)] / np.where(trend == 0, 1e-12, trend)
    phases = (half + np.arange(len(trend))) % season
    factors = np.array([ratios[phases == phase].mean() for phase in range(season)])
    factors = factors / factors.mean()
    last = values[-1] / factors[(len(values) - 1) % season]
    return last * factors[(len(values) + np.arange(horizon)) % season]


def _seasonal(values: np.ndarray, season: int) -> bool:
    """M4's test: the autocorrelation at the season lies beyond its 90 % limit."""
    centred = values - values.mean()
    total = (centred**2).sum()
    if total == 0:
        return False
    each = np.array([(centred[lag:] * centred[:-lag]).sum() / total for lag in range(1, season + 1)])
    return bool(abs(each[-1]) > 1.645 * np.sqrt((1 + 2 * (each[:-1] ** 2).sum()) / len(values)))


def _etth1() -> tuple[np.ndarray, list[str]]:
    with gzip.open(DATA / "forecast_etth1" / "ETTh1.csv.gz", "rt", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    return np.array([[float(value) for value in row[1:]] for row in rows[1:]]), rows[0][1:]
