"""Metrics on held-out rows, each with a 95 % bootstrap interval and what a trivial predictor reaches on the same rows.

Intervals are percentiles (Efron 1979). Every metric is computed from weights per row: a bootstrap sample is then only
another set of weights, and what has to be sorted is sorted once. numpy alone: scores are made outside the sandbox, by a
process that loads no learner.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from modelyard.protocol.evaluation import Metric

Direction = Literal["higher", "lower", "neither"]
Values = NDArray[np.float64]

RESAMPLES = 1000
MOST_DRAWS = 5_000_000
"""Rows drawn over all resamples at the most; larger tables get fewer resamples, for which they need fewer."""

FEWEST_RESAMPLES = 100
TINY = 1e-15

DIRECTIONS: dict[str, Direction] = {
    "roc_auc": "higher", "average_precision": "higher", "accuracy": "higher", "balanced_accuracy": "higher",
    "f1": "higher", "log_loss": "lower", "rmse": "lower", "mae": "lower", "mape": "lower", "r2": "higher",
    "precision": "higher", "recall": "higher", "flagged_share": "neither",
    "mase": "lower", "smape": "lower", "interval_coverage": "neither",
    "grouping_accuracy": "higher", "coverage": "higher",
}  # fmt: skip

TWO_CLASSES = ("roc_auc", "average_precision", "accuracy", "f1", "log_loss")
MORE_CLASSES = ("log_loss", "accuracy", "balanced_accuracy", "f1")
REGRESSION = ("rmse", "mae", "r2", "mape")


ANOMALIES = ("roc_auc", "average_precision", "f1", "precision", "recall", "flagged_share")
FORECASTS = ("mase", "smape", "mae", "rmse", "interval_coverage")
CLUSTERS = ("grouping_accuracy", "coverage")


class Judge(Protocol):
    """How answers are measured. `metrics` are the names, the one that decides by default first.

    `columns` is how wide an answer is. Rows of one of `groups` are drawn together where intervals are made; None: each
    row for itself.
    """

    @property
    def metrics(self) -> tuple[str, ...]: ...

    @property
    def columns(self) -> int: ...

    @property
    def groups(self) -> NDArray[np.intp] | None: ...

    def prepared(self, name: str, labels: NDArray[Any], answers: NDArray[Any]) -> Callable[[Values], float]:
        """The metric as a function of row weights."""
        ...


class Question(NamedTuple):
    """Judges classes and numbers: how many classes there are (0 for numbers) and which of them is positive."""

    classes: int
    positive: int = 1

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the metrics, the one that decides by default first.

        Two classes: the area under the ROC curve, since a threshold is the user's to choose. More classes: log loss,
        which still tells candidates apart where the same class comes first. Regression: root mean squared error.
        """
        return REGRESSION if not self.classes else TWO_CLASSES if self.classes == 2 else MORE_CLASSES

    @property
    def columns(self) -> int:
        """One for each class, or one."""
        return max(1, self.classes)

    @property
    def groups(self) -> NDArray[np.intp] | None:
        """Rows stand for themselves."""
        return None

    def prepared(self, name: str, labels: NDArray[Any], answers: NDArray[Any]) -> Callable[[Values], float]:
        """The metric as a function of row weights."""
        if name in {"roc_auc", "average_precision"}:
            return _ranked(name, labels == self.positive, answers[:, self.positive])
        if name == "log_loss":
            return _mean(-np.log(np.clip(answers[np.arange(len(labels)), labels].astype(np.float64), TINY, 1)))
        if name == "accuracy":
            return _mean((answers.argmax(axis=1) == labels).astype(np.float64))
        if name in {"balanced_accuracy", "f1"}:
            return _by_class(name, self, labels, answers.argmax(axis=1))
        return _errors(name, labels.astype(np.float64), answers[:, 0].astype(np.float64))


class Anomalies(NamedTuple):
    """Judges scores and flags against labels, where there are some: rows of label -1 are left out."""

    metrics: tuple[str, ...] = ANOMALIES
    columns: int = 3
    groups: NDArray[np.intp] | None = None

    def prepared(self, name: str, labels: NDArray[Any], answers: NDArray[Any]) -> Callable[[Values], float]:
        """The metric as a function of row weights."""
        flags = answers[:, 2] > 0.5
        if name == "flagged_share":
            return _mean(flags.astype(np.float64))
        known = labels >= 0
        truth, flags = labels[known] == 1, flags[known]
        if name in {"roc_auc", "average_precision"}:
            ranked = _ranked(name, truth, answers[known, 0])
            return lambda weights: ranked(weights[known])

        def metric(weights: Values) -> float:
            given = weights[known]
            hits, flagged, actual = given @ (truth & flags), given @ flags, given @ truth
            if not actual or (actual == given.sum() and name == "precision"):
                return float("nan")
            total = {"precision": flagged, "recall": actual, "f1": (flagged + actual) / 2}[name]
            return float(hits / total) if total else 0.0

        return metric


class Forecasts(NamedTuple):
    """Judges predicted values with their bounds. `scales` is what an error of each row is measured by for MASE.

    That is the mean error of the seasonal naive forecast on the training rows of its series (Hyndman and Koehler 2006);
    sMAPE as in the M4 competition, in per cent (Makridakis et al. 2020).
    """

    scales: Values
    groups: NDArray[np.intp] | None
    metrics: tuple[str, ...] = FORECASTS
    columns: int = 3

    def prepared(self, name: str, labels: NDArray[Any], answers: NDArray[Any]) -> Callable[[Values], float]:
        """The metric as a function of row weights."""
        found, lower, upper = answers.astype(np.float64).T
        errors = np.abs(found - labels)
        if name == "mase":
            return _mean(errors / self.scales)
        if name == "smape":
            size = np.abs(found) + np.abs(labels)
            return _mean(np.divide(200 * errors, size, out=np.zeros_like(errors), where=size > 0))
        if name == "interval_coverage":
            return _mean(((labels >= lower) & (labels <= upper)).astype(np.float64))
        return _errors(name, labels.astype(np.float64), found)


class Clusters(NamedTuple):
    """Judges which lines are put together, against their true groups where they are known."""

    metrics: tuple[str, ...] = CLUSTERS
    columns: int = 1
    groups: NDArray[np.intp] | None = None

    def prepared(self, name: str, labels: NDArray[Any], answers: NDArray[Any]) -> Callable[[Values], float]:
        """The metric as a function of row weights."""
        found = answers[:, 0].astype(np.int64)
        if name == "coverage":
            return _mean((found >= 0).astype(np.float64))
        known = labels >= 0
        if not known.any():
            return lambda _: float("nan")
        share = _mean(rightly_grouped(labels[known], found[known]).astype(np.float64))
        return lambda weights: share(weights[known])


def rightly_grouped(truth: NDArray[Any], found: NDArray[Any]) -> NDArray[np.bool_]:
    """For each line whether its cluster holds exactly the lines of its true group (Zhu et al. 2019)."""
    _, truth, of_truth = np.unique(truth, return_inverse=True, return_counts=True)
    _, found, of_found = np.unique(found, return_inverse=True, return_counts=True)
    _, pairs, of_both = np.unique(truth * len(of_found) + found, return_inverse=True, return_counts=True)
    together = of_both[pairs]
    right: NDArray[np.bool_] = (together == of_truth[truth]) & (together == of_found[found])
    return right


def score(name: str, question: Judge, labels: NDArray[Any], answers: NDArray[Any]) -> float:
    """One metric. NaN where it is not defined, as the area under the curve of rows of one class."""
    return question.prepared(name, labels, answers)(np.ones(len(labels)))


def measured(
    question: Judge, labels: NDArray[Any], answers: NDArray[Any], baseline: NDArray[Any], seed: int
) -> tuple[Metric, ...]:
    """Every metric that is defined on these rows.

    `answers` as a predictor gives them, `baseline` what the trivial predictor gives: to each row, or to any, as shape
    (1, columns).
    """
    trivial = np.broadcast_to(baseline, answers.shape)
    samples = bootstrap(len(labels), seed, question.groups)
    found = []
    for name in question.metrics:
        metric = question.prepared(name, labels, answers)
        value = metric(np.ones(len(labels)))
        if not np.isfinite(value):
            continue
        resampled = np.array([metric(weights) for weights in samples()])
        lower, upper = np.nanpercentile(resampled, [2.5, 97.5]) if np.isfinite(resampled).any() else (value, value)
        rounded = (float(f"{number:.6g}") for number in (value, lower, upper, score(name, question, labels, trivial)))
        numbers = dict(zip(("value", "lower", "upper", "baseline"), rounded, strict=True))
        found.append(Metric(name=name, direction=DIRECTIONS[name], **numbers))
    return tuple(found)


def bootstrap(rows: int, seed: int, groups: NDArray[np.intp] | None = None) -> Callable[[], Any]:
    """Makes the iterator of bootstrap weights: how often each row was drawn, the same ones each time.

    Rows of one group, numbered from 0, are drawn together.
    """
    resamples = int(np.clip(MOST_DRAWS // max(1, rows), FEWEST_RESAMPLES, RESAMPLES))
    units = rows if groups is None else int(groups.max(initial=-1)) + 1

    def samples() -> Any:
        random = np.random.default_rng(seed)
        for _ in range(resamples):
            drawn = np.bincount(random.integers(0, units, units), minlength=units).astype(np.float64)
            yield drawn if groups is None else drawn[groups]

    return samples


def better(name: str, one: float, other: float) -> bool:
    """Whether the first value of a metric is better than the second; anything is better than NaN."""
    if np.isnan(one) or np.isnan(other):
        return bool(np.isnan(other) and not np.isnan(one))
    return {"higher": one > other, "lower": one < other, "neither": False}[DIRECTIONS[name]]


def trivial(question: Question, labels: NDArray[Any]) -> NDArray[np.float32]:
    """What a predictor answers that knows nothing but the labels: class shares, or the mean. Shape (1, columns)."""
    if not question.classes:
        return np.array([[labels.mean()]], np.float32)
    return (np.bincount(labels, minlength=question.classes) / len(labels)).astype(np.float32).reshape(1, -1)


def _mean(values: Values) -> Callable[[Values], float]:
    return lambda weights: float(values @ weights / weights.sum()) if weights.any() else float("nan")


def _ranked(name: str, positive: NDArray[np.bool_], scores: NDArray[Any]) -> Callable[[Values], float]:
    """Area under the ROC curve with ties counted half; average precision as the sum over thresholds."""
    order = np.argsort(-scores, kind="stable")
    truth = positive[order]
    starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) != 0]) if len(order) else np.array([], int)

    def metric(weights: Values) -> float:
        ranked = weights[order]
        hits, misses = (np.add.reduceat(np.where(truth == wanted, ranked, 0.0), starts) for wanted in (True, False))
        if not hits.sum() or not misses.sum():
            return float("nan")
        above = np.cumsum(hits)
        if name == "roc_auc":
            return float(np.sum(misses * (above - hits / 2)) / (hits.sum() * misses.sum()))
        # A threshold that no row of the sample reaches has no precision, and no hits to count it with.
        reached = np.maximum(above + np.cumsum(misses), 1)
        return float(np.sum(hits * above / reached) / hits.sum())

    return metric


def _by_class(name: str, question: Question, labels: NDArray[Any], found: NDArray[Any]) -> Callable[[Values], float]:
    """Mean recall over the classes that occur; F1 of the positive class, or its mean over the classes."""
    size = question.classes

    def metric(weights: Values) -> float:
        confusion = np.bincount(labels * size + found, weights, size * size).reshape(size, size)
        right, actual, answered = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
        if name == "balanced_accuracy":
            occurs = actual > 0
            return float(np.mean(right[occurs] / actual[occurs]))
        f1 = 2 * right / np.maximum(actual + answered, TINY)
        return float(f1[question.positive]) if size == 2 else float(f1[(actual + answered) > 0].mean())

    return metric


def _errors(name: str, labels: Values, answers: Values) -> Callable[[Values], float]:
    errors = answers - labels
    if name == "rmse":
        squared = _mean(errors**2)
        return lambda weights: float(np.sqrt(squared(weights)))
    if name == "mae":
        return _mean(np.abs(errors))
    if name == "mape":
        # Undefined at 0, and meaningless next to it.
        return _mean(np.abs(errors / labels) if (np.abs(labels) > TINY).all() else np.full(len(labels), np.nan))

    def r2(weights: Values) -> float:
        mean = labels @ weights / weights.sum()
        spread = ((labels - mean) ** 2) @ weights
        return float(1 - (errors**2) @ weights / spread) if spread > 0 else float("nan")

    return r2
