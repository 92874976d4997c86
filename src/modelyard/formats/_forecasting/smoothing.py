"""Exponential smoothing without a season: none, damped and linear trend (Hyndman et al. 2008), many series at once.

Smoothing parameters come from a grid, the first level and slope by least squares: a forecast is linear in them, and how
depends on the parameters alone. So every series and every point of the grid takes one run through time.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelyard.formats._forecasting.block import Block, Floats

NONE, DAMPED, LINEAR = range(3)
STATES = np.array([3, 6, 5])
"""What each kind of trend estimates, the variance included."""

CELLS = 60_000
"""Series times points of the grid in one run: as many as the caches of a processor hold."""


class Grid(NamedTuple):
    """Points to try: parallel arrays, all of shape (points,)."""

    alpha: Floats
    beta: Floats
    phi: Floats
    kind: NDArray[np.int64]


class Smoothed(NamedTuple):
    """The best point of each kind of trend: shape (series, 3). `score` is AICc, lower is better."""

    level: Floats
    slope: Floats
    phi: Floats
    score: Floats

    def weights(self) -> Floats:
        """Akaike's weights of the three kinds, shape (series, 3)."""
        relative = np.exp(-0.5 * np.minimum(self.score - self.score.min(axis=1, keepdims=True), 700))
        found: Floats = relative / relative.sum(axis=1, keepdims=True)
        return found

    def forecast(self, horizon: int) -> Floats:
        """The weighted mean over the kinds of trend: shape (series, horizon)."""
        steps = np.cumsum(self.phi[..., None] ** np.arange(1, horizon + 1), axis=2)
        each = self.level[..., None] + self.slope[..., None] * steps
        found: Floats = np.einsum("sk,skh->sh", self.weights(), each)
        return found


def _grid() -> Grid:
    points: list[tuple[float, float, float, int]] = []
    for alpha in (0.02, 0.05, 0.1, 0.17, 0.25, 0.35, 0.5, 0.65, 0.8, 0.9, 0.99):
        points.append((alpha, 0.0, 0.0, NONE))
        for share in (0.0, 0.05, 0.2, 0.5):
            points += [(alpha, alpha * share, phi, DAMPED) for phi in (0.82, 0.9, 0.96)]
            points.append((alpha, alpha * share, 1.0, LINEAR))
    columns = np.array(points)
    return Grid(columns[:, 0], columns[:, 1], columns[:, 2], columns[:, 3].astype(np.int64))


GRID = _grid()
LEVELS = Grid(*(column[GRID.kind == NONE] for column in GRID))


def smooth(block: Block, grid: Grid = GRID) -> Smoothed:
    """Fit each series."""
    order = np.argsort(-block.lengths, kind="stable")
    parts = max(1, -(-block.series * len(grid.alpha) // CELLS))
    found = [_smooth(block.take(rows), grid) for rows in np.array_split(order, parts) if len(rows)]
    back = np.argsort(order, kind="stable")
    return Smoothed(*(np.concatenate(column)[back] for column in zip(*found, strict=True)))


def _smooth(block: Block, grid: Grid) -> Smoothed:
    """Fit series that are in order of length, the longest first."""
    moves, gram, ends = _responses(grid, block.values.shape[1])
    level = np.zeros((block.series, len(grid.alpha)))
    slope, squares = np.zeros_like(level), np.zeros_like(level)
    mixed = np.zeros((2, *level.shape))
    columns, last = np.ascontiguousarray(block.values.T), block.lengths
    active = np.searchsorted(-last, -np.arange(len(columns)), side="left")
    for place, values in enumerate(columns):
        count = int(active[place])
        trend = slope[:count]
        trend *= grid.phi
        ahead = level[:count]
        ahead += trend
        error = values[:count, None] - ahead
        ahead += grid.alpha * error
        trend += grid.beta * error
        squares[:count] += error * error
        mixed[0, :count] += error * moves[place, 0]
        mixed[1, :count] += error * moves[place, 1]
    return _best(grid, last, (level, slope), squares, _first(mixed, gram[last]), mixed, ends[last])


def _responses(grid: Grid, longest: int) -> tuple[Floats, Floats, Floats]:
    """How forecasts and states follow from the first level and slope, by step.

    Forecasts (longest, 2, points), the sums of their products (longest + 1, 3, points), states (longest + 1, 2 of
    state, 2 of start, points).
    """
    state = np.zeros((2, 2, len(grid.alpha)))
    state[0, 0], state[1, 1] = 1.0, grid.kind != NONE
    moves, ends = np.zeros((longest, 2, len(grid.alpha))), np.zeros((longest + 1, 2, 2, len(grid.alpha)))
    gram = np.zeros((longest + 1, 3, len(grid.alpha)))
    ends[0] = state
    for place in range(longest):
        ahead = state[0] + grid.phi * state[1]
        state = np.stack([(1 - grid.alpha) * ahead, grid.phi * state[1] - grid.beta * ahead])
        moves[place], ends[place + 1] = ahead, state
        gram[place + 1] = gram[place] + np.stack([ahead[0] ** 2, ahead[0] * ahead[1], ahead[1] ** 2])
    return moves, gram, ends


def _first(mixed: Floats, gram: Floats) -> Floats:
    """The first level and slope with the smallest squared error: shape (2, series, points)."""
    one, both, other = gram[:, 0], gram[:, 1], gram[:, 2] + 1e-9
    one = one + 1e-12
    determinant = np.maximum(one * other - both**2, 1e-12 * one * other)
    level = (other * mixed[0] - both * mixed[1]) / determinant
    slope = (one * mixed[1] - both * mixed[0]) / determinant
    return np.stack([level, slope])


def _best(
    grid: Grid, lengths: NDArray[np.int64], states: tuple[Floats, Floats], squares: Floats, first: Floats,
    mixed: Floats, ends: Floats,
) -> Smoothed:  # fmt: skip
    """Of each kind of trend the point of the grid with the smallest error."""
    left = np.maximum(squares - (first * mixed).sum(axis=0), 0.0)
    result = np.full((4, len(lengths), 3), 0.0)
    result[3] = np.inf
    rows = np.arange(len(lengths))
    for kind in (NONE, DAMPED, LINEAR):
        points = np.flatnonzero(grid.kind == kind)
        if not len(points):
            continue
        best = points[np.argmin(left[:, points], axis=1)]
        start = first[:, rows, best]
        for place in range(2):
            result[place, :, kind] = states[place][rows, best] + (ends[rows, place, :, best].T * start).sum(axis=0)
        result[2, :, kind] = grid.phi[best]
        result[3, :, kind] = criterion(left[rows, best], lengths, int(STATES[kind]))
    return Smoothed(*result)


def criterion(squares: Floats, lengths: NDArray[np.int64], parameters: int) -> Floats:
    """AICc of Gaussian errors with this sum of squares; large where a series is too short for so many parameters."""
    count = lengths.astype(np.float64)
    room = count - parameters - 1
    score = count * np.log(np.maximum(squares / count, 1e-14)) + 2 * parameters
    # Where there is no room the simplest model is to win.
    return np.where(room > 0, score + 2 * parameters * (parameters + 1) / np.maximum(room, 1), 1e6 + parameters)
