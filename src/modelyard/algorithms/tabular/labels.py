"""From a target column to what is learned: indices of classes, or numbers."""

from collections import Counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelyard.algorithms.tabular.table import Column
from modelyard.core.errors import Invalid

MOST_CLASSES = 100
POSITIVE = ("yes", "true", "1", "y", "t", "positive", "churned", "fraud", "bad", "default")
"""How the class that a two-class question asks about is usually written."""


class UnfitTarget(Invalid):
    """The target cannot be learned; `code` says why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code  # type: ignore[misc]


class Classes(NamedTuple):
    """The classes in the order of the probabilities, and the one that a two-class question asks about."""

    names: tuple[str, ...]
    positive: str | None

    def indices(self, texts: list[str]) -> NDArray[np.int64]:
        """The class of each label; -1 where it is none of them."""
        places = {name: place for place, name in enumerate(self.names)}
        return np.array([places.get(text, -1) for text in texts], np.int64)


def texts(target: Column) -> list[str]:
    """The labels as they are answered; "" for missing."""
    if target.values.dtype == object:
        return [str(value) for value in target.values.tolist()]
    if target.type == "boolean":
        return ["" if np.isnan(value) else str(bool(value)).lower() for value in target.values.tolist()]
    return ["" if np.isnan(value) else _written(value) for value in target.values.tolist()]


def classes(target: Column, positive: str | None) -> Classes:
    """The classes of the training rows. Raises UnfitTarget."""
    counts = Counter(text for text in texts(target) if text)
    if not counts:
        raise UnfitTarget("target_empty", f"The target {target.name!r} has no values. Choose another column.")
    if len(counts) == 1:
        only = next(iter(counts))
        raise UnfitTarget(
            "one_class",
            f"The target {target.name!r} has only one class, {only!r}. Add rows of at least one other class.",
        )
    if len(counts) > MOST_CLASSES:
        advice = (
            "Use tabular-regression to predict a number"
            if target.type in {"number", "integer"}
            else "Choose another column"
        )
        raise UnfitTarget(
            "too_many_classes",
            f"The target {target.name!r} has {len(counts):,} different values; at most {MOST_CLASSES} classes can be "
            f"learned. {advice}, or group rare classes.",
        )
    names = tuple(sorted(counts, key=_order))
    return Classes(names, _positive(names, counts, positive, target.name) if len(names) == 2 else None)


def numbers(target: Column) -> NDArray[np.float64]:
    """The values to predict, NaN for missing. Raises UnfitTarget."""
    if target.type not in {"number", "integer", "boolean"}:
        found = "dates" if target.type == "date" else "text"
        raise UnfitTarget(
            "target_type",
            f"The target {target.name!r} holds {found}, and tabular-regression predicts numbers. "
            "Use tabular-classification, or choose a column of numbers.",
        )
    if np.isnan(target.values).all():
        raise UnfitTarget("target_empty", f"The target {target.name!r} has no values. Choose another column.")
    return target.values


def _positive(names: tuple[str, ...], counts: Counter[str], wanted: str | None, target: str) -> str:
    if wanted is not None and wanted not in names:
        raise UnfitTarget(
            "positive_missing", f"The target {target!r} has no class {wanted!r}. Its classes are {' and '.join(names)}."
        )
    usual = [name for name in names if name.casefold() in POSITIVE]
    return wanted or (usual[0] if len(usual) == 1 else min(names, key=lambda name: (counts[name], name)))


def _written(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


def _order(name: str) -> tuple[int, float, str]:
    try:
        return 0, float(name), name
    except ValueError:
        return 1, 0.0, name
