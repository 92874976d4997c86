"""The score of the Numenta Anomaly Benchmark, standard profile, from its published definition.

Lavin and Ahmad, "Evaluating Real-time Anomaly Detection Algorithms" (2015, arXiv 1510.03336): in each labelled window
the earliest detection counts, the earlier the more, a missed window costs 1, each detection outside costs up to 0.11,
less right after a window. The first 15 % of a series (750 rows at most) do not count.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FALSE_ALARM, MISSED = 0.11, 1.0
PROBATION, LONGEST_PROBATION = 0.15, 750

Values = NDArray[np.float64]


class Labelled(NamedTuple):
    """Scores of one series and the windows in it, first and last row of each, in order."""

    scores: Values
    windows: list[tuple[int, int]]

    @property
    def probation(self) -> int:
        """Rows that do not count."""
        return probation(len(self.scores))


def probation(rows: int) -> int:
    """Rows of so many that do not count."""
    return min(int(PROBATION * rows), LONGEST_PROBATION)


def score(series: list[Labelled], threshold: float) -> float:
    """100 for every window found at once and nothing else, 0 for no detection at all."""
    windows = sum(len(each.windows) for each in series)
    total = sum(_sum(each, threshold) for each in series)
    return 100.0 * (total + windows) / (2.0 * windows)


def best_threshold(series: list[Labelled]) -> float:
    """The threshold with the best sum over all series; rows that score at least as high are detections."""
    steps: list[NDArray[np.float64]] = []
    for each in series:
        worth, window_of = _worth(each)
        counted = np.arange(len(each.scores)) >= each.probation
        outside = counted & (window_of < 0)
        steps.append(np.column_stack([each.scores[outside], worth[outside]]))
        for number in range(len(each.windows)):
            rows = np.flatnonzero(counted & (window_of == number))
            rows = rows[np.lexsort((rows, -each.scores[rows]))]
            best = np.maximum.accumulate(np.concatenate([[-MISSED], worth[rows]]))
            steps.append(np.column_stack([each.scores[rows], np.diff(best)]))
    gains = np.concatenate(steps)
    gains = gains[np.argsort(-gains[:, 0], kind="stable")]
    last = np.append(gains[1:, 0] < gains[:-1, 0], True)
    sums = np.where(last, np.cumsum(gains[:, 1]), -np.inf)
    best = int(np.argmax(sums))
    return float(gains[best, 0]) if sums[best] > 0 else float("inf")


def _sum(series: Labelled, threshold: float) -> float:
    worth, window_of = _worth(series)
    detected = series.scores >= threshold
    detected[: series.probation] = False
    total = float(worth[detected & (window_of < 0)].sum())
    for number in range(len(series.windows)):
        found = detected & (window_of == number)
        total += float(worth[found].max()) if found.any() else -MISSED
    return total


def _worth(series: Labelled) -> tuple[Values, NDArray[np.intp]]:
    """What a detection in each row is worth, and in which window the row lies (-1: in none)."""
    rows = len(series.scores)
    worth, window_of = np.full(rows, -FALSE_ALARM), np.full(rows, -1)
    starts = [*(first for first, _ in series.windows[1:]), rows][: len(series.windows)]
    for number, ((first, last), following) in enumerate(zip(series.windows, starts, strict=True)):
        width = last - first + 1
        inside = np.arange(first, last + 1)
        window_of[inside] = number
        worth[inside] = _sigmoid((inside - last - 1) / width) / _sigmoid(np.array(-1.0))
        after = np.arange(last + 1, following)
        worth[after] = FALSE_ALARM * _sigmoid((after - last) / max(width - 1, 1))
    return worth, window_of


def _sigmoid(place: Values) -> Values:
    """1 well before the end of a window (0), -1 well behind it."""
    return np.where(place > 3, -1.0, 2.0 / (1.0 + np.exp(5.0 * np.minimum(place, 3.0))) - 1.0)
