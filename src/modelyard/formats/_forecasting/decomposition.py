"""Series split into trend, seasons and the rest, many at once.

The idea is MSTL's (Bandara, Hyndman and Bergmeir 2021): seasons are smoothed cycle by cycle, one after another, each on
what the others leave. Trends are centred moving averages, cycles are smoothed with tricube weights as in STL (Cleveland
et al. 1990, local constants).
"""

from collections.abc import Sequence

import numpy as np

from modelyard.formats._forecasting.block import Block, Floats, seasonal_steps

WINDOWS = (11, 15, 19)
"""Cycles that smooth the first, second and third season; MSTL's own."""


def seasonal_parts(block: Block, seasons: Sequence[int], *, passes: int = 2) -> list[Floats]:
    """The part of each season, shape (series, longest); 0 for series that do not hold it twice."""
    parts = [np.zeros_like(block.values) for _ in seasons]
    for _ in range(passes if len(seasons) > 1 else 1):
        for place, season in enumerate(seasons):
            others = block.values - sum(part for at, part in enumerate(parts) if at != place)
            window = WINDOWS[min(place, len(WINDOWS) - 1)]
            parts[place] = _season(Block(others, block.lengths), season, window)
    return parts


def continued(part: Floats, block: Block, season: int, horizon: int) -> Floats:
    """The last cycle of a part, again and again: shape (series, horizon)."""
    return np.take_along_axis(part, seasonal_steps(block.lengths, season, horizon), axis=1)


def moving_average(block: Block, width: int) -> Floats:
    """Centred moving averages over one season, carried on in a line to both ends; the mean of shorter series."""
    count, (rows, longest) = block.lengths[:, None], block.values.shape
    half = width // 2
    sums = np.concatenate([np.zeros((rows, 1)), np.cumsum(np.nan_to_num(block.values), axis=1)], axis=1)
    places = np.arange(longest)

    def window(start: int) -> Floats:
        first = np.clip(places + start, 0, longest)
        found: Floats = sums[:, np.clip(first + width, 0, longest)] - sums[:, first]
        return found / width

    averages = window(-half) if width % 2 else (window(-half) + window(1 - half)) / 2
    left, right = half, np.maximum(count - 1 - half, 0)
    reach = np.maximum(np.minimum(width, right - left), 1)
    ends = [np.take_along_axis(averages, np.clip(at, 0, longest - 1), axis=1)
            for at in (np.full_like(count, left), left + reach, right - reach, right)]  # fmt: skip
    slopes = ((ends[1] - ends[0]) / reach, (ends[3] - ends[2]) / reach)
    averages = np.where(places < left, ends[0] + slopes[0] * (places - left), averages)
    averages = np.where(places > right, ends[3] + slopes[1] * (places - right), averages)
    mean = sums[:, -1:] / count
    return np.where(right > left, averages, mean)


def _season(block: Block, season: int, window: int) -> Floats:
    """One season: what is left without the trend, smoothed over the cycles."""
    rows, longest = block.values.shape
    cycles = -(-longest // season)
    rest = np.full((rows, cycles * season), np.nan)
    rest[:, :longest] = block.values - moving_average(block, season)
    shaped = rest.reshape(rows, cycles, season)
    known = ~np.isnan(shaped)
    weights = _tricube(cycles, window)
    total = weights @ np.where(known, shaped, 0.0)
    smooth = total / np.maximum(weights @ known.astype(np.float64), 1e-12)
    smooth -= smooth.mean(axis=2, keepdims=True)
    part = smooth.reshape(rows, -1)[:, :longest]
    held = (block.lengths >= 2 * season)[:, None]
    return np.where(np.isnan(block.values) & held, np.nan, np.where(held, part, 0.0))


def _tricube(cycles: int, window: int) -> Floats:
    """Row i weighs the `window` cycles nearest to cycle i: shape (cycles, cycles)."""
    distance = np.abs(np.subtract.outer(np.arange(cycles), np.arange(cycles))).astype(np.float64)
    reach = np.sort(distance, axis=1)[:, [min(window, cycles) - 1]] + 1
    return np.clip(1 - (distance / reach) ** 3, 0, None) ** 3
