"""Columns of numbers that stand for categories, for trees that only know thresholds.

Each is a table over the codes of one category column: its code (the order of frequency), whether it is one of the
frequent ones, and the mean of the target among its rows (Micci-Barreca 2001), which training rows get from the other
rows only. A threshold on such a column parts the codes into two sets, and as such it is served: exactly, and without
the tables.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelyard.algorithms.tabular import categories
from modelyard.algorithms.tabular.boosting import Preparation
from modelyard.formats.base import Batch

SINGLED_OUT = 8
"""So many frequent categories of a column have a column of their own that says whether it is them."""

MANY = 4
"""From so many codes on the mean of the target is worth a column."""

MOST_SCORES = 5
"""With more classes than this, means of the target would be more columns than the rest of the table."""

FOLDS = 5
PRIOR_ROWS = 10.0
"""The mean of a category is drawn to that of all rows, as if so many more rows had that."""


class Encoding(NamedTuple):
    """One column: `table[code]` of category column `column`."""

    column: int
    table: NDArray[np.float32]


class Encoder:
    """A matrix of numbers and encodings for a learner; `encodings` follow on `numbers` columns of numbers."""

    def __init__(self, preparation: Preparation, encodings: tuple[Encoding, ...]) -> None:
        self.preparation = preparation
        self.encodings = encodings
        self.numbers = len(preparation.fill)

    def matrix(self, batch: Batch) -> NDArray[np.float32]:
        """Of rows that were not learned from, shape (rows, numbers + encodings)."""
        prepared = self.preparation.matrix(batch)
        codes = prepared[:, self.numbers :].astype(np.int64)
        columns = [encoding.table[codes[:, encoding.column]] for encoding in self.encodings]
        return np.column_stack([prepared[:, : self.numbers], *columns]).astype(np.float32)

    def left(self, feature: int, threshold: float) -> NDArray[np.bool_] | None:
        """Which codes a split of an encoding sends left; None where the feature is a number."""
        if feature < self.numbers:
            return None
        found: NDArray[np.bool_] = self.encodings[feature - self.numbers].table <= threshold
        return found

    def column(self, feature: int) -> int:
        """The column of the prepared matrix behind a feature."""
        return feature if feature < self.numbers else self.numbers + self.encodings[feature - self.numbers].column


def learn(
    preparation: Preparation, rows: Batch, targets: NDArray[np.float64], seed: int
) -> tuple[Encoder, NDArray[np.float32]]:
    """The encoder, and the matrix of the rows it was learned from. `targets` have shape (rows, scores)."""
    prepared = preparation.matrix(rows)
    first = len(preparation.fill)
    codes = prepared[:, first:].astype(np.int64)
    folds = np.random.default_rng(seed).permutation(len(codes)) % FOLDS
    encodings: list[Encoding] = []
    columns: list[NDArray[np.float32]] = []
    for column, vocabulary in enumerate(preparation.vocabularies):
        of_column = codes[:, column]
        tables = _tables(vocabulary)
        encodings += [Encoding(column, table) for table in tables]
        columns += [table[of_column] for table in tables]
        if vocabulary.size >= MANY and targets.shape[1] <= MOST_SCORES:
            for score in targets.T:
                encodings.append(Encoding(column, _means(of_column, score, vocabulary.size)))
                columns.append(_held_out_means(of_column, score, vocabulary.size, folds))
    encoder = Encoder(preparation, tuple(encodings))
    return encoder, np.column_stack([prepared[:, :first], *columns]).astype(np.float32)


def _tables(vocabulary: categories.Vocabulary) -> list[NDArray[np.float32]]:
    codes = np.arange(vocabulary.size, dtype=np.float32)
    singled_out = range(1, min(SINGLED_OUT, len(vocabulary.values)) + 1) if vocabulary.size > 3 else ()
    return [codes, *((codes == code).astype(np.float32) for code in singled_out)]


def _means(codes: NDArray[np.int64], targets: NDArray[np.float64], size: int) -> NDArray[np.float32]:
    """The mean of the target of each code, drawn to the mean of all."""
    counts, sums = np.bincount(codes, minlength=size), np.bincount(codes, targets, minlength=size)
    means: NDArray[Any] = (sums + PRIOR_ROWS * targets.mean()) / (counts + PRIOR_ROWS)
    return means.astype(np.float32)


def _held_out_means(
    codes: NDArray[np.int64], targets: NDArray[np.float64], size: int, folds: NDArray[np.int64]
) -> NDArray[np.float32]:
    found = np.zeros(len(codes), np.float32)
    for fold in range(FOLDS):
        held, others = folds == fold, folds != fold
        if held.any() and others.any():
            found[held] = _means(codes[others], targets[others], size)[codes[held]]
    return found
