"""Metrics held against scikit-learn's, with and without weights; intervals that hold what they should."""

import numpy as np
import pytest
from sklearn import metrics as reference

from modelyard.algorithms import scoring
from modelyard.algorithms.scoring import Question

ROWS = 400
RANDOM = np.random.default_rng(5)
TWO, FOUR, VALUES = Question(2), Question(4), Question(0)
# Rounded, so that scores are tied.
POSITIVE = RANDOM.random(ROWS).round(2)
TRUTH = (RANDOM.random(ROWS) < POSITIVE).astype(np.int64)
PAIRS = np.column_stack([1 - POSITIVE, POSITIVE]).astype(np.float32)
CLASSES = RANDOM.integers(0, 4, ROWS)
SHARES = RANDOM.dirichlet(np.ones(4), ROWS).astype(np.float32)
ACTUAL = RANDOM.lognormal(1, 1, ROWS)
GUESSED = (ACTUAL * RANDOM.lognormal(0, 0.3, ROWS)).astype(np.float32).reshape(-1, 1)


def expected(name: str, question: Question, weights: np.ndarray) -> float:
    if not question.classes:
        if name == "rmse":
            return reference.mean_squared_error(ACTUAL, GUESSED[:, 0], sample_weight=weights) ** 0.5
        named = {"mae": "mean_absolute_error", "mape": "mean_absolute_percentage_error", "r2": "r2_score"}
        return getattr(reference, named[name])(ACTUAL, GUESSED[:, 0], sample_weight=weights)
    labels, answers = (TRUTH, PAIRS) if question is TWO else (CLASSES, SHARES)
    if name in {"roc_auc", "average_precision"}:
        return getattr(reference, f"{name}_score")(labels, answers[:, 1], sample_weight=weights)
    if name == "log_loss":
        return reference.log_loss(labels, answers.astype(float), sample_weight=weights)
    average = {} if name != "f1" else {"average": "binary" if question is TWO else "macro"}
    return getattr(reference, f"{name}_score")(labels, answers.argmax(axis=1), sample_weight=weights, **average)


@pytest.mark.parametrize("weights", [np.ones(ROWS), RANDOM.integers(0, 4, ROWS).astype(float)], ids=["all", "weighted"])
@pytest.mark.parametrize(
    ("question", "name"), [(question, name) for question in (TWO, FOUR, VALUES) for name in question.metrics]
)
@pytest.mark.filterwarnings("ignore:The y_prob values do not sum to one")
def test_a_metric_is_what_scikit_learn_computes(question: Question, name: str, weights: np.ndarray) -> None:
    labels, answers = {2: (TRUTH, PAIRS), 4: (CLASSES, SHARES), 0: (ACTUAL, GUESSED)}[question.classes]
    found = question.prepared(name, labels, answers)(weights)
    assert found == pytest.approx(expected(name, question, weights), rel=1e-6)


def test_the_positive_class_may_be_the_first() -> None:
    turned = scoring.score("roc_auc", Question(2, positive=0), 1 - TRUTH, PAIRS[:, ::-1])
    assert turned == pytest.approx(scoring.score("roc_auc", TWO, TRUTH, PAIRS))


def test_an_interval_holds_the_value_and_narrows_with_more_rows() -> None:
    few = scoring.measured(TWO, TRUTH[:60], PAIRS[:60], np.array([[0.5, 0.5]]), seed=1)[0]
    many = scoring.measured(TWO, TRUTH, PAIRS, np.array([[0.5, 0.5]]), seed=1)[0]
    for metric in (few, many):
        assert metric.lower < metric.value < metric.upper
    assert many.upper - many.lower < 0.6 * (few.upper - few.lower)


def test_a_95_percent_interval_holds_the_truth_about_95_times_in_100() -> None:
    random = np.random.default_rng(2)
    held = 0
    for trial in range(200):
        errors = random.normal(0, 1, 100)
        answers = errors.astype(np.float32).reshape(-1, 1)
        found = scoring.measured(VALUES, np.zeros(100), answers, np.array([[0.0]], np.float32), seed=trial)
        mae = next(metric for metric in found if metric.name == "mae")
        held += mae.lower <= np.sqrt(2 / np.pi) <= mae.upper
    assert 180 <= held <= 199


def test_the_trivial_predictor_knows_shares_and_means_only() -> None:
    baseline = scoring.trivial(TWO, TRUTH)
    found = {metric.name: metric for metric in scoring.measured(TWO, TRUTH, PAIRS, baseline, seed=0)}
    assert found["roc_auc"].baseline == 0.5
    assert found["accuracy"].baseline == pytest.approx(max(TRUTH.mean(), 1 - TRUTH.mean()), rel=1e-5)
    mean = scoring.trivial(VALUES, ACTUAL)
    of_values = {metric.name: metric for metric in scoring.measured(VALUES, ACTUAL, GUESSED, mean, seed=0)}
    assert of_values["r2"].baseline == pytest.approx(0, abs=1e-6)
    assert of_values["rmse"].baseline == pytest.approx(ACTUAL.std(), rel=1e-5)


def test_a_metric_that_is_not_defined_is_left_out() -> None:
    one_class = scoring.measured(TWO, np.ones(30, np.int64), PAIRS[:30], np.array([[0.5, 0.5]]), seed=0)
    assert [metric.name for metric in one_class] == ["accuracy", "f1", "log_loss"]
    with_zero = scoring.measured(VALUES, np.r_[0.0, ACTUAL], np.r_[[[1.0]], GUESSED], np.array([[1.0]]), seed=0)
    assert "mape" not in [metric.name for metric in with_zero]


def test_anything_is_better_than_no_number() -> None:
    assert scoring.better("roc_auc", 0.4, float("nan"))
    assert not scoring.better("roc_auc", float("nan"), 0.4)
    assert scoring.better("rmse", 1.0, 2.0)
    assert scoring.better("r2", 2.0, 1.0)
