"""After how many steps a series repeats: candidates from the calendar, tested on the values."""

from collections.abc import Sequence

import numpy as np

from modelyard.formats._forecasting import decomposition
from modelyard.formats._forecasting.block import Block, Floats
from modelyard.formats.series import DAY, Step

PERIODS = (60_000_000, DAY // 24, DAY, 7 * DAY, int(365.25 * DAY))
"""A minute, an hour, a day, a week, a year, in microseconds."""

LONGEST = 2100
MOST = 2
STRONG = 0.1
"""The share of the variance without trend that a season explains, where it counts for a series."""

SHARE = 0.15
"""The share of series for which a season must count."""

SURPRISING = 0.3
"""What a season must explain that no calendar suggests, or that was seen a few times only."""

FEW = 4
"""Cycles that are too few to trust a weak season."""


def calendar(step: Step) -> list[int]:
    """The seasons that the distance between values suggests, shortest first."""
    if step.months:
        return [12 // step.months] if step.months in {1, 2, 3, 4, 6} else []
    found = []
    for period in PERIODS:
        count = round(period / step.micros)
        exact = abs(period / step.micros - count) < 0.02 * count
        if 2 <= count <= LONGEST and exact:
            found.append(count)
    return found


def detect(block: Block, step: Step) -> tuple[int, ...]:
    """The seasons of a group of series, shortest first: at most two, each held twice by the series it counts for."""
    found: list[int] = []
    rest = block
    for season in calendar(step):
        rows = np.flatnonzero(rest.lengths >= max(2 * season + 1, 6))
        if not len(rows) or len(rows) < SHARE * block.series:
            continue
        part = rest.take(rows)
        # Over a few cycles even what wanders at random seems to repeat.
        few = np.median(part.lengths) < FEW * season
        strong, share = (SURPRISING, 0.5) if few else (STRONG, SHARE)
        if np.mean(strengths(part, [season])[0] > strong) >= share:
            found.append(season)
            values = rest.values.copy()
            values[rows, : part.values.shape[1]] -= decomposition.seasonal_parts(part, [season])[0]
            rest = Block(values, rest.lengths)
    return tuple(found[-MOST:]) if found else _by_correlation(block)


def strengths(block: Block, seasons: Sequence[int]) -> list[Floats]:
    """For each season the share of each series' variance without trend that the mean cycle explains, adjusted.

    0 for series that do not hold it twice.
    """
    found = []
    for season in seasons:
        rows, longest = block.values.shape
        cycles = -(-longest // season)
        rest = np.full((rows, cycles * season), np.nan)
        rest[:, :longest] = block.values - decomposition.moving_average(block, season)
        shaped = rest.reshape(rows, cycles, season)
        known = ~np.isnan(shaped)
        values = np.where(known, shaped, 0.0)
        count = known.sum(axis=1)
        means = values.sum(axis=1) / np.maximum(count, 1)
        total = (values**2).sum(axis=(1, 2)) - values.sum(axis=(1, 2)) ** 2 / np.maximum(block.lengths, 1)
        inside = (np.where(known, values - means[:, None], 0.0) ** 2).sum(axis=(1, 2))
        room = np.maximum(block.lengths - season, 1)
        share = 1 - inside / np.maximum(total, 1e-300) * (block.lengths - 1) / room
        held = (block.lengths >= 2 * season) & (total > 1e-18)
        found.append(np.where(held, share, 0.0))
    return found


def _by_correlation(block: Block) -> tuple[int, ...]:
    """The lag of the highest peak of the usual autocorrelation, where a season of that length explains much."""
    rows = np.flatnonzero(block.lengths >= 24)
    if not len(rows) or len(rows) < block.series / 2:
        return ()
    part = block.take(rows)
    usual = np.median(_autocorrelations(part), axis=0)[: int(np.median(part.lengths)) // 3]
    inner = np.flatnonzero((usual[1:-1] > usual[:-2]) & (usual[1:-1] >= usual[2:])) + 1
    inner = inner[(inner >= 3) & (usual[inner] > SURPRISING)] if len(inner) else inner
    if not len(inner):
        return ()
    season = int(inner[np.argmax(usual[inner])])
    return (season,) if np.median(strengths(part, [season])[0]) > SURPRISING else ()


def _autocorrelations(block: Block) -> Floats:
    """Of the values without their straight line: shape (series, longest)."""
    places = np.arange(block.values.shape[1])
    known = ~np.isnan(block.values)
    count = block.lengths[:, None]
    middle = (count - 1) / 2
    mean = np.nansum(block.values, axis=1, keepdims=True) / count
    slope = np.nansum((places - middle) * (block.values - mean), axis=1, keepdims=True) / (count * (count**2 - 1) / 12)
    rest = np.where(known, block.values - mean - slope * (places - middle), 0.0)
    spectrum = np.abs(np.fft.rfft(rest, 2 * rest.shape[1], axis=1)) ** 2
    products = np.fft.irfft(spectrum, axis=1)[:, : rest.shape[1]]
    found: Floats = products / np.maximum(products[:, :1], 1e-300)
    return found
