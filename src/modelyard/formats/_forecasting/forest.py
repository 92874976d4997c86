"""Boosted trees over many series: what they see of a series, and their answer from plain arrays.

The trees answer each step ahead directly: the step is a feature, and seasonal lags are counted from the step that is
asked for. Values are centred and divided by their spread, so that one forest serves series of every size.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelyard.formats._forecasting.block import Block, Floats, Integers
from modelyard.formats.series import DAY, Step, Times

CYCLES = 4
"""So many seasons back a lag is looked at."""

RECENT = 6
ABSENT = -1000.0
"""What stands for a value that is not there: beyond what normalised values reach."""

FURTHEST = 50.0
CELLS = 60_000
"""Rows times trees that are gone through at once: as many as the caches of a processor hold."""


class Forest(NamedTuple):
    """Parallel arrays (trees, nodes). A leaf leads to itself; `values` are what leaves say.

    `lookback`, `horizon` and `seasons` are what the features were made with.
    """

    features: Integers
    thresholds: Floats
    left: Integers
    right: Integers
    values: Floats
    depth: int
    lookback: int
    horizon: int
    seasons: tuple[int, ...]

    def answer(self, matrix: Floats) -> Floats:
        """The sum of the trees for each row."""
        trees, nodes = self.features.shape
        first = np.arange(trees) * nodes
        # Where to go from each node, below the threshold and above it, over all trees in one row.
        ways = (np.stack([self.left, self.right], axis=2) + first[:, None, None]).ravel()
        features, thresholds, values = self.features.ravel(), self.thresholds.ravel(), self.values.ravel()
        width = matrix.shape[1]
        found = np.zeros(len(matrix))
        size = max(1, CELLS // trees)
        for start in range(0, len(matrix), size):
            part = matrix[start : start + size]
            flat, rows = part.ravel(), (np.arange(len(part)) * width)[:, None]
            at = np.repeat(first[None], len(part), axis=0)
            for _ in range(self.depth):
                above = flat.take(rows + features.take(at)) > thresholds.take(at)
                at = ways.take(2 * at + above)
            found[start : start + size] = values.take(at).sum(axis=1)
        return found

    def forecast(self, block: Block, origins: Times, step: Step, horizon: int, known: Floats) -> Floats:
        """What follows, shape (series, horizon). `known`: columns beside the value, (series, horizon, columns)."""
        window, found = block.last(self.lookback), [np.zeros((block.series, 0))]
        for start in range(0, horizon, self.horizon):
            ahead = np.arange(start, min(start + self.horizon, horizon))
            seen = np.concatenate([window, *found], axis=1)[:, -self.lookback :]
            centre, width = scale(seen, self.seasons)
            matrix = features(
                (seen - centre) / width, self.seasons, ahead - start, target_times(origins, step, ahead), step,
                known[:, ahead],
            )  # fmt: skip
            found.append(self.answer(matrix).reshape(block.series, -1) * width + centre)
        return np.concatenate(found, axis=1)


def scale(windows: Floats, seasons: Sequence[int]) -> tuple[Floats, Floats]:
    """Centre and spread of each window (series, 1): the mean of the last season, the mean distance from it."""
    recent = windows[:, -max([*seasons, 4]) :]
    count = np.maximum((~np.isnan(recent)).sum(axis=1, keepdims=True), 1)
    centre = np.nansum(recent, axis=1, keepdims=True) / count
    every = np.maximum((~np.isnan(windows)).sum(axis=1, keepdims=True), 1)
    width = np.nansum(np.abs(windows - centre), axis=1, keepdims=True) / every
    return centre, np.where(width > 1e-12, width, 1.0)


def target_times(origins: Times, step: Step, ahead: NDArray[np.int64]) -> Times:
    """When each step after the end of each series is: shape (series, steps)."""
    if not step.months:
        return origins[:, None] + (ahead + 1) * np.timedelta64(step.micros, "us")
    months = origins.astype("datetime64[M]")[:, None] + (ahead + 1) * step.months
    return months.astype("datetime64[us]")


def features(
    windows: Floats, seasons: Sequence[int], ahead: Integers, times: Times, step: Step, known: Floats
) -> Floats:
    """What the trees see, shape (series * steps, features).

    `windows`: normalised values, the last one at the end, NaN where a series is shorter; `ahead`: steps, from 0;
    `times`: (series, steps); `known`: (series, steps, columns).
    """
    rows, steps = len(windows), len(ahead)
    padded = np.concatenate([np.full((rows, 1), np.nan), windows], axis=1)
    columns = [np.broadcast_to(ahead.astype(np.float64), (rows, steps))]
    for season in seasons:
        back = season - ahead % season
        lags = [_lag(padded, back + season * cycle) for cycle in range(CYCLES)]
        columns += [*lags, _mean(np.stack(lags))]
    once = [_lag(padded, np.array([back]))[:, 0] for back in range(1, RECENT + 1)]
    for width in sorted({3, 7, *seasons, *(2 * season for season in seasons)}):
        part = windows[:, -width:]
        once += [_mean(part.T), _mean(np.abs(np.diff(part, axis=1, prepend=part[:, :1])).T)]
    columns += [np.broadcast_to(column[:, None], (rows, steps)) for column in once]
    columns += _calendar(times, step)
    stacked = np.stack([*columns], axis=2).reshape(rows * steps, -1)
    stacked = np.clip(stacked, -FURTHEST * 50, FURTHEST * 50)
    beside = np.broadcast_to(known, (rows, steps, known.shape[2])).reshape(rows * steps, -1)
    whole = np.concatenate([stacked, beside], axis=1)
    return np.where(np.isnan(whole), ABSENT, whole)


def _lag(padded: Floats, back: Integers) -> Floats:
    """The values so many steps before the end (1 is the last one), NaN where there are none: (series, lags)."""
    return padded[:, np.maximum(padded.shape[1] - back, 0)]


def _mean(values: Floats) -> Floats:
    """Along the first axis, NaN left out."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0).sum(axis=0)
    count = known.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _calendar(times: Times, step: Step) -> list[Floats]:
    """Hour, weekday, day of the month and month of each step, as far as they change from step to step."""
    days, months = times.astype("datetime64[D]"), times.astype("datetime64[M]")
    found = [months.astype(np.int64) % 12]
    if not step.months and step.micros < 28 * DAY:
        found.append((days - months.astype("datetime64[D]")).astype(np.int64))
    if not step.months and step.micros < 7 * DAY:
        found.append((days.astype(np.int64) + 3) % 7)
    if not step.months and step.micros < DAY:
        found.append((times - days.astype("datetime64[us]")).astype(np.int64) // (DAY // 1440))
    return [column.astype(np.float64) for column in found]
