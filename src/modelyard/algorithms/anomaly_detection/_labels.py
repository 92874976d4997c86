"""What labels of single rows (1 an anomaly, 0 none, -1 nobody said) say about scores."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

FEWEST = 3
"""Labelled rows of either kind that it takes to choose anything by them."""


def judges(labels: NDArray[Any]) -> bool:
    """Whether there are enough labels of both kinds."""
    return bool((labels == 1).sum() >= FEWEST and (labels == 0).sum() >= FEWEST)


def area_under_curve(scores: NDArray[np.float64], labels: NDArray[Any]) -> float:
    """How often an anomaly scores higher than a normal row, ties counting half; rows without a label do not count."""
    anomalies, normal = scores[labels == 1], np.sort(scores[labels == 0])
    lower, up_to = np.searchsorted(normal, anomalies, "left"), np.searchsorted(normal, anomalies, "right")
    return float(np.mean(lower + up_to) / (2.0 * len(normal)))


def best_threshold(scores: NDArray[np.float64], labels: NDArray[Any]) -> tuple[float, float]:
    """The threshold with the best F1 on labelled rows, in the middle between two scores, and that F1."""
    known = labels >= 0
    order = np.argsort(-scores[known], kind="stable")
    ranked, hits = scores[known][order], np.cumsum(labels[known][order] == 1)
    f1 = 2.0 * hits / (np.arange(1, len(ranked) + 1) + hits[-1])
    apart = np.append(ranked[1:] < ranked[:-1], True)
    best = int(np.argmax(np.where(apart, f1, -1.0)))
    lower = ranked[best + 1] if best + 1 < len(ranked) else ranked[best] - 1.0
    return float((ranked[best] + lower) / 2.0), float(f1[best])
