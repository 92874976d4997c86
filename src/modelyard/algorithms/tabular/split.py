"""The platform's own split: which rows are learned from, which decide, and which only judge."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Purpose = Literal["training", "validation", "test"]

TEST_SHARE = 0.2
VALIDATION_SHARE = 0.15
"""Shares of the rows where no table has that purpose."""


def split(strata: NDArray[np.int64], seed: int, *, test: bool, validation: bool) -> NDArray[np.str_]:
    """The purpose of each row, with the same shares in each stratum (0 everywhere where there are none).

    `test` and `validation` say which parts are wanted. A stratum of two rows gives one to the test, of one row none;
    from three rows on each wanted part has one at least. Where all strata are too small for that, they are not kept.
    """
    purposes = _split(strata, seed, test=test, validation=validation)
    if all((purposes == part).any() for part, wanted in (("test", test), ("validation", validation)) if wanted):
        return purposes
    return _split(np.zeros_like(strata), seed, test=test, validation=validation)


def _split(strata: NDArray[np.int64], seed: int, *, test: bool, validation: bool) -> NDArray[np.str_]:
    purposes = np.full(len(strata), "training", dtype="<U10")
    random = np.random.default_rng(seed)
    for stratum in np.unique(strata):
        rows = random.permutation(np.flatnonzero(strata == stratum))
        tested = _share(len(rows), TEST_SHARE) if test else 0
        validated = _share(len(rows), VALIDATION_SHARE) if validation and len(rows) - tested >= 2 else 0
        purposes[rows[:tested]] = "test"
        purposes[rows[tested : tested + validated]] = "validation"
    return purposes


def _share(rows: int, share: float) -> int:
    return max(1, round(rows * share)) if rows >= 2 else 0
