"""How rows are divided into training, validation and test: plain arrays in, a purpose for each row out.

What belongs together stays together: rows with the same key (duplicates, groups) are one unit. The order of the units
is that of a hash of key and seed, so that the same rows are divided alike wherever they stand.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FREE = 255
"""The purpose of a row that has none yet."""
QUANTILES = 10


class Shares(NamedTuple):
    """How much of the rows is for what; the sum is 1."""

    training: float
    validation: float
    test: float

    @classmethod
    def of(cls, training: float, validation: float, test: float) -> "Shares":
        """Any three weights, made to sum to 1."""
        whole = training + validation + test
        return cls(training / whole, validation / whole, test / whole)


def by_key(
    keys: NDArray[np.uint64],
    shares: Shares,
    seed: int,
    *,
    strata: NDArray[np.int64] | None = None,
    fixed: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Divide rows at random, those with the same key together; each of `strata` in the same shares.

    A row whose `fixed` is not FREE has that purpose already, and so has all that shares its key: test before validation
    before training. Shares are of the other rows.
    """
    _, first, unit, sizes = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    stratum = np.zeros(len(first), np.int64) if strata is None else strata[first]
    given = np.full(len(first), -1, np.int64)
    if fixed is not None:
        np.maximum.at(given, unit, np.where(fixed == FREE, -1, fixed.astype(np.int64)))
    order = np.lexsort((_mixed(keys[first], seed), stratum))
    order = order[given[order] < 0]
    middle = _places(sizes[order], stratum[order], middle=True)
    # A unit that lies right on a cut goes to one side in one stratum and to the other in the next.
    _, place = np.unique(stratum[order], return_inverse=True)
    given[order] = _purpose_at(middle + np.where(place % 2, 1e-9, -1e-9), shares)
    return given[unit].astype(np.uint8)


def by_time(times: NDArray[np.float64], series: NDArray[np.uint64], shares: Shares) -> NDArray[np.uint8]:
    """Divide each series by time: first training, then validation, then test. Rows of one time stay together.

    A row without a time (NaN) is for training.
    """
    purposes = np.zeros(len(times), np.uint8)
    dated = np.flatnonzero(np.isfinite(times))
    if not len(dated):
        return purposes
    order = dated[np.lexsort((times[dated], series[dated]))]
    new_series = np.diff(series[order]) != 0
    new_moment = new_series | (np.diff(times[order]) != 0)
    unit = np.concatenate([[0], np.cumsum(new_moment)])
    code = np.concatenate([[0], np.cumsum(new_series)])
    sizes = np.bincount(unit)
    stratum = code[np.searchsorted(unit, np.arange(len(sizes)))]
    purposes[order] = _purpose_at(_places(sizes, stratum, middle=False), shares)[unit]
    return purposes


def strata_of(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Numbers in ten parts of about the same size; missing ones (NaN) are a part of their own."""
    known = np.isfinite(values)
    found = np.full(len(values), -1, np.int64)
    if known.any():
        cuts = np.unique(np.quantile(values[known], np.linspace(0, 1, QUANTILES + 1)[1:-1]))
        found[known] = np.searchsorted(cuts, values[known])
    return found


def _places(sizes: NDArray[np.int64], stratum: NDArray[np.int64], *, middle: bool) -> NDArray[np.float64]:
    """Where each unit begins (or has its middle) in its stratum, from 0 to 1; strata lie one behind another."""
    ends = np.cumsum(sizes)
    begins = ends - sizes
    _, starts, unit = np.unique(stratum, return_index=True, return_inverse=True)
    offset = begins[starts][unit]
    whole = np.bincount(unit, weights=sizes)[unit]
    at = (begins + ends) / 2 if middle else begins.astype(np.float64)
    place: NDArray[np.float64] = (at - offset) / whole
    return place


def _purpose_at(place: NDArray[np.float64], shares: Shares) -> NDArray[np.int64]:
    # What rounding adds to a sum of shares must not open a purpose that has none.
    cuts = [shares.training, shares.training + shares.validation if shares.test else 2.0]
    return np.searchsorted(np.array(cuts), place + 1e-12, side="right").astype(np.int64)


def _mixed(keys: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """Keys in an order that the seed chooses: the finalizer of SplitMix64 (Steele, Lea and Flood, 2014)."""
    with np.errstate(over="ignore"):
        mixed = keys + np.uint64(0x9E3779B97F4A7C15) * np.uint64(seed + 1)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        found: NDArray[np.uint64] = mixed ^ (mixed >> np.uint64(31))
    return found
