"""Quality on a real series, and that the automatic choice is worth it."""

import csv
from pathlib import Path

import numpy as np

from modelyard.algorithms import registry

AIRLINE = Path(__file__).parents[3] / "benchmarks" / "data" / "forecast_airline" / "data.csv"


def test_twelve_months_of_airline_passengers(make, report) -> None:
    rows = list(csv.reader(AIRLINE.read_text(encoding="utf-8").splitlines()))[1:]
    times = np.array([row[0] for row in rows], "datetime64[M]")
    data = make({"": (times, np.array([float(row[1]) for row in rows]))}, 12, 12, named=False)
    algorithm = registry.get("time-series-prediction/automatic")
    answers = algorithm().fit(data, algorithm.Parameters(), report).predict(data.validation)
    errors = np.abs(answers[:, 0] - data.validation_labels) / data.validation_labels
    assert errors.mean() <= 0.03
    inside = (answers[:, 1] <= data.validation_labels) & (data.validation_labels <= answers[:, 2])
    assert inside.mean() >= 0.8


def test_the_automatic_choice_is_no_worse_than_repeating_the_season(many_hours, report) -> None:
    errors = {}
    for name in ("automatic", "seasonal-naive"):
        algorithm = registry.get(f"time-series-prediction/{name}")
        answers = (
            algorithm()
            .fit(many_hours, algorithm.Parameters(windows=2, **({"trees": 40} if name == "automatic" else {})), report)
            .predict(many_hours.validation)
        )
        truth = many_hours.validation_labels
        errors[name] = np.mean(np.abs(answers[:, 0] - truth) / truth)
    assert errors["automatic"] < 0.85 * errors["seasonal-naive"]


def test_intervals_of_many_series_hold_what_they_promise(make, report) -> None:
    random = np.random.default_rng(3)
    times = np.datetime64("2024-01-01") + np.arange(120)
    walks = {f"walk {place}": (times, 50 + random.normal(0, 1, 120).cumsum()) for place in range(120)}
    data = make(walks, 10, 10)
    algorithm = registry.get("time-series-prediction/ets")
    for level in (0.8, 0.95):
        answers = algorithm().fit(data, algorithm.Parameters(interval_level=level), report).predict(data.validation)
        inside = (answers[:, 1] <= data.validation_labels) & (data.validation_labels <= answers[:, 2])
        assert abs(inside.mean() - level) < 0.08
