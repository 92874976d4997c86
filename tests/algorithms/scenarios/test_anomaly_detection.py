"""Anomalies: what labels may look like, and how rows and series are divided and judged."""

import numpy as np
import pytest

from modelyard.algorithms.scenarios.base import Aim, Unfit
from modelyard.algorithms.scenarios.registry import scenario
from modelyard.algorithms.scoring import measured, score

PROBLEM = scenario("anomaly-detection")
RANDOM = np.random.default_rng(0)


def aim(**more) -> Aim:
    return Aim(**{"scenario": "anomaly-detection", **more})


@pytest.fixture
def rows(table):
    """200 rows, every tenth an anomaly, called so by `odd`."""

    def make(labels):
        return table(x=RANDOM.normal(size=200), y=RANDOM.normal(size=200), odd=labels)

    return make


@pytest.mark.parametrize(
    "labels",
    [
        [float(place % 10 == 0) for place in range(200)],
        ["yes" if place % 10 == 0 else "no" for place in range(200)],
        ["Anomaly" if place % 10 == 0 else "normal" for place in range(200)],
        [-1 if place % 10 == 0 else 1 for place in range(200)],
    ],
)
def test_labels_may_be_written_in_many_ways(rows, labels) -> None:
    prepared = PROBLEM.prepare(aim(target="odd"), {"training": rows(labels)})
    together = np.concatenate([part.labels for part in prepared.parts])
    assert np.bincount(together).tolist() == [180, 20]
    # Each part has its share of them.
    assert all(part.labels.sum() >= 2 for part in prepared.parts)
    assert "odd" not in [field.name for field in prepared.signature.inputs]


def test_a_missing_label_is_unknown(rows) -> None:
    labels = [1.0, 0.0] * 50 + [np.nan] * 100
    prepared = PROBLEM.prepare(aim(target="odd"), {"training": rows(labels)})
    together = np.concatenate([part.labels for part in prepared.parts])
    assert [(together == value).sum() for value in (-1, 0, 1)] == [100, 50, 50]


@pytest.mark.parametrize("labels", [["maybe"] * 200, np.arange(200)])
def test_other_labels_are_refused_with_what_was_found(rows, labels) -> None:
    with pytest.raises(Unfit, match=r"maybe|there is 0, 1, 2") as raised:
        PROBLEM.prepare(aim(target="odd"), {"training": rows(labels)})
    assert raised.value.code == "label_values"


def test_without_labels_nothing_is_claimed_but_how_many_are_flagged(rows) -> None:
    prepared = PROBLEM.prepare(aim(drop=("odd",)), {"training": rows(["no"] * 200)})
    test = prepared.parts.test
    assert set(test.labels.tolist()) == {-1}
    answers = np.zeros((len(test.labels), 3), np.float32)
    answers[:4, 2] = 1
    found = measured(PROBLEM.judge(prepared, "test"), test.labels, answers, PROBLEM.baseline(prepared), 0)
    assert [(metric.name, metric.value, metric.direction) for metric in found] == [("flagged_share", 0.1, "neither")]
    assert any("no labels" in warning for warning in PROBLEM.suspicion(prepared, answers))


def test_flags_and_scores_are_measured_as_scikit_learn_does(rows) -> None:
    from sklearn import metrics

    labels = [float(place % 7 == 0) if place % 3 else np.nan for place in range(200)]
    prepared = PROBLEM.prepare(aim(target="odd"), {"training": rows(labels)})
    truth, judge = prepared.parts.test.labels, PROBLEM.judge(prepared, "test")
    answers = np.stack([RANDOM.random(len(truth)), RANDOM.random(len(truth)), RANDOM.random(len(truth)) > 0.6], axis=1)
    known = truth >= 0
    expected = {
        "roc_auc": metrics.roc_auc_score(truth[known], answers[known, 0]),
        "average_precision": metrics.average_precision_score(truth[known], answers[known, 0]),
        "f1": metrics.f1_score(truth[known], answers[known, 2]),
        "precision": metrics.precision_score(truth[known], answers[known, 2]),
        "recall": metrics.recall_score(truth[known], answers[known, 2]),
    }
    assert {name: score(name, judge, truth, answers) for name in expected} == pytest.approx(expected)


def test_of_a_series_the_end_judges(table) -> None:
    times = np.datetime_as_string(np.datetime64("2026-01-01", "h") + np.arange(200), unit="s").tolist()
    given = table(
        dates=("when",), who=["a"] * 100 + ["b"] * 100, when=times[:100] * 2, value=RANDOM.normal(size=200),
        odd=[0.0] * 199 + [1.0],
    )  # fmt: skip
    roles = {"time": "when", "series": "who"}
    prepared = PROBLEM.prepare(aim(target="odd", roles=roles), {"training": given})
    assert [len(part.labels) for part in prepared.parts] == [130, 30, 40]
    for part in prepared.parts:
        assert part.rows.strings[:, 0].tolist() == sorted(part.rows.strings[:, 0].tolist())
    assert prepared.parts.test.rows.strings[0, 1] > prepared.parts.validation.rows.strings[0, 1]
    assert prepared.parts.test.labels.tolist()[-1] == 1
    assert [field.name for field in prepared.signature.inputs] == ["who", "when", "value"]
    assert len(PROBLEM.request(prepared)["instances"]) == 10


def test_too_few_rows_say_so(table) -> None:
    with pytest.raises(Unfit, match="at least 20") as raised:
        PROBLEM.prepare(aim(), {"training": table(x=[1.0, 2.0, 3.0])})
    assert raised.value.code == "too_few_rows"


def test_what_is_drawn_agrees_with_the_answers(rows) -> None:
    prepared = PROBLEM.prepare(aim(target="odd"), {"training": rows([float(place % 10 == 0) for place in range(200)])})
    truth = prepared.parts.test.labels
    answers = np.stack([RANDOM.random(len(truth)), np.zeros(len(truth)), truth], axis=1).astype(np.float32)
    found = PROBLEM.details(prepared, answers, None)
    assert found["confusion"]["matrix"] == [[int((truth == 0).sum()), 0], [0, int((truth == 1).sum())]]
    assert sum(found["scores"]["counts"]) == len(truth)
    scores = [entry["score"] for entry in found["anomalies"]]
    assert scores == sorted(scores, reverse=True)
