"""Many series of different lengths as one array, and the few things that every method does with it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Block(NamedTuple):
    """`values`: shape (series, longest), each series from the left, NaN after its end; `lengths` at least 1."""

    values: Floats
    lengths: Integers

    @property
    def series(self) -> int:
        """How many series there are."""
        return len(self.lengths)

    def take(self, rows: NDArray[np.intp]) -> "Block":
        """Some of the series."""
        lengths = self.lengths[rows]
        return Block(self.values[rows, : int(lengths.max(initial=1))], lengths)

    def last(self, count: int) -> Floats:
        """The last `count` values of each series, shape (series, count), NaN in front of shorter ones."""
        places = self.lengths[:, None] - count + np.arange(count)
        found = np.take_along_axis(self.values, np.clip(places, 0, self.values.shape[1] - 1), axis=1)
        return np.where(places >= 0, found, np.nan)


def block_of(series: Sequence[Floats]) -> Block:
    """Series of any lengths, none of them empty, as a block."""
    lengths = np.array([len(each) for each in series], np.int64)
    values = np.full((len(series), int(lengths.max(initial=1))), np.nan)
    for row, each in enumerate(series):
        values[row, : len(each)] = each
    return Block(values, lengths)


def scaled(block: Block) -> tuple[Block, Floats]:
    """The block with each series divided by its largest absolute value, and these values, shape (series, 1)."""
    largest = np.nanmax(np.abs(block.values), axis=1, keepdims=True)
    largest = np.where(largest > 0, largest, 1.0)
    return Block(block.values / largest, block.lengths), largest


def seasonal_steps(lengths: Integers, season: int, horizon: int) -> Integers:
    """For each step ahead the place one season or more before it that history still holds: (series, horizon)."""
    ahead = np.arange(horizon)
    places = lengths[:, None] - season + ahead % season
    found: Integers = np.maximum(places, 0)
    return found


def spread(block: Block, seasons: Sequence[int]) -> Floats:
    """How far values usually are from the one a season earlier: the scale of errors, shape (series,).

    The shortest season that a series holds twice counts, else its neighbours.
    """
    found = _distance(block, 1)
    for season in sorted(seasons, reverse=True):
        found = np.where(block.lengths >= 2 * season, _distance(block, season), found)
    return np.where(found > 0, found, _distance(block, 1))


def _distance(block: Block, lag: int) -> Floats:
    gaps = np.abs(block.values[:, lag:] - block.values[:, :-lag])
    count = np.maximum(block.lengths - lag, 0)
    total = np.nansum(gaps, axis=1)
    found: Floats = np.where(count > 0, total / np.maximum(count, 1), 0.0)
    return found
