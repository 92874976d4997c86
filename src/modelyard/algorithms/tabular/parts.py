"""From the tables of a release to the parts that are learned from, decide and judge: rows with labels.

Used by the platform when it trains and by a version's own `train.py`, so that both divide in the same way.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from modelyard.algorithms.base import TrainingData
from modelyard.algorithms.tabular import labels
from modelyard.algorithms.tabular.split import Purpose, split
from modelyard.algorithms.tabular.table import Column, Table
from modelyard.protocol.signature import Signature

Labeller = Callable[[Column], NDArray[Any]]
"""Makes labels of a target column: class indices with -1, or numbers with NaN, for rows that cannot be used."""


class Part(NamedTuple):
    """Rows with their labels."""

    table: Table
    labels: NDArray[Any]


class Parts(NamedTuple):
    """The three parts, and how many rows of each given table had no label that can be used."""

    training: Part
    validation: Part
    test: Part
    unlabelled: dict[Purpose, int]


def labeller(names: tuple[str, ...]) -> Labeller:
    """For classes of these names; for numbers where there are none."""
    if not names:
        return labels.numbers
    classes = labels.Classes(names, None)
    return lambda column: classes.indices(labels.texts(column))


def divide(
    tables: Mapping[Purpose, Table], target: str, label: Labeller, seed: int, groups: NDArray[np.int64] | None = None
) -> Parts:
    """Give every labelled row its purpose; training rows are split where a purpose has no table of its own.

    Training rows of one of `groups`, numbered from 0, get the same purpose.
    """
    found: dict[Purpose, Part] = {}
    unlabelled: dict[Purpose, int] = {}
    for purpose, table in tables.items():
        values = label(table[target])
        usable = _usable(values)
        found[purpose] = Part(table.taken(usable), values[usable])
        unlabelled[purpose] = int((~usable).sum())
    table, values = found["training"]
    strata = values if values.dtype.kind == "i" else np.zeros(len(values), np.int64)
    wanted = {"test": "test" not in found, "validation": "validation" not in found}
    if groups is None:
        purposes = split(strata, seed, **wanted)
    else:
        _, first, group = np.unique(
            groups[_usable(label(tables["training"][target]))], return_index=True, return_inverse=True
        )
        purposes = split(strata[first], seed, **wanted)[group]
    own = {name: Part(table.taken(purposes == name), values[purposes == name]) for name in get_args(Purpose)}
    validation, test = (found.get(purpose, own[purpose]) for purpose in ("validation", "test"))
    return Parts(own["training"], validation, test, unlabelled)


def _usable(values: NDArray[Any]) -> NDArray[np.bool_]:
    usable: NDArray[np.bool_] = ~np.isnan(values) if values.dtype.kind == "f" else values >= 0
    return usable


def training_data(parts: Parts, signature: Signature, seed: int) -> TrainingData:
    """What an algorithm is given: never the test part."""
    return TrainingData(
        signature=signature,
        rows=parts.training.table.batch(signature.inputs),
        labels=parts.training.labels,
        validation=parts.validation.table.batch(signature.inputs),
        validation_labels=parts.validation.labels,
        seed=seed,
    )
