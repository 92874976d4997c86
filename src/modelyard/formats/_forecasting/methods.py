"""The methods that continue a series from its own history alone.

Each takes a block whose values lie between -1 and 1, the seasons of its series and a horizon, and answers the values
that follow, shape (series, horizon).
"""

from collections.abc import Callable, Sequence

import numpy as np

from modelyard.formats._forecasting import decomposition, holt_winters, smoothing
from modelyard.formats._forecasting.block import Block, Floats, seasonal_steps
from modelyard.formats._forecasting.seasons import strengths

Method = Callable[[Block, Sequence[int], int], Floats]

SEASONAL = 0.1
"""The share of variance from which on a season counts for one series."""


def naive(block: Block, seasons: Sequence[int], horizon: int) -> Floats:  # noqa: ARG001
    """The last value again and again."""
    return np.repeat(block.last(1), horizon, axis=1)


def seasonal_naive(block: Block, seasons: Sequence[int], horizon: int) -> Floats:
    """The last season again and again: of several seasons the one whose values repeat best."""
    found, closest = naive(block, (), horizon), np.full(block.series, np.inf)
    for season in seasons:
        if block.values.shape[1] <= season:
            continue
        gaps = np.abs(block.values[:, season:] - block.values[:, :-season])
        held = block.lengths >= 2 * season
        distance = np.where(held, np.nansum(gaps, axis=1) / np.maximum(block.lengths - season, 1), np.inf)
        repeated = np.take_along_axis(block.values, seasonal_steps(block.lengths, season, horizon), axis=1)
        found = np.where((distance < closest)[:, None], repeated, found)
        closest = np.minimum(closest, distance)
    return found


def ets(block: Block, seasons: Sequence[int], horizon: int) -> Floats:
    """Exponential smoothing: trend, season and whether they multiply are chosen by AICc."""
    return _with_logarithms(block, lambda part: _ets(part, seasons, horizon))


def theta(block: Block, seasons: Sequence[int], horizon: int) -> Floats:
    """The theta method (Assimakopoulos and Nikolopoulos 2000): smoothing with half the slope of the line through it.

    The season is taken out before and put back after; it multiplies where all values are positive.
    """
    positive = _positive(block)
    logs = Block(np.where(positive[:, None], np.log(np.where(positive[:, None], block.values, 1.0)), block.values),
                 block.lengths)  # fmt: skip
    parts, ahead = _seasons_out(logs, seasons, horizon)
    rest = logs.values - parts
    rest = np.where(positive[:, None], np.exp(rest), rest)
    line, further = _line(Block(rest, block.lengths), horizon)
    curved = Block(2 * rest - line, block.lengths)
    level = smoothing.smooth(curved, smoothing.LEVELS).level[:, smoothing.NONE]
    values = (level[:, None] + further) / 2
    return np.where(positive[:, None], values * np.exp(ahead), values + ahead)


def mstl(block: Block, seasons: Sequence[int], horizon: int) -> Floats:
    """Seasons by decomposition, each as it last was; what remains by exponential smoothing."""
    return _with_logarithms(block, lambda part: _mstl(part, seasons, horizon))


def _ets(block: Block, seasons: Sequence[int], horizon: int) -> tuple[Floats, Floats]:
    plain = smoothing.smooth(block)
    found, score = plain.forecast(horizon), plain.score.min(axis=1)
    choices = [(season,) for season in seasons] + ([tuple(seasons)] if len(seasons) > 1 else [])
    for chosen in choices:
        rows = np.flatnonzero(block.lengths >= 2 * max(chosen) + 3)
        if not len(rows) or max(chosen) > LONGEST_SMOOTHED:
            continue
        seasonal = holt_winters.smooth(block.take(rows), chosen, horizon)
        better = seasonal.score < score[rows]
        found[rows[better]], score[rows[better]] = seasonal.values[better], seasonal.score[better]
    return found, score


LONGEST_SMOOTHED = 400
"""The longest season that is smoothed by Holt and Winters: one state for each step of it."""


def _mstl(block: Block, seasons: Sequence[int], horizon: int) -> tuple[Floats, Floats]:
    held = [season for season in seasons if (block.lengths >= 2 * season).any()]
    parts = decomposition.seasonal_parts(block, held)
    rest = Block(block.values - sum(parts, np.zeros(1)), block.lengths)
    smooth = smoothing.smooth(rest)
    ahead = [decomposition.continued(part, block, season, horizon) for part, season in zip(parts, held, strict=True)]
    return smooth.forecast(horizon) + sum(ahead, np.zeros(1)), smooth.score.min(axis=1)


def _seasons_out(block: Block, seasons: Sequence[int], horizon: int) -> tuple[Floats, Floats]:
    """The seasons that count for each series: over its length, and over the horizon."""
    inside, ahead = np.zeros_like(block.values), np.zeros((block.series, horizon))
    held = [season for season in seasons if (block.lengths >= 2 * season).any()]
    strong = strengths(block, held)
    for part, season, strength in zip(decomposition.seasonal_parts(block, held), held, strong, strict=True):
        counts = (strength > SEASONAL)[:, None]
        inside += np.where(counts, part, 0.0)
        ahead += np.where(counts, decomposition.continued(part, block, season, horizon), 0.0)
    return inside, ahead


def _line(block: Block, horizon: int) -> tuple[Floats, Floats]:
    """The straight line through each series, and how it goes on."""
    count = block.lengths[:, None].astype(np.float64)
    places = np.arange(block.values.shape[1])
    middle = (count - 1) / 2
    mean = np.nansum(block.values, axis=1, keepdims=True) / count
    moment = np.nansum((places - middle) * (block.values - mean), axis=1, keepdims=True)
    slope = moment / np.maximum(count * (count**2 - 1) / 12, 1e-12)
    return mean + slope * (places - middle), mean + slope * (count - middle + np.arange(horizon))


def _positive(block: Block) -> Floats:
    """Which series are so far from zero that their logarithm means something."""
    found: Floats = np.nanmin(block.values, axis=1) > 1e-3
    return found


def _with_logarithms(block: Block, method: Callable[[Block], tuple[Floats, Floats]]) -> Floats:
    """What the method says to the values, or to their logarithms where these are the likelier.

    Both in one run: for a single series the steps of the run are what takes the time.
    """
    rows = np.flatnonzero(_positive(block))
    logs = np.log(block.values[rows])
    both = Block(np.concatenate([block.values, logs]), np.concatenate([block.lengths, block.lengths[rows]]))
    values, scores = method(both)
    found, ahead = values[: block.series], np.exp(np.minimum(values[block.series :], 3.0))
    # The density of a value is that of its logarithm divided by the value.
    better = scores[block.series :] + 2 * np.nansum(logs, axis=1) < scores[rows]
    found[rows[better]] = ahead[better]
    return found


METHODS: dict[str, Method] = {
    "naive": naive, "seasonal_naive": seasonal_naive, "ets": ets, "theta": theta, "mstl": mstl,
}  # fmt: skip
"""By the name that is stored."""
