"""Series: what is held back, what is hidden, and how it is judged."""

import numpy as np
import pytest

from modelyard.algorithms.scenarios.base import Aim, Unfit, training_data
from modelyard.algorithms.scenarios.registry import scenario
from modelyard.algorithms.scoring import score

PROBLEM = scenario("time-series-prediction")


def hours(count: int, start: str = "2026-01-01") -> list[str]:
    times = np.datetime64(start, "h") + np.arange(count)
    return np.datetime_as_string(times, unit="s").tolist()


def aim(**more) -> Aim:
    roles = more.pop("roles", {"time": "when"})
    return Aim(**{"scenario": "time-series-prediction", "target": "load", "roles": roles, **more})


@pytest.fixture
def one(table):
    """A series of 400 hours with a day's pattern."""
    when = np.arange(400)
    return table(dates=("when",), when=hours(400), load=10 + np.sin(when / 24 * 2 * np.pi) + when / 400)


def test_the_last_horizons_judge_and_the_one_before_decides(one) -> None:
    prepared = PROBLEM.prepare(aim(horizon=24), {"training": one})
    training, validation, test = prepared.parts
    assert [len(part.labels) for part in prepared.parts] == [400 - 24 - 72, 24, 72]
    together = np.concatenate([part.labels for part in prepared.parts])
    np.testing.assert_array_equal(together, one["load"].values)
    assert training.rows.strings[-1, 0] < validation.rows.strings[0, 0] < test.rows.strings[0, 0]
    assert prepared.signature.horizon == 24


def test_what_is_to_be_predicted_is_hidden_and_what_is_learned_from_is_not(one) -> None:
    prepared = PROBLEM.prepare(aim(horizon=24), {"training": one})
    data = training_data(prepared, 0)
    place = [field.name for field in data.signature.numeric_inputs].index("load")
    np.testing.assert_allclose(data.rows.numbers[:, place], data.labels, rtol=1e-6)
    assert np.isnan(data.validation.numbers[:, place]).all()
    assert np.isnan(prepared.parts.test.rows.numbers[:, place]).all()


def test_rows_are_put_in_order_and_doubles_and_gaps_are_told(table) -> None:
    times, values = hours(100), np.arange(100.0)
    order = np.random.default_rng(0).permutation(100)
    given = table(
        dates=("when",),
        when=[times[place] for place in order] + [times[5], ""],
        load=np.r_[values[order], 555.0, 1.0],
    )
    prepared = PROBLEM.prepare(aim(horizon=5), {"training": given})
    together = np.concatenate([part.labels for part in prepared.parts])
    assert together[5] == 555
    np.testing.assert_array_equal(np.delete(together, 5), np.delete(values, 5))
    assert [warning.split(" rows")[0] for warning in prepared.warnings] == ["1", "1"]


def test_each_series_is_held_back_by_itself_and_a_short_one_is_learned_from_only(table) -> None:
    given = table(
        dates=("when",),
        who=["a"] * 60 + ["b"] * 60 + ["c"] * 2,
        when=[*hours(60), *hours(60, "2026-02-01"), *hours(2)],
        load=np.r_[np.arange(60.0), 100 + np.arange(60.0), 7, 8],
    )
    prepared = PROBLEM.prepare(aim(roles={"time": "when", "series": "who"}, horizon=6), {"training": given})
    names = [set(part.rows.strings[:, 0].tolist()) for part in prepared.parts]
    assert names == [{"a", "b", "c"}, {"a", "b"}, {"a", "b"}]
    assert prepared.parts.test.labels.tolist()[-1] == 159


def test_rows_that_are_named_as_test_judge(one) -> None:
    places = np.arange(400)
    tables = {"training": one.taken(places[:300]), "test": one.taken(places[300:])}
    prepared = PROBLEM.prepare(aim(horizon=24), tables)
    assert [len(part.labels) for part in prepared.parts] == [276, 24, 100]


def test_each_horizon_is_predicted_from_all_that_came_before_it(one) -> None:
    prepared = PROBLEM.prepare(aim(horizon=24), {"training": one})
    place = [field.name for field in prepared.signature.numeric_inputs].index("load")
    asked = []

    def last_known(batch):
        values = batch.numbers[:, place]
        asked.append((int((~np.isnan(values)).sum()), int(np.isnan(values).sum())))
        known = values[~np.isnan(values)]
        return np.where(np.isnan(values), known[-1], np.nan)[:, None].repeat(3, axis=1).astype(np.float32)

    given = np.full((72, 3), -1, np.float32)
    answers = PROBLEM.answers(prepared, last_known, given)
    assert asked == [(24, 24), (48, 24)]
    truth = prepared.parts.test.labels
    assert (answers[:24] == -1).all()
    np.testing.assert_allclose(answers[24:48, 0], truth[23], rtol=1e-6)
    np.testing.assert_allclose(answers[48:, 0], truth[47], rtol=1e-6)


def test_the_baseline_repeats_the_last_season_and_is_measured_as_one(table) -> None:
    when = np.arange(480)
    values = 10 + when % 24 + np.random.default_rng(0).normal(0, 0.1, 480)
    given = table(dates=("when",), when=hours(480), load=values)
    prepared = PROBLEM.prepare(aim(horizon=24), {"training": given})
    baseline = PROBLEM.baseline(prepared)
    start = 480 - len(baseline)
    np.testing.assert_allclose(baseline[:, 0], values[start - 24 : -24], rtol=1e-6)
    judge, truth = PROBLEM.judge(prepared, "test"), prepared.parts.test.labels
    assert 0.7 < score("mase", judge, truth, baseline) < 1.4
    assert score("mase", judge, truth, np.stack([truth] * 3, axis=1)) == pytest.approx(0)
    assert score("interval_coverage", judge, truth, np.stack([truth, truth - 1, truth + 1], axis=1)) == 1
    assert len(np.unique(judge.groups)) == len(truth) // 24


def test_smape_is_that_of_the_m4_competition(one) -> None:
    prepared = PROBLEM.prepare(aim(horizon=24), {"training": one})
    truth = prepared.parts.test.labels
    answers = np.stack([truth * 1.5] * 3, axis=1)
    assert score("smape", PROBLEM.judge(prepared, "test"), truth, answers) == pytest.approx(200 * 0.5 / 2.5)


@pytest.mark.parametrize(
    ("columns", "more", "code"),
    [
        ({"when": ["x"] * 30, "load": np.arange(30.0)}, {}, "time_type"),
        ({"when": hours(30), "load": ["many"] * 30}, {}, "target_type"),
        ({"when": hours(30), "load": [np.nan] * 30}, {}, "target_empty"),
        ({"when": hours(30), "load": np.arange(30.0)}, {"horizon": 28}, "too_short"),
        ({"when": hours(30), "load": np.arange(30.0)}, {"horizon": 2000}, "horizon"),
        ({"when": hours(30), "load": np.arange(30.0)}, {"target": "lod"}, "target_missing"),
        ({"when": hours(30), "load": np.arange(30.0)}, {"roles": {}}, "time_missing"),
        ({"when": hours(30), "load": np.arange(30.0)}, {"roles": {"time": "when", "series": "who"}}, "series_missing"),
        ({"when": [""] * 30, "load": np.arange(30.0)}, {}, "time_empty"),
    ],
)
def test_what_is_no_series_says_why(table, columns, more, code: str) -> None:
    dates = ("when",) if columns["when"][0] != "x" else ()
    with pytest.raises(Unfit) as raised:
        PROBLEM.prepare(aim(**more), {"training": table(dates=dates, **columns)})
    assert raised.value.code == code
    assert raised.value.message.endswith(".")


def test_years_are_times(table) -> None:
    given = table(when=np.arange(1980, 2020), load=np.arange(40.0))
    prepared = PROBLEM.prepare(aim(horizon=4), {"training": given})
    assert prepared.parts.test.rows.strings[-1, 0] == "2019-01-01"
    assert prepared.types["when"] == "date"


def test_a_request_is_the_end_of_what_was_known(one) -> None:
    prepared = PROBLEM.prepare(aim(horizon=24), {"training": one})
    request = PROBLEM.request(prepared)
    assert request["parameters"] == {"steps": 12}
    assert request["instances"][-1]["when"] == hours(400)[400 - 72 - 1]
    assert all(instance["load"] is not None for instance in request["instances"])
