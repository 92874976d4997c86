"""Which words and pieces of words get a column, and how much each counts: learned from training texts, without labels.

The weight of a column is its inverse document frequency, smoothed as in scikit-learn: 1 + log((1 + n) / (1 + df)).
"""

from collections import Counter as Counts
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from modelyard.formats._text_features import (
    BUCKETS,
    Recipe,
    Vocabulary,
    chunks,
    normalised,
    pieces_of,
    terms_of,
)  # fmt: skip

MOST_HELD = 4_000_000
"""Different terms that are counted at once; beyond, those met once so far are forgotten (lossy counting)."""


def learn(texts: Sequence[str], recipe: Recipe, *, least: int, most: int, weighted: bool) -> Vocabulary:
    """The columns of `texts`: what occurs in at least `least` of them, the `most` frequent of words and of pieces each.

    With `weighted` a column weighs its inverse document frequency, else 1.
    """
    terms: Counts[str] = Counts()
    pieces = np.zeros(BUCKETS, np.int64)
    for chunk in chunks(texts, recipe.characters):
        plain = [normalised(text, recipe.characters) for text in chunk]
        for text in plain:
            terms.update(set(terms_of(text, recipe.words)))
        if recipe.longest:
            buckets, rows = pieces_of(plain, recipe.shortest, recipe.longest)
            pieces += np.bincount(np.unique(rows * BUCKETS + buckets) % BUCKETS, minlength=BUCKETS)
        if len(terms) > MOST_HELD:
            terms = Counts({term: count for term, count in terms.items() if count > 1})
    ranked = sorted(((term, count) for term, count in terms.items() if count >= least), key=_by_frequency)[:most]
    kept = _frequent(pieces, least, most)
    frequencies = np.concatenate([np.array([count for _, count in ranked], np.int64), pieces[kept]])
    weights = 1 + np.log((1 + len(texts)) / (1 + frequencies)) if weighted else np.ones(len(frequencies))
    return Vocabulary(tuple(term for term, _ in ranked), kept.astype(np.int32), weights.astype(np.float32))


def _frequent(counts: NDArray[np.int64], least: int, most: int) -> NDArray[np.int64]:
    """The buckets counted at least `least` times, the `most` frequent ones, ascending."""
    found = np.flatnonzero(counts >= least)
    order = np.argsort(-counts[found], kind="stable")[:most]
    return np.sort(found[order])


def _by_frequency(item: tuple[str, int]) -> tuple[int, str]:
    # The term breaks ties, so that the order of rows decides nothing.
    return -item[1], item[0]
