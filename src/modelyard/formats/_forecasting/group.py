"""A group of series that are continued in the same way: their methods, how these are combined, and the intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from modelyard.formats._forecasting.block import Block, Floats, block_of, scaled, spread
from modelyard.formats._forecasting.forest import Forest
from modelyard.formats._forecasting.linear import LinearMap
from modelyard.formats._forecasting.methods import METHODS
from modelyard.formats.series import Step, Times

Combination = Literal["mean", "median"]

BEYOND = 3.0
"""How far beyond what a series ever was a forecast may go, in widths of its range."""

CELLS = 3_000_000
"""Numbers that a method is given at once, so that its memory does not grow with the number of series."""

FEATURES = 50
"""What trees see of each step, about."""

NORMAL = ((0.5, 0.674), (0.8, 1.282), (0.9, 1.645), (0.95, 1.96), (0.975, 2.241), (0.99, 2.576), (0.999, 3.291))
"""Quantiles of the absolute value of a normal variable."""


class Member(NamedTuple):
    """One series as it is kept: the end of its history and what its backtest said.

    `weights`: of each method of the group. `width`: its usual error one step ahead, in units of `spread`.
    `columns`: the last values of the columns beside the target.
    """

    name: str
    step: Step
    end: np.datetime64
    tail: Floats
    weights: Floats
    width: float
    columns: Floats


class Calibration(NamedTuple):
    """Split conformal intervals (Lei et al. 2018) over the errors of the backtest.

    `profile`: how errors grow with the step ahead, shape (horizon,). `scores`: errors divided by what the series and
    the step lead one to expect, sorted.
    """

    profile: Floats
    scores: Floats

    def growth(self, horizon: int) -> Floats:
        """The profile for any horizon: beyond its end errors grow with the square root of the step."""
        steps = np.arange(1, horizon + 1)
        known = len(self.profile)
        found: Floats = self.profile[np.minimum(steps, known) - 1] * np.sqrt(np.maximum(steps, known) / known)
        return found

    def quantile(self, level: float) -> float:
        """What the score of a new error stays below with probability `level`.

        Where there are too few scores to say, their largest is stretched as if errors were normal.
        """
        count = len(self.scores)
        place = int(np.ceil((count + 1) * level))
        if place <= count:
            return float(self.scores[place - 1])
        known = count / (count + 1)
        return float(self.scores[-1]) * _normal(level) / _normal(known)


@dataclass(frozen=True, kw_only=True)
class Group:
    """How series of one kind are continued.

    `usual_weights` and `usual_width` hold for a series that was not there in training. `memory` is how many of the last
    values of a series are looked at.
    """

    step: Step
    seasons: tuple[int, ...]
    methods: tuple[str, ...]
    combination: Combination
    memory: int
    usual_weights: Floats
    usual_width: float
    calibration: Calibration
    linear: LinearMap | None
    forest: Forest | None
    members: tuple[Member, ...]

    def forecast(self, histories: Sequence[Floats], weights: Floats, origins: Times, known: Floats) -> Floats:
        """The values that follow on each history, shape (series, horizon).

        `weights`: (series, methods). `known`: columns beside the target, (series, horizon, columns).
        """
        block, largest = scaled(block_of([history[-self.memory :] for history in histories]))
        each = np.full((len(self.methods), block.series, known.shape[1]), np.nan)
        for place in range(len(self.methods)):
            rows = np.flatnonzero(weights[:, place] > 0)
            if len(rows):
                each[place, rows] = self.apply(place, block.take(rows), origins[rows], known[rows])
        return combined(self.combination, block, each, weights, self.seasons) * largest

    def apply(self, place: int, block: Block, origins: Times, known: Floats) -> Floats:
        """What one method says, shape (series, horizon); NaN where it cannot say anything."""
        size = max(1, CELLS // (block.values.shape[1] + known.shape[1] * FEATURES))
        chunks = [np.arange(start, min(start + size, block.series)) for start in range(0, block.series, size)]
        return np.concatenate([self._apply(place, block.take(rows), origins[rows], known[rows]) for rows in chunks])

    def _apply(self, place: int, block: Block, origins: Times, known: Floats) -> Floats:
        name, horizon = self.methods[place], known.shape[1]
        if name == "linear":
            assert self.linear is not None
            return self.linear.forecast(block, horizon)
        if name == "lightgbm":
            assert self.forest is not None
            return self.forest.forecast(block, origins, self.step, horizon, known)
        return METHODS[name](block, self.seasons, horizon)

    def widths(self, histories: Sequence[Floats], widths: Floats, horizon: int, level: float) -> Floats:
        """Half of the interval around each forecast, shape (series, horizon)."""
        block, largest = scaled(block_of([history[-self.memory :] for history in histories]))
        size = spread(block, self.seasons) * largest[:, 0] * widths
        return size[:, None] * self.calibration.growth(horizon) * self.calibration.quantile(level)


def combined(combination: Combination, block: Block, each: Floats, weights: Floats, seasons: Sequence[int]) -> Floats:
    """One forecast of what the methods say, (methods, series, horizon): theirs that are finite, kept in bounds."""
    low, high = (extreme(block.values, axis=1)[:, None] for extreme in (np.nanmin, np.nanmax))
    room = BEYOND * np.maximum(high - low, 1e-9 * np.maximum(np.abs(low), np.abs(high)))
    # A series that was never below zero does not go there.
    floor = np.where(low >= 0, 0.0, low - room)
    each = np.clip(each, floor, high + room)
    usable = np.isfinite(each)
    share = np.where(usable, weights.T[:, :, None], 0.0)
    total = share.sum(axis=0)
    if combination == "median":
        found = _median(np.where(share > 0, each, np.nan))
    else:
        found = np.where(usable, each, 0.0)
        found = (found * share).sum(axis=0) / np.where(total > 0, total, 1.0)
    if (total > 0).all():
        return found
    return np.where(total > 0, found, METHODS["seasonal_naive"](block, seasons, each.shape[2]))


def _median(values: Floats) -> Floats:
    """Along the first axis; NaN is left out, and nothing but NaN gives 0."""
    count = (~np.isnan(values)).sum(axis=0)
    ordered = np.sort(values, axis=0)
    upper = np.take_along_axis(ordered, np.minimum(count // 2, len(values) - 1)[None], axis=0)[0]
    lower = np.take_along_axis(ordered, np.maximum((count - 1) // 2, 0)[None], axis=0)[0]
    return np.where(count > 0, (upper + lower) / 2, 0.0)


def _normal(level: float) -> float:
    """The quantile of the absolute value of a normal variable, between the known ones in a line."""
    levels, values = zip(*NORMAL, strict=True)
    return float(np.interp(level, levels, values))
