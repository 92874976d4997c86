"""Targets: how they become labels, and which cannot."""

import numpy as np
import pytest

from modelyard.algorithms.tabular import labels
from modelyard.algorithms.tabular.labels import UnfitTarget
from modelyard.algorithms.tabular.table import Column


def column(values: list, kind: str = "string") -> Column:
    return Column("y", kind, np.array(values, object if kind in {"string", "date"} else float))


@pytest.mark.parametrize(
    ("target", "names", "positive"),
    [
        (column(["No", "Yes", "No", ""]), ("No", "Yes"), "Yes"),
        (column([1, 0, 0, np.nan], "integer"), ("0", "1"), "1"),
        (column([1, 0, 0], "boolean"), ("false", "true"), "true"),
        (column([2, 10, 2], "integer"), ("2", "10"), "10"),
        (column([0.5, 2.0, 0.5], "number"), ("0.5", "2"), "2"),
        (column(["stays", "leaves", "stays"]), ("leaves", "stays"), "leaves"),
        (column(["a", "b", "c"]), ("a", "b", "c"), None),
    ],
)
def test_classes_are_sorted_and_the_question_is_about_the_usual_or_rarer_one(target, names, positive) -> None:
    found = labels.classes(target, None)
    assert (found.names, found.positive) == (names, positive)
    assert set(found.indices(labels.texts(target)).tolist()) <= {-1, 0, 1, 2}


def test_the_positive_class_may_be_named() -> None:
    assert labels.classes(column(["No", "Yes", "No"]), "No").positive == "No"


@pytest.mark.parametrize(
    ("target", "positive", "code", "says"),
    [
        (column(["", ""]), None, "target_empty", "no values"),
        (column([np.nan, np.nan], "number"), None, "target_empty", "no values"),
        (column(["a", "a", ""]), None, "one_class", "only one class, 'a'"),
        (column(["a", "b"]), "c", "positive_missing", "a and b"),
        (column(list(range(500)), "integer"), None, "too_many_classes", "tabular-regression"),
        (column([f"v{n}" for n in range(500)]), None, "too_many_classes", "another column"),
    ],
)
def test_targets_that_are_no_classes(target, positive, code, says) -> None:
    with pytest.raises(UnfitTarget, match=says) as refused:
        labels.classes(target, positive)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("target", "code"),
    [
        (column(["a", "b"]), "target_type"),
        (column(["2024-01-01"], "date"), "target_type"),
        (column([np.nan] * 3, "number"), "target_empty"),
    ],
)
def test_targets_that_are_no_numbers(target, code) -> None:
    with pytest.raises(UnfitTarget) as refused:
        labels.numbers(target)
    assert refused.value.code == code
