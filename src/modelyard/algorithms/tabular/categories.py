"""Categories to codes, the same for every learner: 1, 2, … for what was seen, frequent ones first; 0 for the rest.

A missing value ("") is a category of its own where training had some. Rare values share one code where there are enough
of them to learn from; then a value that was never seen gets that code too.
"""

from collections import Counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Vocabulary(NamedTuple):
    """The categories of one column with codes of their own, and whether code `len(values) + 1` means any other."""

    values: tuple[str, ...]
    other: bool

    @property
    def unseen(self) -> int:
        """The code of a value without one of its own."""
        return len(self.values) + 1 if self.other else 0

    @property
    def size(self) -> int:
        """How many codes there are, 0 among them."""
        return len(self.values) + 1 + self.other


def learn(strings: NDArray[np.object_], *, at_least: int, most: int) -> tuple[Vocabulary, ...]:
    """The vocabulary of each column: values seen `at_least` times, at `most` so many."""
    return tuple(_learn(strings[:, place].tolist(), at_least, most) for place in range(strings.shape[1]))


def codes(strings: NDArray[np.object_], vocabularies: tuple[Vocabulary, ...]) -> NDArray[np.int64]:
    """The code of each value, shape (rows, columns)."""
    coded = np.zeros((len(strings), len(vocabularies)), np.int64)
    for place, vocabulary in enumerate(vocabularies):
        known = {value: code for code, value in enumerate(vocabulary.values, start=1)}
        coded[:, place] = [known.get(value, vocabulary.unseen) for value in strings[:, place].tolist()]
    return coded


def _learn(values: list[str], at_least: int, most: int) -> Vocabulary:
    # The value breaks ties, so that the order of rows decides nothing.
    ranked = sorted(Counter(values).items(), key=lambda item: (-item[1], item[0]))
    kept = [(value, count) for value, count in ranked if count >= at_least][:most]
    rare = sum(count for _, count in ranked) - sum(count for _, count in kept)
    return Vocabulary(tuple(value for value, _ in kept), other=rare >= at_least)
