"""Algorithms for series: what they find, that they are causal, and what is context for what."""

import pickle

import numpy as np
import pytest

from modelyard.algorithms.anomaly_detection._series import best_alarm, period_of
from modelyard.core.errors import Invalid
from modelyard.formats.base import Batch

NAMES = ("matrix-profile", "seasonal-residual", "change-points")
every = pytest.mark.parametrize("name", NAMES)


def halves(batch: Batch, kit) -> tuple[Batch, Batch]:
    """The first half of each of two series, and the second."""
    count = batch.rows // 2
    first = np.arange(batch.rows) % count < count // 2
    return kit.part(batch, first), kit.part(batch, ~first)


@every
def test_it_finds_a_spike_at_once(name, series, report, kit):
    rows, odd = series
    earlier, later = halves(rows, kit)
    _, truth = halves(Batch(rows.numbers, odd[:, None].astype(object)), kit)
    answers = kit.learn(name, kit.data_of(kit.SERIES, earlier), report).predict(later)
    spikes = truth.strings[:, 0] == 1
    # Later spikes are less news than the first; a change of level takes more than one row to be sure of.
    assert np.median(answers[spikes, 1]) > np.quantile(answers[~spikes, 1], 0.9)


def test_the_default_flags_every_spike_and_little_else(series, report, kit):
    rows, _ = series
    earlier, later = halves(rows, kit)
    answers = kit.learn("matrix-profile", kit.data_of(kit.SERIES, earlier), report, silence=10).predict(later)
    high = later.numbers[:, 0] > np.where(later.strings[:, 1] == "p1", 18, 36)
    assert high.sum() == 6
    # The third spike is no news any more: it is like the two before.
    assert answers[high, 2].sum() >= 2
    assert answers[~high, 2].mean() < 0.01


@every
def test_what_comes_later_changes_nothing(name, series, report, kit):
    rows, _ = series
    earlier, later = halves(rows, kit)
    trained = kit.learn(name, kit.data_of(kit.SERIES, earlier), report)
    one = kit.part(later, later.strings[:, 1] == "p1")
    whole = trained.predict(one)
    for count in (1, 7, 130, 200):
        np.testing.assert_allclose(trained.predict(kit.part(one, np.arange(count))), whole[:count], atol=1e-6)


@every
def test_what_is_served_answers_exactly_as_what_was_trained(name, series, report, kit, tmp_path):
    rows, _ = series
    earlier, later = halves(rows, kit)
    trained = kit.learn(name, kit.data_of(kit.SERIES, earlier), report)
    loaded = kit.served(trained, tmp_path / "v")
    for batch in (later, earlier, kit.part(later, np.arange(1)), kit.part(later, np.arange(0))):
        answers = loaded.predict(batch)
        assert answers.dtype == np.float32
        assert answers.shape == (batch.rows, 3)
        np.testing.assert_array_equal(answers, trained.predict(batch))
        np.testing.assert_array_equal(answers, pickle.loads(pickle.dumps(trained)).predict(batch))


@every
def test_the_order_of_rows_is_kept_and_series_do_not_mix(name, series, report, kit):
    rows, _ = series
    earlier, later = halves(rows, kit)
    trained = kit.learn(name, kit.data_of(kit.SERIES, earlier), report)
    shuffled = np.random.default_rng(0).permutation(later.rows)
    together = trained.predict(later)
    np.testing.assert_array_equal(trained.predict(kit.part(later, shuffled)), together[shuffled])
    alone = later.strings[:, 1] == "p2"
    np.testing.assert_array_equal(trained.predict(kit.part(later, alone)), together[alone])


@every
def test_it_says_how_it_is_doing(name, series, report, kit):
    kit.learn(name, kit.data_of(kit.SERIES, series[0]), report)
    assert len(set(report.fractions)) > 2
    assert len({step for metric, step, _ in report.metrics if metric == "alarms per 1,000 rows"}) > 2
    assert any("Threshold" in line for line in report.lines)


@every
def test_without_a_time_column_it_is_refused(name, table, report, kit):
    with pytest.raises(Invalid, match="needs a time column"):
        kit.learn(name, kit.data_of(kit.TABLE, table[0]), report)


@every
def test_awkward_requests_are_answered(name, series, report, kit):
    """Doubled times, gaps, missing and huge values, unknown series, one row, rows from before training."""
    trained = kit.learn(name, kit.data_of(kit.SERIES, series[0]), report)
    strings = [
        ["2031-01-01T00:00:00", "p1"], ["2031-01-01T00:00:00", "p1"], ["2033-01-01T00:00:00+02:00", "p1"],
        ["2031-01-01", "p3"], ["2031-01-01", "new"], ["2031-01-02", ""], ["2031-01-01", "p2"],
    ]  # fmt: skip
    numbers = np.array([[np.nan], [3e38], [-3e38], [1.0], [5.0], [np.nan], [20.0]], np.float32)
    answers = trained.predict(Batch(numbers, np.array(strings, object)))
    assert np.isfinite(answers).all()
    assert ((answers[:, :2] >= 0) & (answers[:, :2] <= 1)).all()
    assert answers[4, 0] == 0
    old = Batch(numbers, np.array([["1999-01-01", "p1"]] * len(numbers), object))
    assert np.isfinite(trained.predict(old)).all()
    assert answers[1, 2] == 1


@every
@pytest.mark.parametrize("value", [0.0, 7.0])
def test_a_series_that_never_moves_has_no_anomalies_until_it_does(name, value, report, kit):
    rows, _ = kit.made_series(400, 1, names=("p1",))
    rows.numbers[:] = value
    rows.numbers[390] = value + 5
    trained = kit.learn(name, kit.data_of(kit.SERIES, kit.part(rows, np.arange(300))), report)
    answers = trained.predict(kit.part(rows, np.arange(300, 400)))
    assert (answers[:90, 0] == 0).all()
    assert answers[90, 2] == 1


@every
@pytest.mark.parametrize("rows", [1, 2, 5])
def test_it_learns_from_very_few_rows(name, rows, report, kit, tmp_path):
    batch, _ = kit.made_series(rows, 1)
    trained = kit.learn(name, kit.data_of(kit.SERIES, batch), report)
    assert np.isfinite(kit.served(trained, tmp_path / "v").predict(batch)).all()


def test_an_unknown_series_is_judged_by_its_own_rows(series, report, kit):
    rows, _ = series
    trained = kit.learn("matrix-profile", kit.data_of(kit.SERIES, rows), report)
    other, odd = kit.made_series(400, 8, names=("new",))
    answers = trained.predict(other)
    assert answers[int(np.argmax(odd)), 2] == 1
    assert (answers[:50, 0] == 0).all()


def test_one_event_is_one_alarm_and_severity_stays(series, report, kit):
    rows, _ = kit.made_series(600, 3, names=("p1",))
    rows.numbers[500:520] += np.linspace(60, 40, 20, dtype=np.float32)[:, None]
    trained = kit.learn("matrix-profile", kit.data_of(kit.SERIES, kit.part(rows, np.arange(300))), report, window=1)
    answers = trained.predict(kit.part(rows, np.arange(300, 600)))
    assert answers[200, 2] == 1
    silent = answers[201:220]
    assert silent[:, 2].sum() <= 2


def test_labelled_events_choose_the_threshold(series, report, kit):
    rows, odd = series
    earlier, later = halves(rows, kit)
    keep = kit.part(Batch(rows.numbers, odd[:, None].astype(object)), np.arange(rows.rows))
    _, truth = halves(keep, kit)
    labels = truth.strings[:, 0].astype(np.int64)
    kit.learn("matrix-profile", kit.data_of(kit.SERIES, earlier, np.zeros(earlier.rows, int), later, labels), report)
    assert any("labelled events" in line for line in report.lines)
    threshold, reached = best_alarm(np.array([0.1, 0.9, 0.2, 0.1, 0.3]), np.array([0, 1, 1, 0, 0]), 0.5)
    assert 0.3 < threshold < 0.9
    assert reached == 1.0


def test_several_columns_are_judged_together(report, kit):
    from modelyard.protocol.signature import Field, Signature

    random = np.random.default_rng(0)
    fields = (Field(name="at", kind="date"), Field(name="a", kind="number"), Field(name="b", kind="number"))
    signature = Signature(scenario="anomaly-detection", inputs=fields, target="odd", time="at")
    values = random.normal(size=(500, 1)) + random.normal(0, 0.05, (500, 2))
    values[450, 1] += 4
    times = np.datetime_as_string(np.datetime64("2024-01-01T00") + np.arange(500), "s").astype(object)[:, None]
    batch = Batch(values.astype(np.float32), times)
    trained = kit.learn("matrix-profile", kit.data_of(signature, kit.part(batch, np.arange(400))), report, window=1)
    assert int(np.argmax(trained.predict(kit.part(batch, np.arange(400, 500)))[:, 0])) == 50


def test_a_period_is_found_where_there_is_one():
    random = np.random.default_rng(0)
    rows = np.arange(600)
    course = np.sin(rows * 2 * np.pi / 24)[:, None] + random.normal(0, 0.2, (600, 1))
    assert period_of(course) in {23, 24, 25}
    assert period_of(random.normal(size=(600, 1))) == 0
    assert period_of(np.ones((600, 1))) == 0
