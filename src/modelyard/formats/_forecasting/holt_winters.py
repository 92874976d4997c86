"""Exponential smoothing with one season or several: Holt and Winters, Taylor (2003) for more, many series at once.

Errors of neighbouring steps hang together where seasons are short against the step; as Taylor does, what is left of the
last error is carried forward.
"""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from modelyard.formats._forecasting import decomposition
from modelyard.formats._forecasting.block import Block, Floats
from modelyard.formats._forecasting.smoothing import criterion

CELLS = 2_500_000
"""Series times points of the grid times states in one run."""


class Seasonal(NamedTuple):
    """What goes on from the end of each series: (series, horizon), and AICc (series,), lower is better."""

    values: Floats
    score: Floats


class _Grid(NamedTuple):
    alpha: Floats
    beta: Floats
    phi: Floats
    gammas: tuple[Floats, ...]


def smooth(block: Block, seasons: Sequence[int], horizon: int) -> Seasonal:
    """Fit each series and continue it. Every series holds every season twice."""
    grid = _grid(len(seasons))
    order = np.argsort(-block.lengths, kind="stable")
    parts = max(1, -(-block.series * len(grid.alpha) * (sum(seasons) + 10) // CELLS))
    found = [_smooth(block.take(rows), seasons, grid, horizon) for rows in np.array_split(order, parts) if len(rows)]
    back = np.argsort(order, kind="stable")
    return Seasonal(*(np.concatenate(column)[back] for column in zip(*found, strict=True)))


def _grid(seasons: int) -> _Grid:
    """Points to try. Fewer of each parameter where there are several seasons: their number is a product."""
    shares = (0.02, 0.1, 0.3, 0.6) if seasons == 1 else (0.02, 0.1, 0.3)
    alphas = (0.02, 0.1, 0.25, 0.45, 0.7, 0.95) if seasons == 1 else (0.02, 0.1, 0.3, 0.7)
    trends = ((0.0, 0.0), (0.05, 0.97), (0.02, 1.0)) if seasons == 1 else ((0.0, 0.0), (0.02, 0.97))
    points = [
        (alpha, alpha * share, phi, *(gamma * (1 - 0.8 * alpha) for gamma in gammas))
        for alpha, (share, phi), gammas in product(alphas, trends, product(shares, repeat=seasons))
    ]
    alpha, beta, phi, *gammas = (np.array(column) for column in zip(*points, strict=True))
    return _Grid(alpha, beta, phi, tuple(gammas))


def _smooth(block: Block, seasons: Sequence[int], grid: _Grid, horizon: int) -> Seasonal:
    level, slope, states = _start(block, seasons, grid)
    squares, products, error = np.zeros_like(level), np.zeros_like(level), np.zeros_like(level)
    columns = np.ascontiguousarray(block.values.T)
    active = np.searchsorted(-block.lengths, -np.arange(len(columns)), side="left")
    for place, values in enumerate(columns):
        count = int(active[place])
        trend, ahead, before = slope[:count], level[:count], error[:count]
        now = [state[place % season, :count] for state, season in zip(states, seasons, strict=True)]
        trend *= grid.phi
        ahead += trend
        missed = values[:count, None] - ahead
        for part in now:
            missed -= part
        ahead += grid.alpha * missed
        trend += grid.beta * missed
        for part, gamma in zip(now, grid.gammas, strict=True):
            np.add(part, gamma * missed, out=part)
        products[:count] += missed * before
        before[:] = missed
        squares[:count] += missed * missed
    carried = np.clip(products / np.maximum(squares, 1e-300), 0.0, 0.98)
    left = squares * (1 - carried**2)
    best = np.argmin(left, axis=1)
    rows = np.arange(block.series)
    steps = np.arange(1, horizon + 1)
    chosen = [each[rows, best][:, None] for each in (level, slope, error, carried)]
    values = (
        chosen[0] + chosen[1] * np.cumsum(grid.phi[best][:, None] ** steps, axis=1) + chosen[2] * chosen[3] ** steps
    )
    for state, season in zip(states, seasons, strict=True):
        phases = (block.lengths[:, None] + steps - 1) % season
        values += state[phases, rows[:, None], best[:, None]]
    return Seasonal(values, criterion(left[rows, best], block.lengths, 5 + 2 * len(seasons) + max(seasons) - 1))


def _start(block: Block, seasons: Sequence[int], grid: _Grid) -> tuple[Floats, Floats, list[Floats]]:
    """First level, slope and seasons for each series and point of the grid."""
    points = len(grid.alpha)
    parts = decomposition.seasonal_parts(block, seasons)
    trend = decomposition.moving_average(block, max(seasons))
    reach = np.maximum(np.minimum(max(seasons), block.lengths - 1), 1)
    climb = (np.take_along_axis(trend, reach[:, None], axis=1)[:, 0] - trend[:, 0]) / reach
    slope = np.where(grid.phi > 0, climb[:, None], 0.0)
    level = trend[:, :1] - slope
    states = [
        np.repeat(part[:, :season].T[:, :, None], points, axis=2) for part, season in zip(parts, seasons, strict=True)
    ]
    return level, slope, states
