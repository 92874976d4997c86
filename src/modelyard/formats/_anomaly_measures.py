"""How odd each row of a series is against the rows before it: three causal measures.

Each looks back a bounded number of rows (`reach`), so that a row's measure is the same whether it is computed in one
long series or from the end of a stored one. Values are scaled: one is a usual spread of the column.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

BLOCK = 128
"""Rows that are compared with the past at a time."""


class Season(msgspec.Struct, frozen=True):
    """The usual course of one period: `level` (phases, columns) of values; `period` in microseconds."""

    period: int
    level: tuple[tuple[float, ...], ...]

    def at(self, times: NDArray[np.int64]) -> Values:
        """The level at each time, shape (rows, columns)."""
        level = np.array(self.level, np.float64)
        phases = (times % self.period) * len(level) // self.period
        found: Values = level[phases]
        return found


class Measure(ABC):
    """One way to see that a moment is odd."""

    kind: ClassVar[str]
    reach: int
    levels: int

    @abstractmethod
    def __call__(self, values: Values, start: int) -> Values:
        """The measures of the rows from `start` on, shape (rows - start, levels); NaN where too little lies before.

        `values` has shape (rows, columns). A row's measures use that row and at most `reach` rows before it.
        """


class Profile(Measure):
    """Left matrix profile (Yeh et al. 2016): how far the last values are from the nearest such stretch before.

    Stretches of 1, 2, 4, … rows up to `window`, by Euclidean distance without normalisation, so that a level that was
    never seen is as odd as a shape. Stretches do not overlap.
    """

    kind = "profile"

    def __init__(self, window: int, history: int) -> None:
        self.windows = [2**power for power in range(window.bit_length())]
        self._history = history
        self.reach = history + window
        self.levels = len(self.windows)

    def __call__(self, values: Values, start: int) -> Values:
        # Single precision is twice as fast, and far finer than the spread of one that values are scaled to.
        narrow = values.astype(np.float32)
        parts = [
            self._block(narrow, first, min(first + BLOCK, len(values))) for first in range(start, len(values), BLOCK)
        ]
        return np.concatenate(parts).astype(np.float64) if parts else np.zeros((0, self.levels))

    def _block(self, values: NDArray[np.float32], first: int, end: int) -> NDArray[np.float32]:
        lead = min(self.windows[-1] - 1, first)
        begin = max(0, first - self._history - self.windows[-1] + 1)
        rows, past = values[first - lead : end], values[begin:end]
        squares = np.square(rows[:, :1] - past[:, 0])
        for column in range(1, values.shape[1]):
            squares += np.square(rows[:, column : column + 1] - past[:, column])
        found = np.full((end - first, self.levels), np.nan, np.float32)
        # Where the stretches of the rows and columns of `squares` end.
        row_ends, past_ends = np.arange(first - lead, end), np.arange(begin, end)
        for level, window in enumerate(self.windows):
            if level:
                half = window // 2
                if min(squares.shape) <= half:
                    break
                squares = squares[half:, half:] + squares[:-half, :-half]
                row_ends, past_ends = row_ends[half:], past_ends[half:]
            inside = int(np.searchsorted(row_ends, first))
            ends = row_ends[inside:]
            nearest = _nearest(squares[inside:], ends - self._history - past_ends[0], ends - window - past_ends[0])
            found[ends - first, level] = nearest
        return found


class Residual(Measure):
    """What is left after season and level: its mean size over short stretches.

    The level is the median of the last `span` rows without the season. The idea of judging a short window of errors by
    a long one is Numenta's anomaly likelihood (Ahmad et al. 2017).
    """

    kind = "residual"

    def __init__(self, span: int, short: int) -> None:
        self.span, self.shorts = span, sorted({1, short})
        self.reach = span + short
        self.levels = len(self.shorts)

    def __call__(self, values: Values, start: int) -> Values:
        found = np.full((len(values) - start, self.levels), np.nan)
        begin = max(self.span, start - self.shorts[-1] + 1)
        if begin >= len(values):
            return found
        before = np.lib.stride_tricks.sliding_window_view(values[begin - self.span : -1], self.span, axis=0)
        left = np.abs(values[begin:] - np.median(before, axis=2)).sum(axis=1)
        for level, short in enumerate(self.shorts):
            means = np.convolve(left, np.full(short, 1.0 / short), "valid")[-(len(values) - start) :]
            if len(left) >= short:
                found[len(found) - len(means) :, level] = means
        return found


class Change(Measure):
    """Sliding likelihood ratio for a change of the mean (Willsky and Jones 1976; Lai 1995).

    The means of the last 2, 8, … rows up to `window` against that of the `reference` rows before them, in standard
    errors.
    """

    kind = "change"

    def __init__(self, window: int, reference: int) -> None:
        self.windows = sorted({min(2 * 4**power, window) for power in range(8)})
        self.reference = reference
        self.reach = reference + window
        self.levels = len(self.windows)

    def __call__(self, values: Values, start: int) -> Values:
        found = np.full((len(values) - start, self.levels), np.nan)
        # Sums begin where the reach of the first row does: their rounding does not hang on how much lies before.
        begin = max(0, start - self.reach)
        part = values[begin:]
        sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(part, axis=0)])
        squares = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(np.square(part), axis=0)])
        for level, window in enumerate(self.windows):
            ends = np.arange(max(start - begin, self.reference + window - 1), len(part)) + 1
            if not len(ends):
                continue
            middle, first = ends - window, ends - window - self.reference
            usual = (sums[middle] - sums[first]) / self.reference
            variance = (squares[middle] - squares[first]) / self.reference - np.square(usual)
            error = np.sqrt(np.maximum(variance, 1e-6) * (1.0 / window + 1.0 / self.reference))
            apart = np.abs((sums[ends] - sums[middle]) / window - usual) / error
            found[len(found) - len(ends) :, level] = apart.max(axis=1)
        return found


def _nearest(squares: NDArray[np.float32], lows: NDArray[np.intp], highs: NDArray[np.intp]) -> NDArray[np.float32]:
    """The root of the smallest square of each row in columns `lows` to `highs`, both rising by one; NaN without any."""
    low, high = max(int(lows[-1]), 0), int(highs[0]) + 1
    first, last = max(int(lows[0]), 0), max(int(highs[-1]) + 1, 0)
    edges = [(first, low), (high, last)] if high > low else [(first, last)]
    nearest = squares[:, low:high].min(axis=1) if high > low else np.full(len(squares), np.inf, np.float32)
    for begin, end in edges:
        if end > begin:
            columns = np.arange(begin, end)
            allowed = (columns >= lows[:, None]) & (columns <= highs[:, None])
            nearest = np.minimum(nearest, np.where(allowed, squares[:, begin:end], np.inf).min(axis=1))
    return np.where(np.isfinite(nearest), np.sqrt(nearest), np.nan).astype(np.float32)
