"""Grouping accuracy is the share of lines in a group that is exactly right."""

import numpy as np
import pytest

from modelyard.algorithms.log_clustering._grouping import grouping_accuracy


def test_the_names_of_groups_do_not_matter() -> None:
    assert grouping_accuracy(np.array([0, 0, 1, 2]), np.array([7, 7, -1, 3])) == 1


def test_a_group_that_is_split_counts_as_wrong_altogether() -> None:
    assert grouping_accuracy(np.array([0, 0, 0, 1]), np.array([0, 0, 5, 1])) == 0.25


def test_groups_that_are_joined_count_as_wrong_altogether() -> None:
    assert grouping_accuracy(np.array([0, 0, 1, 2]), np.array([0, 0, 0, 2])) == 0.25


def test_it_agrees_with_comparing_sets_of_lines() -> None:
    random = np.random.default_rng(1)
    for _ in range(50):
        truth, found = random.integers(0, 4, 12), random.integers(0, 4, 12)
        right = sum(
            set(np.flatnonzero(truth == truth[line])) == set(np.flatnonzero(found == found[line])) for line in range(12)
        )
        assert grouping_accuracy(truth, found) == pytest.approx(right / 12)


def test_no_lines_are_all_right_and_other_shapes_are_refused() -> None:
    assert grouping_accuracy(np.array([]), np.array([])) == 1
    with pytest.raises(ValueError, match="one number for each line"):
        grouping_accuracy(np.array([1]), np.array([1, 2]))
