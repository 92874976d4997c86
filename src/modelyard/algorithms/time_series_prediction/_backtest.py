"""Backtest with rolling origins (Tashman 2000): which methods served the end of the series best, and how well."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelyard.algorithms.time_series_prediction._series import Kind, time_at
from modelyard.formats._forecasting import group
from modelyard.formats._forecasting.block import Block, Floats, Integers, block_of, scaled, spread
from modelyard.formats._forecasting.group import Calibration, Combination, Group
from modelyard.formats.series import Times

FEWEST = 3
MOST = 16
VERY_MANY = 3000
"""Series from which on one window of each says enough."""

ENOUGH = 1600
"""Windows over all series where there are few."""

CAUTION = 3.0
"""So many windows of a series count as much as what all series say together."""

WORSE = 1.6
"""A method whose error is so many times that of the best takes no part."""

POWER = 2.0
"""Weights fall with this power of the error."""

MOST_SCORES = 4000
SMALLEST = 1e-9


class Windows(NamedTuple):
    """Pieces of history and what followed on them, several for each series.

    `series`: (windows,) places in the kind; `origins`: how many values come before; `block`: these values, scaled by
    `largest`; `actual`: (windows, horizon), NaN beyond the end; `size`: what errors are measured in, 0 where a series
    never changed.
    """

    series: NDArray[np.intp]
    origins: Integers
    block: Block
    largest: Floats
    times: Times
    known: Floats
    actual: Floats
    size: Floats


def origins_of(kind: Kind, horizon: int, wanted: int) -> list[list[int]]:
    """For each series after how many values it is predicted; earliest last. Empty where it is too short."""
    least_often = FEWEST if len(kind.histories) < VERY_MANY else 1
    count = wanted or int(np.clip(ENOUGH // len(kind.histories), least_often, MOST))
    found = []
    for history in kind.histories:
        length = len(history.values)
        least = _least(length, kind.seasons)
        last = length - horizon if length - horizon >= least else max(least, length // 2 + 1)
        room = last - least
        stride = max(1, min(horizon, room // max(1, count - 1)))
        several = [last - place * stride for place in range(count)]
        found.append([origin for origin in several if least <= origin < length] if length > 3 else [])
    return found


def windows_of(kind: Kind, origins: Sequence[Sequence[int]], horizon: int) -> Windows | None:
    """What is to be predicted, None where every series is too short."""
    pairs = [(series, origin) for series, several in enumerate(origins) for origin in several]
    if not pairs:
        return None
    histories = kind.histories
    block, largest = scaled(block_of([histories[series].values[max(0, at - kind.memory) : at] for series, at in pairs]))
    actual = np.full((len(pairs), horizon), np.nan)
    width = histories[0].columns.shape[1]
    known = np.full((len(pairs), horizon, width), np.nan)
    times = np.zeros(len(pairs), "datetime64[us]")
    for row, (series, at) in enumerate(pairs):
        after = histories[series].values[at : at + horizon]
        actual[row, : len(after)] = after
        known[row, : len(after)] = histories[series].columns[at : at + horizon]
        times[row] = time_at(kind, series, at)
    size = spread(block, kind.seasons) * largest[:, 0]
    return Windows(
        np.array([series for series, _ in pairs], np.intp), np.array([at for _, at in pairs], np.int64), block,
        largest, times, known, actual, size,
    )  # fmt: skip


def losses(windows: Windows, forecasts: Floats) -> Floats:
    """Mean error of each method in each window, in units of the size of the series' errors: (methods, windows).

    NaN where a method has nothing to say or a series never changes.
    """
    size = np.where(windows.size > 0, windows.size, np.nan)
    errors = np.abs(forecasts * windows.largest - windows.actual) / size[:, None]
    known = ~np.isnan(windows.actual)
    whole: Floats = np.where(known, errors, 0.0).sum(axis=2) / np.maximum(known.sum(axis=1), 1)
    return whole


def weights_of(windows: Windows, found: Floats, series: int, most: int) -> tuple[Floats, Floats]:
    """What weight each method gets for each series (series, methods), and for an unknown one (methods,).

    The error of a method is that in the series' own windows, drawn towards what it is over all series.
    """
    usable = np.isfinite(found)
    methods = len(found)
    relative = np.log(np.maximum(found, SMALLEST))
    measured = usable.all(axis=0) | usable[:, :].any(axis=0)
    centre = np.where(usable, relative, np.nan)
    middle = _mean(centre, axis=0)
    usual = _mean(np.clip(centre - middle, -3, 3), axis=1)
    usual = np.where(np.isnan(usual), np.inf, usual)
    weights = np.zeros((series, methods))
    for place in range(series):
        own = (windows.series == place) & measured
        count = int(own.sum())
        error = usual
        if count:
            logs = np.log(np.maximum(_mean(np.where(usable[:, own], found[:, own], np.nan), axis=1), SMALLEST))
            logs = logs - np.nanmean(logs)
            share = count / (count + CAUTION)
            error = np.where(np.isfinite(logs), share * np.nan_to_num(logs) + (1 - share) * usual, usual)
        weights[place] = _weights(error, most)
    return weights, _weights(usual, most)


def calibrate(windows: Windows, forecast: Floats, series: int, horizon: int) -> tuple[Calibration, Floats, float]:
    """Intervals from the errors of the combined forecast; the width of each series, and that of an unknown one."""
    size = np.where(windows.size > 0, windows.size, np.nan)
    errors = np.abs(forecast * windows.largest - windows.actual) / size[:, None]
    if not np.isfinite(errors).any():
        return unmeasured(horizon), np.ones(series), 1.0
    profile = _profile(errors, horizon)
    relative = errors / profile
    counts = np.isfinite(relative).sum(axis=1).astype(np.float64)
    sums = np.nansum(relative, axis=1)
    usual = max(float(sums.sum() / counts.sum()), SMALLEST)
    # Steps of one window err together: each window counts as one observation, and a series' own widths are
    # drawn towards the usual one.
    means = np.where(counts > 0, sums / np.maximum(counts, 1), 0.0)
    weight = (counts > 0).astype(np.float64)
    total = np.bincount(windows.series, means * weight, series)
    number = np.bincount(windows.series, weight, series)
    widths = (total + usual) / (number + 1)
    without = (total[windows.series] - means * weight + usual) / np.maximum(number[windows.series] - weight + 1, 1)
    scores = np.sort((relative / np.maximum(without, SMALLEST)[:, None])[np.isfinite(relative)])
    if len(scores) > MOST_SCORES:
        scores = scores[np.linspace(0, len(scores) - 1, MOST_SCORES).round().astype(np.int64)]
    return Calibration(profile, scores), widths, usual


def unmeasured(horizon: int) -> Calibration:
    """Intervals where no error could be measured: as if values wandered like those before."""
    scores = np.interp(np.linspace(0.01, 0.99, 99), *np.array([(0.0, 0.0), *group.NORMAL]).T) * 1.25
    return Calibration(np.sqrt(np.arange(1, horizon + 1)), scores)


def forecasts(found: Group, windows: Windows) -> Floats:
    """What each method says in each window, in the units of the block: (methods, windows, horizon)."""
    return np.stack(
        [found.apply(place, windows.block, windows.times, windows.known) for place in range(len(found.methods))]
    )


def combine(combination: Combination, windows: Windows, each: Floats, weights: Floats, kind: Kind) -> Floats:
    """The combined forecast in each window."""
    return group.combined(combination, windows.block, each, weights[windows.series], kind.seasons)


def _least(length: int, seasons: Sequence[int]) -> int:
    """How much history a window needs: two seasons and a little where the series has room for them."""
    for season in sorted(seasons, reverse=True):
        if length >= 3 * season:
            return 2 * season + 3
    return min(8, max(3, length // 2))


def _weights(error: Floats, most: int) -> Floats:
    best = np.argsort(error, kind="stable")[:most]
    kept = np.isfinite(error[best]) & (error[best] <= error[best[0]] + np.log(WORSE))
    weights = np.zeros(len(error))
    if kept.any():
        weights[best[kept]] = np.exp(-POWER * (error[best[kept]] - error[best[0]]))
    else:
        weights[:] = 1.0
    weights /= weights.sum()
    return weights


def _mean(values: Floats, axis: int) -> Floats:
    known = ~np.isnan(values)
    count = known.sum(axis=axis)
    total = np.where(known, values, 0.0).sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _profile(errors: Floats, horizon: int) -> Floats:
    """How errors grow with the step: means over the windows, smoothed, never falling; 1 on average."""
    known = np.isfinite(errors)
    counts, sums = known.sum(axis=0).astype(np.float64), np.where(known, errors, 0.0).sum(axis=0)
    reach = max(1, horizon // 8)
    spans = [(max(0, place - reach), place + reach + 1) for place in range(horizon)]
    smooth = np.array([sums[low:high].sum() / max(counts[low:high].sum(), 1) for low, high in spans])
    # A few windows say little about single steps: the square root of the step is what a wandering series does.
    grown = np.sqrt(np.arange(1, horizon + 1))
    grown *= smooth.mean() / grown.mean()
    share = counts / (counts + 10)
    rising = np.maximum.accumulate(share * smooth + (1 - share) * grown)
    found: Floats = np.maximum(rising / max(rising.mean(), SMALLEST), SMALLEST)
    return found
