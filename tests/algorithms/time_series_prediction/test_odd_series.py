"""Series as they come: short, constant, with holes, of any size."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelyard.algorithms import registry
from modelyard.algorithms.base import TrainingData
from modelyard.algorithms.time_series_prediction._backtest import origins_of
from modelyard.algorithms.time_series_prediction._series import History, Kind
from modelyard.core.errors import Invalid
from modelyard.formats.base import Batch
from modelyard.formats.series import Step
from modelyard.protocol.signature import Field, Signature


def automatic(data: TrainingData, report, **parameters):
    algorithm = registry.get("time-series-prediction/automatic")
    return algorithm().fit(data, algorithm.Parameters(windows=2, trees=20, **parameters), report)


def good(answers: np.ndarray) -> None:
    assert np.isfinite(answers).all()
    assert (answers[:, 1] <= answers[:, 0]).all()
    assert (answers[:, 0] <= answers[:, 2]).all()


def days(values) -> tuple[np.ndarray, np.ndarray]:
    return np.datetime64("2024-01-01") + np.arange(len(values)), np.asarray(values, float)


def test_short_constant_and_empty_ones_beside_each_other(make, report) -> None:
    random = np.random.default_rng(0)
    data = make(
        {
            "short": days([4.0, 5.0, 6.0]),
            "constant": days(np.full(60, 7.0)),
            "zeros": days(np.zeros(50)),
            "rare": days(np.where(random.random(80) < 0.2, random.integers(1, 5, 80), 0)),
            "negative": days(-1e6 + random.normal(0, 1e4, 90)),
            "tiny": days(1e-12 * (3 + random.random(70))),
            "huge": days(1e30 * (3 + random.random(70))),
        },
        2, 7,
    )  # fmt: skip
    trained = automatic(data, report)
    answers = trained.predict(data.validation)
    good(answers)
    by_name = dict(zip(data.validation.strings[::2, 1], answers[::2], strict=True))
    assert by_name["short"][0] == 4.0
    assert by_name["constant"][0] == pytest.approx(7, rel=1e-4)
    assert by_name["zeros"][0] == 0
    assert 0 <= by_name["rare"][1] <= by_name["rare"][0] < 4
    assert by_name["negative"][0] == pytest.approx(-1e6, rel=0.05)
    assert by_name["tiny"][0] == pytest.approx(3.5e-12, rel=0.2)
    assert by_name["huge"][0] == pytest.approx(3.5e30, rel=0.2)


def test_gaps_repeated_times_and_disorder_are_told_and_mended(make, report) -> None:
    times, values = days(10 + np.arange(60) % 7)
    data = make({"": (times, values)}, 7, 7, named=False)
    order = np.random.default_rng(0).permutation(np.r_[np.delete(np.arange(53), [20, 21, 40]), 5, 6])
    rows = Batch(data.rows.numbers[order], data.rows.strings[order])
    mixed = TrainingData(
        signature=data.signature, rows=rows, labels=data.labels[order], validation=data.validation,
        validation_labels=data.validation_labels, seed=0,
    )  # fmt: skip
    answers = automatic(mixed, report).predict(data.validation)
    assert any("3 steps without a value" in line for line in report.lines)
    assert any("2 values stand for a time" in line for line in report.lines)
    np.testing.assert_allclose(answers[:, 0], data.validation_labels, rtol=0.1)


def test_series_end_at_different_times(make, report) -> None:
    long, short = days(100 + np.arange(60.0)), days(500 - np.arange(40.0))
    data = make({"long": long, "short": short}, 5, 5)
    answers = automatic(data, report).predict(data.validation)
    np.testing.assert_allclose(answers[:, 0], data.validation_labels, rtol=0.02)


def test_series_of_different_steps_are_learned_apart(make, report) -> None:
    hourly = np.datetime64("2024-01-01T00:00:00") + np.arange(240) * np.timedelta64(3600, "s")
    cycle = 10 + np.sin(np.arange(240) * 2 * np.pi / 24)
    monthly = np.datetime64("2010-01", "M") + np.arange(120), 10 + np.sin(np.arange(120) * 2 * np.pi / 12)
    trained = automatic(make({"hours": (hourly, cycle), "months": monthly}, 12, 12), report)
    assert {group.seasons for group in trained.content.groups} == {(24,), (12,)}


def test_seasons_may_be_given(make, report) -> None:
    data = make({"a": days(10 + np.arange(100) % 5)}, 5, 5)
    trained = automatic(data, report, season_lengths=(5,))
    assert trained.content.groups[0].seasons == (5,)
    np.testing.assert_allclose(trained.predict(data.validation)[:, 0], data.validation_labels, rtol=0.1)


def test_a_season_that_no_calendar_knows_is_found(make, report) -> None:
    random = np.random.default_rng(0)
    values = 10 + 3 * np.sin(np.arange(200) * 2 * np.pi / 11) + random.normal(0, 0.2, 200)
    trained = automatic(make({"a": days(values)}, 11, 11), report)
    assert trained.content.groups[0].seasons == (11,)


def test_noise_has_no_season(make, report) -> None:
    random = np.random.default_rng(0)
    noise = {f"noise {place}": days(random.normal(size=300)) for place in range(5)}
    assert automatic(make(noise, 7, 7), report).content.groups[0].seasons == ()


def test_rows_without_any_value_are_refused(make, report) -> None:
    data = make({"a": days(np.arange(20.0))}, 5, 5)
    nothing = TrainingData(
        signature=data.signature, rows=data.validation, labels=np.full(5, np.nan), validation=data.validation,
        validation_labels=data.validation_labels, seed=0,
    )  # fmt: skip
    with pytest.raises(Invalid, match="No training row"):
        automatic(nothing, report)


def test_trees_use_columns_that_are_known_ahead(report) -> None:
    random = np.random.default_rng(0)
    fields = (
        Field(name="when", kind="date"), Field(name="shop", kind="category"), Field(name="weather", kind="category"),
        Field(name="offer", kind="boolean"), Field(name="y", kind="number"),
    )  # fmt: skip
    signature = Signature(
        scenario="time-series-prediction", inputs=fields, target="y", time="when", series="shop", horizon=7
    )
    count, length = 25, 150
    offers, weather = random.integers(0, 2, (count, length)), random.choice(["sun", "rain", ""], (count, length))
    values = 100 + 40 * offers + 20 * (weather == "sun") + random.normal(0, 2, (count, length))
    texts = np.datetime_as_string(np.datetime64("2024-01-01") + np.arange(length))

    def batch(part: slice, target: np.ndarray) -> Batch:
        size = len(texts[part])
        strings = np.empty((count * size, 3), object)
        strings[:, 0] = np.tile(texts[part], count).tolist()
        strings[:, 1] = np.repeat([f"shop {place}" for place in range(count)], size).tolist()
        strings[:, 2] = weather[:, part].ravel().tolist()
        return Batch(np.column_stack([offers[:, part].ravel(), target.ravel()]).astype(np.float32), strings)

    before, after = slice(0, length - 7), slice(length - 7, length)
    data = TrainingData(
        signature=signature, rows=batch(before, values[:, before]), labels=values[:, before].ravel(),
        validation=batch(after, values[:, after] * np.nan), validation_labels=values[:, after].ravel(), seed=0,
    )  # fmt: skip
    algorithm = registry.get("time-series-prediction/lightgbm")
    answers = algorithm().fit(data, algorithm.Parameters(trees=80, windows=2), report).predict(data.validation)
    # Without the columns nothing comes below the 20 that offers alone scatter.
    assert np.abs(answers[:, 0] - data.validation_labels).mean() < 8


@given(length=st.integers(1, 400), horizon=st.integers(1, 60), season=st.sampled_from([(), (7,), (12,), (24, 168)]))
def test_windows_of_the_backtest_lie_inside_each_series(length: int, horizon: int, season: tuple[int, ...]) -> None:
    history = History(
        "a", Step(0, 1), np.datetime64("2024-01-01", "us"), np.arange(float(length)), np.zeros((length, 0))
    )
    for several in origins_of(Kind(Step(0, 1), season, 500, (history,)), horizon, 0):
        assert all(1 < origin < length for origin in several)
        assert len(set(several)) == len(several)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(st.floats(-(2.0**100), 2.0**100, allow_nan=False, width=32), min_size=1, max_size=40),
    gaps=st.integers(1, 5),
    ahead=st.integers(1, 30),
)
def test_whatever_the_values_answers_are_finite_and_in_order(values, gaps, ahead, make, report) -> None:
    times = np.datetime64("2024-01-01") + np.cumsum(np.r_[0, np.resize([1, gaps], len(values) + ahead - 1)])
    report.fractions.clear()
    data = make({"a": (times, np.array([*values, *[0.0] * ahead]))}, ahead, 5)
    good(automatic(data, report, methods=("ets", "theta", "mstl", "seasonal_naive")).predict(data.validation))
