"""Judging the chosen model on the test rows: metrics with intervals, curves, confusion, residuals, importance."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.algorithms.scoring import DIRECTIONS, Question, score
from modelyard.algorithms.tabular.rows import joined, taken
from modelyard.formats.base import Batch
from modelyard.protocol.signature import Signature
from modelyard.worker.failures import failed
from modelyard.worker.training.loading import Loaded
from modelyard.worker.training.serving import Predict

CURVE_POINTS = 200
RESIDUALS = 1000
IMPORTANCE_ROWS = 2000
IMPORTANCE_REPEATS = 3
IMPORTANCE_SECONDS = 3.0
CELLS_AT_ONCE = 10_000_000
SUSPICIOUS = 0.999
"""Area under the curve or R² from which on a column probably tells the answer."""


def question_of(signature: Signature) -> Question:
    """What is judged."""
    positive = signature.classes.index(signature.positive) if signature.positive is not None else 1
    return Question(len(signature.classes), positive)


def primary_metric(question: Question, wanted: str | None, loaded: Loaded) -> str:
    """The metric that decides: the one asked for, else the first that is defined on validation and test rows.

    Raises JobFailed for one that this scenario does not have.
    """
    if wanted is not None and wanted not in question.metrics:
        choices = ", ".join(question.metrics)
        message = f"{loaded.signature.scenario} is not judged by {wanted!r}. Choose one of: {choices}."
        raise failed("unknown_metric", message)
    names = (wanted, *question.metrics) if wanted else question.metrics
    parts = (loaded.parts.validation, loaded.parts.test)
    return next(name for name in names if all(_is_defined(name, question, part.labels) for part in parts))


def details(question: Question, signature: Signature, labels: NDArray[Any], answers: NDArray[Any]) -> dict[str, Any]:
    """What the files below `evaluation/` hold, by name."""
    if not question.classes:
        return {"residuals": residuals(labels, answers[:, 0])}
    found = {"confusion": confusion(signature.classes, labels, answers.argmax(axis=1))}
    if question.classes == 2 and 0 < (labels == question.positive).sum() < len(labels):
        found["curves"] = curves(labels == question.positive, answers[:, question.positive])
    return found


def confusion(classes: Sequence[str], labels: NDArray[Any], found: NDArray[Any]) -> dict[str, Any]:
    """How many rows of each class (a row of the matrix) were answered as each class (its columns)."""
    size = len(classes)
    matrix = np.bincount(labels * size + found, minlength=size * size).reshape(size, size)
    return {"classes": list(classes), "matrix": matrix.tolist()}


def curves(positive: NDArray[np.bool_], scores: NDArray[Any]) -> dict[str, Any]:
    """The ROC and precision-recall curves, thinned, each point with its threshold."""
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.r_[np.diff(scores[order]) != 0, True])
    hits = np.cumsum(positive[order])[last]
    answered = last + 1
    kept = np.unique(np.linspace(0, len(last) - 1, min(CURVE_POINTS, len(last))).round().astype(int))
    thresholds = [float(f"{value:.6g}") for value in scores[order][last][kept]]
    recall, precision = hits[kept] / positive.sum(), hits[kept] / answered[kept]
    fall_out = (answered - hits)[kept] / (~positive).sum()
    return {
        "roc": {"false_positive_rate": _short(fall_out), "true_positive_rate": _short(recall), "threshold": thresholds},
        "precision_recall": {"recall": _short(recall), "precision": _short(precision), "threshold": thresholds},
    }


def residuals(labels: NDArray[Any], answers: NDArray[Any]) -> dict[str, Any]:
    """A sample of (actual, predicted), evenly through the rows, and the quantiles of the error."""
    kept = np.unique(np.linspace(0, len(labels) - 1, min(RESIDUALS, len(labels))).round().astype(int))
    errors = answers.astype(np.float64) - labels
    shares = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
    quantiles = dict(zip(map(str, shares), _short(np.quantile(errors, shares)), strict=True))
    return {
        "sample": {"actual": _short(labels[kept]), "predicted": _short(answers[kept])},
        "error_quantiles": quantiles,
    }


def importance(
    predict: Predict,
    question: Question,
    metric: str,
    signature: Signature,
    rows: Batch,
    labels: NDArray[Any],
    seed: int,
) -> dict[str, float]:
    """How much worse the metric gets when a column is shuffled, largest first (Breiman 2001), over at most 2,000 rows.

    Columns that time does not suffice for are left out.
    """
    random = np.random.default_rng(seed)
    if len(labels) > IMPORTANCE_ROWS:
        chosen = np.sort(random.choice(len(labels), IMPORTANCE_ROWS, replace=False))
        rows, labels = taken(rows, chosen), labels[chosen]
    sign = 1 if DIRECTIONS[metric] == "higher" else -1
    whole = score(metric, question, labels, predict(rows))
    found: dict[str, float] = {}
    end = time.monotonic() + IMPORTANCE_SECONDS
    fields = [*signature.numeric_inputs, *signature.string_inputs]
    together = max(1, CELLS_AT_ONCE // max(1, len(labels) * IMPORTANCE_REPEATS * len(fields)))
    for first in range(0, len(fields), together):
        if time.monotonic() > end:
            break
        places = range(first, min(first + together, len(fields)))
        shuffled = [_shuffled(rows, place, random) for place in places for _ in range(IMPORTANCE_REPEATS)]
        answers = predict(joined(shuffled))
        scores = [score(metric, question, labels, part) for part in np.split(answers, len(shuffled))]
        for place, drops in zip(places, np.reshape(scores, (-1, IMPORTANCE_REPEATS)), strict=True):
            found[fields[place].name] = float(f"{sign * (whole - float(np.mean(drops))):.6g}")
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def suspicion(question: Question, labels: NDArray[Any], answers: NDArray[Any]) -> tuple[str, ...]:
    """A warning where a model is too good to be true."""
    name = "roc_auc" if question.classes == 2 else "r2" if not question.classes else "accuracy"
    if not score(name, question, labels, answers) >= SUSPICIOUS:
        return ()
    return (
        "Almost every test row is answered right: check whether a column tells the answer "
        "and would not be known when a prediction is asked for.",
    )


def _shuffled(rows: Batch, place: int, random: np.random.Generator) -> Batch:
    """A copy in which one column, of the numbers first and then of the strings, is shuffled."""
    numbers, strings = rows
    width, order = numbers.shape[1], random.permutation(rows.rows)
    if place < width:
        numbers = numbers.copy()
        numbers[:, place] = numbers[order, place]
    else:
        strings = strings.copy()
        strings[:, place - width] = strings[order, place - width]
    return Batch(numbers, strings)


def _is_defined(name: str, question: Question, labels: NDArray[Any]) -> bool:
    anything = np.ones((len(labels), max(1, question.classes)), np.float32)
    return bool(np.isfinite(score(name, question, labels, anything)))


def _short(values: NDArray[Any]) -> list[float]:
    return [float(f"{value:.6g}") for value in values]
