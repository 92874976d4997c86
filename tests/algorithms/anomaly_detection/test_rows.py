"""Algorithms for single rows: what they find, what labels change, and what they refuse."""

import pickle

import numpy as np
import pytest

from modelyard.algorithms.anomaly_detection._labels import area_under_curve, best_threshold
from modelyard.core.errors import Invalid
from modelyard.formats.base import Batch
from modelyard.protocol.signature import Field, Signature

NAMES = ("rank-average", "isolation-forest", "ecod", "hbos", "knn")
every = pytest.mark.parametrize("name", NAMES)
FEW_TREES = {"rank-average": {"trees": 40}, "isolation-forest": {"trees": 40}}


@pytest.fixture(scope="module")
def learned(table, kit):
    """What each algorithm learns from the table without labels; learned once."""
    found = {}

    def get(name):
        if name not in found:
            found[name] = kit.learn(name, kit.data_of(kit.TABLE, table[0]), kit.Kept(), **FEW_TREES.get(name, {}))
        return found[name]

    return get


@every
def test_it_ranks_anomalies_first_without_labels(name, table, learned, kit):
    rows, odd = table
    scores = learned(name).predict(rows)[:, 0]
    assert area_under_curve(scores.astype(float), odd) > 0.9


@every
def test_it_says_how_it_is_doing_and_what_it_chose(name, table, report, kit):
    rows, _ = table
    kit.learn(name, kit.data_of(kit.TABLE, rows), report, **FEW_TREES.get(name, {}))
    assert len(set(report.fractions)) > 2
    steps = [step for metric, step, _ in report.metrics if metric == "rank agreement with fewer rows"]
    assert len(steps) >= 3
    said = " ".join(report.lines)
    assert "flat" in said
    assert "note" in said
    assert "Threshold" in said


@every
def test_what_is_served_answers_exactly_as_what_was_trained(name, table, learned, kit, tmp_path):
    rows, _ = table
    trained = learned(name)
    odd = Batch(
        np.array([[np.nan] * 4, [3e38, -3e38, 0, 1e9], [1e-30, 0, 7, -1]], np.float32),
        np.array([["", ""], ["unseen", "x"], ["red", "ünïcode"]], object),
    )
    loaded = kit.served(trained, tmp_path / "v")
    for batch in (rows, odd, kit.part(rows, np.arange(0))):
        answers = loaded.predict(batch)
        assert answers.dtype == np.float32
        assert answers.shape == (batch.rows, 3)
        assert np.isfinite(answers).all()
        np.testing.assert_array_equal(answers, trained.predict(batch))
        np.testing.assert_array_equal(answers, pickle.loads(pickle.dumps(trained)).predict(batch))


@every
def test_a_row_is_answered_the_same_alone_and_among_others(name, table, learned, kit):
    rows, _ = table
    trained = learned(name)
    alone = np.concatenate([trained.predict(kit.part(rows, np.arange(row, row + 1))) for row in range(40)])
    np.testing.assert_array_equal(alone, trained.predict(rows)[:40])


@every
def test_the_same_data_and_seed_give_the_same_model(name, table, learned, report, kit):
    rows, _ = table
    again = kit.learn(name, kit.data_of(kit.TABLE, rows), report, **FEW_TREES.get(name, {}))
    np.testing.assert_array_equal(again.predict(rows), learned(name).predict(rows))


@every
def test_a_value_far_outside_is_odder_than_any_training_row(name, table, learned, kit):
    rows, _ = table
    trained = learned(name)
    far = kit.part(rows, np.arange(1))
    far.numbers[0, :2] = [1e4, -1e4]
    score, severity, flag = trained.predict(far)[0]
    # A forest cannot tell how far outside a row is: it may only match what it has seen.
    assert score >= np.quantile(trained.predict(rows)[:, 0], 0.95)
    assert severity > 0.5
    assert flag == 1


@every
@pytest.mark.parametrize("rows", [1, 2, 7])
def test_it_learns_from_very_few_rows_or_says_why_not(name, rows, report, kit):
    batch, _ = kit.made_table(rows, 4)
    data = kit.data_of(kit.TABLE, batch)
    if rows == 1:
        with pytest.raises(Invalid, match="not always the same"):
            kit.learn(name, data, report, **FEW_TREES.get(name, {}))
        return
    assert np.isfinite(kit.learn(name, data, report, **FEW_TREES.get(name, {})).predict(batch)).all()


def test_contamination_is_the_share_of_rows_above_the_threshold(table, report, kit):
    rows, _ = table
    for share in (0.02, 0.1):
        trained = kit.learn("ecod", kit.data_of(kit.TABLE, rows), report, contamination=share)
        assert trained.predict(rows)[:, 2].mean() == pytest.approx(share, abs=0.01)


def test_the_automatic_threshold_flags_the_tail_alone(table, report, kit):
    rows, odd = table
    flags = kit.learn("knn", kit.data_of(kit.TABLE, rows), report, threshold="automatic").predict(rows)[:, 2]
    assert flags[odd == 1].mean() > 0.5
    assert flags[odd == 0].mean() < 0.05


def test_severity_rises_with_the_score_and_is_half_at_the_threshold(table, report, kit):
    rows, _ = table
    score, severity, flag = kit.learn("hbos", kit.data_of(kit.TABLE, rows), report).predict(rows).T
    order = np.argsort(score)
    assert (np.diff(severity[order]) >= 0).all()
    assert severity.min() >= 0
    assert severity.max() <= 1
    np.testing.assert_array_equal(severity > 0.5, flag == 1)


def test_labels_of_both_kinds_choose_the_threshold_and_anomalies_are_not_learned_from(table, report, kit):
    rows, odd = table
    new, new_odd = kit.made_table(400, 9)
    trained = kit.learn("rank-average", kit.data_of(kit.TABLE, rows, odd, new, new_odd), report, trees=40)
    unseen, truth = kit.made_table(500, 11)
    flags = trained.predict(unseen)[:, 2]
    hits = (flags * truth).sum()
    assert 2 * hits / (flags.sum() + truth.sum()) > 0.9
    said = " ".join(report.lines)
    assert "not learned from" in said
    assert "best F1" in said
    assert "ROC AUC on labelled rows" in said


def test_labels_outvote_a_detector_that_sees_nothing(report, kit):
    """Anomalies lie in the gap between two heaps: in the middle of every column, where tails see nothing."""
    random = np.random.default_rng(0)
    odd = (np.arange(600) % 15 == 3).astype(np.int64)
    heaps = np.where(random.random((600, 1)) < 0.5, -4.0, 4.0) + random.normal(0, 0.5, (600, 2))
    heaps[odd == 1] = random.normal(0, 0.3, (odd.sum(), 2))
    fields = (Field(name="a", kind="number"), Field(name="b", kind="number"))
    signature = Signature(scenario="anomaly-detection", inputs=fields, target="odd")
    rows = Batch(heaps.astype(np.float32), np.empty((600, 0), object))
    blind = kit.learn("rank-average", kit.data_of(signature, rows), report, hbos=True, trees=40).predict(rows)[:, 0]
    told = kit.learn("rank-average", kit.data_of(signature, rows, odd), report, hbos=True, trees=40).predict(rows)[:, 0]
    assert area_under_curve(told.astype(float), odd) > max(0.95, area_under_curve(blind.astype(float), odd))


def test_known_normal_rows_alone_are_the_training_set(table, report, kit):
    rows, odd = table
    labels = np.where(odd == 0, 0, -1)
    trained = kit.learn("knn", kit.data_of(kit.TABLE, rows, labels), report)
    assert area_under_curve(trained.predict(rows)[:, 0].astype(float), odd) > 0.97
    assert any("labelled normal and none an anomaly" in line for line in report.lines)


def test_a_table_without_anything_to_look_at_is_refused(report, kit):
    signature = Signature(scenario="anomaly-detection", inputs=(Field(name="note", kind="text"),), target="odd")
    rows = Batch(np.empty((50, 0), np.float32), np.array([[f"text {row}"] for row in range(50)], object))
    with pytest.raises(Invalid, match="add a number or a category"):
        kit.learn("ecod", kit.data_of(signature, rows), report)


def test_only_anomalies_are_nothing_to_learn_from(table, report, kit):
    rows, _ = table
    with pytest.raises(Invalid, match="Add normal rows"):
        kit.learn("ecod", kit.data_of(kit.TABLE, rows, np.ones(rows.rows, np.int64)), report)


def test_the_time_column_is_not_looked_at(report, kit):
    rows, _ = kit.made_series(200, 2)
    kit.learn("ecod", kit.data_of(kit.SERIES, rows), report)
    assert any("at, pump" in line for line in report.lines)


def test_without_any_detector_the_combination_is_refused(table, report, kit):
    off = dict.fromkeys(("isolation_forest", "ecod", "projections"), False)
    with pytest.raises(Invalid, match="Switch on"):
        kit.learn("rank-average", kit.data_of(kit.TABLE, table[0]), report, **off)


def test_the_best_threshold_lies_between_the_labelled_scores():
    scores = np.array([0.1, 0.2, 0.9, 0.3, 5.0, 0.8])
    threshold, reached = best_threshold(scores, np.array([0, 0, 1, 0, -1, 1]))
    assert 0.3 < threshold < 0.8
    assert reached == 1.0


def test_the_graph_of_the_forest_answers_as_scikit_learn_does(table, kit):
    from sklearn.ensemble import IsolationForest

    from modelyard.algorithms.anomaly_detection import _members

    values = np.random.default_rng(5).normal(size=(500, 4))
    ours = _members.forest(values, 7, trees=50, sample=128).score(values)
    theirs = IsolationForest(n_estimators=50, max_samples=128, random_state=7).fit(values.astype(np.float32))
    np.testing.assert_allclose(ours, -theirs.score_samples(values.astype(np.float32)), rtol=1e-5)


def test_tails_are_the_sum_over_columns_of_the_smaller_tail_probability():
    from modelyard.algorithms.anomaly_detection import _members

    values = np.round(np.random.default_rng(6).normal(size=(300, 3)), 1)
    expected = np.zeros(300)
    for column in values.T:
        below, above = (column[:, None] >= column).mean(axis=1), (column[:, None] <= column).mean(axis=1)
        expected -= np.log(np.minimum(below, above))
    np.testing.assert_allclose(_members.tails(values, 0).score(values), expected, rtol=1e-12)
