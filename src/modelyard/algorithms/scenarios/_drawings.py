"""What is drawn of a result: curves, confusion, residuals, histograms; numbers short, lists thinned."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

CURVE_POINTS = 200
RESIDUALS = 1000
BINS = 40


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
        "roc": {"false_positive_rate": short(fall_out), "true_positive_rate": short(recall), "threshold": thresholds},
        "precision_recall": {"recall": short(recall), "precision": short(precision), "threshold": thresholds},
    }


def residuals(labels: NDArray[Any], answers: NDArray[Any]) -> dict[str, Any]:
    """A sample of (actual, predicted), evenly through the rows, and the quantiles of the error."""
    kept = np.unique(np.linspace(0, len(labels) - 1, min(RESIDUALS, len(labels))).round().astype(int))
    errors = answers.astype(np.float64) - labels
    shares = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
    quantiles = dict(zip(map(str, shares), short(np.quantile(errors, shares)), strict=True))
    return {
        "sample": {"actual": short(labels[kept]), "predicted": short(answers[kept])},
        "error_quantiles": quantiles,
    }


def histogram(values: NDArray[Any]) -> dict[str, Any]:
    """How often values are how large."""
    counts, edges = np.histogram(values.astype(np.float64), bins=BINS)
    return {"edges": short(edges), "counts": counts.tolist()}


def short(values: NDArray[Any]) -> list[float]:
    """Six digits, which no drawing shows more of."""
    return [float(f"{value:.6g}") for value in values]
