"""The split: shares, strata, seeds, and very small tables."""

import numpy as np
import pytest

from modelyard.algorithms.tabular.split import split

RARE = np.r_[np.zeros(950, np.int64), np.ones(50, np.int64)]


def count(purposes: np.ndarray) -> dict[str, int]:
    return {purpose: int((purposes == purpose).sum()) for purpose in ("training", "validation", "test")}


def test_shares_are_kept_in_each_stratum() -> None:
    purposes = split(RARE, 0, test=True, validation=True)
    assert count(purposes[RARE == 0]) == {"training": 618, "validation": 142, "test": 190}
    assert count(purposes[RARE == 1]) == {"training": 32, "validation": 8, "test": 10}


def test_only_what_is_wanted_is_split_off() -> None:
    assert count(split(RARE, 0, test=False, validation=True))["test"] == 0
    assert count(split(RARE, 0, test=True, validation=False))["validation"] == 0
    assert count(split(RARE, 0, test=False, validation=False))["training"] == 1000


def test_the_seed_decides() -> None:
    one, same, other = (split(RARE, seed, test=True, validation=True) for seed in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).any()


def test_a_row_that_is_alone_in_its_class_is_learned_from() -> None:
    strata = np.array([0] * 30 + [1] + [2] * 2 + [3] * 3)
    purposes = split(strata, 0, test=True, validation=True)
    assert purposes[30] == "training"
    assert count(purposes[31:33]) == {"training": 1, "validation": 0, "test": 1}
    assert count(purposes[33:]) == {"training": 1, "validation": 1, "test": 1}


@pytest.mark.parametrize("rows", [3, 5, 20])
def test_no_part_is_empty_however_few_rows_each_class_has(rows: int) -> None:
    for strata in (np.arange(rows), np.arange(rows) // 2, np.zeros(rows, np.int64)):
        assert min(count(split(strata, 0, test=True, validation=True)).values()) >= 1
