"""Trees of any library in one form: answered in numpy where they are learned, by one operator where they are served.

Both compare and add in double precision, so that they answer alike. Trees are kept as `trees.Tree`; either a leaf holds
one value that is added to the score of its tree, or it is a number of a row in a table of values of all scores.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modelyard.algorithms.base import Trained
from modelyard.algorithms.tabular import goals, links, trees
from modelyard.algorithms.tabular.boosting import Preparation
from modelyard.algorithms.tabular.encodings import Encoder
from modelyard.algorithms.tabular.goals import Goal
from modelyard.algorithms.tabular.graph import Graph
from modelyard.algorithms.tabular.links import Link
from modelyard.algorithms.tabular.trees import CATEGORICAL, DEFAULT_LEFT, MISSING_NAN, Tree
from modelyard.formats.base import Batch
from modelyard.protocol.signature import Signature

AT_ONCE = 4_000_000
"""Leaves that are found at once: what bounds the memory."""


class Growing:
    """A tree under construction, node by node, as a library tells it."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._nodes: list[tuple[int, float, int, int, int]] = []
        self._leaves: list[float] = []
        self._bounds: list[int] = [0]
        self._words: list[int] = []

    def split(self, feature: int, threshold: float, left: int, right: int, *, missing_left: bool) -> None:
        """The next inner node: at most `threshold` goes left. Children are nodes, or `~leaf`."""
        codes = self._encoder.left(feature, threshold)
        column = self._encoder.column(feature)
        if codes is None:
            decision = MISSING_NAN << 2 | (DEFAULT_LEFT if missing_left else 0)
            self._nodes.append((column, threshold, decision, left, right))
        else:
            self.member(column, codes, left, right)

    def member(self, column: int, codes: NDArray[np.bool_], left: int, right: int) -> None:
        """The next inner node: these codes go left."""
        if not codes.any():
            # The operator knows no empty set; no code is below zero.
            self._nodes.append((column, -1.0, MISSING_NAN << 2, left, right))
            return
        self._nodes.append((column, float(len(self._bounds) - 1), CATEGORICAL, left, right))
        padded = np.zeros(-(-len(codes) // 32) * 32, np.uint8)
        padded[: len(codes)] = codes
        self._words += np.packbits(padded, bitorder="little").view("<u4").tolist()
        self._bounds.append(len(self._words))

    def leaf(self, value: float) -> None:
        """The next leaf."""
        self._leaves.append(value)

    def grown(self) -> Tree:
        """The tree."""
        features, thresholds, decisions, left, right = zip(*self._nodes, strict=True) if self._nodes else ((),) * 5
        return Tree(
            list(features), list(thresholds), list(decisions), list(left), list(right), self._leaves, self._bounds,
            self._words,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Forest:
    """Trees and what is made of their leaves.

    Without a `table` tree i adds the value of its leaf to score i modulo `scores`. With one the value of a leaf is a
    row of the table, shape (leaves, scores), and the scores are the sums of those rows. `offsets` are added.
    """

    trees: tuple[Tree, ...]
    scores: int
    offsets: NDArray[np.float64]
    table: NDArray[np.float64] | None = None

    def raw(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Shape (rows, scores), of a prepared matrix."""
        step = max(1, AT_ONCE // max(1, len(self.trees) * (self.scores if self.table is not None else 1)))
        flat = _Flat(self.trees)
        parts = [self._of(flat.values(matrix[first : first + step])) for first in range(0, len(matrix), step)]
        return np.concatenate(parts) + self.offsets if parts else np.zeros((0, self.scores))

    def _of(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.table is not None:
            summed: NDArray[np.float64] = self.table[values.astype(np.int64)].sum(axis=1)
            return summed
        return np.stack([values[:, score :: self.scores].sum(axis=1) for score in range(self.scores)], axis=1)

    def append(self, graph: Graph, matrix: str, fill: NDArray[np.float64]) -> str:
        """The same as operators; the name of the raw scores."""
        if self.table is None:
            raw = trees.append(graph, matrix, self.trees, scores=self.scores, fill=fill)
        else:
            numbers = trees.append(graph, matrix, self.trees, scores=len(self.trees), fill=fill)
            places = graph.node("Cast", numbers, to=graph.integer)
            found = graph.node("Gather", graph.constant(self.table), places, axis=0)
            raw = graph.node("ReduceSum", found, graph.constant(np.array([1], np.int64)), keepdims=0)
        return graph.node("Add", raw, graph.constant(self.offsets))


class _Flat:
    """The nodes of all trees in one array each; a leaf leads to itself."""

    def __init__(self, found: Sequence[Tree]) -> None:
        sizes = [len(tree.features) + len(tree.leaves) for tree in found]
        starts = np.cumsum([0, *sizes])
        words_before = np.cumsum([0, *(len(tree.words) for tree in found)])
        total = int(starts[-1])
        self.roots = starts[:-1].copy()
        self.feature = np.zeros(total, np.int64)
        self.threshold = np.full(total, np.inf)
        self.missing_left = np.ones(total, bool)
        self.left, self.right = np.arange(total), np.arange(total)
        self.value = np.zeros(total)
        self.first_word, self.end_word = np.zeros(total, np.int64), np.zeros(total, np.int64)
        self.words = np.array([word for tree in found for word in tree.words] or [0], np.int64)
        for tree, start, before in zip(found, starts.tolist(), words_before.tolist(), strict=False):
            inner = len(tree.features)
            nodes, leaves = slice(start, start + inner), slice(start + inner, start + inner + len(tree.leaves))
            self.feature[nodes], self.value[leaves] = tree.features, tree.leaves
            for own, told in ((self.left, tree.left), (self.right, tree.right)):
                child = np.array(told, np.int64)
                own[nodes] = start + np.where(child < 0, inner + ~child, child)
            decision, threshold = np.array(tree.decisions, np.int64), np.array(tree.thresholds, np.float64)
            member = (decision & CATEGORICAL) > 0
            self.threshold[nodes] = np.where(member, np.nan, threshold)
            self.missing_left[nodes] = (decision & DEFAULT_LEFT) > 0
            place = np.where(member, threshold, 0).astype(np.int64)
            bounds = np.array([*tree.bounds, 0, 0], np.int64)
            self.first_word[nodes] = np.where(member, before + bounds[place], 0)
            self.end_word[nodes] = np.where(member, before + bounds[place + 1], 0)
        self.members = bool((self.end_word > 0).any())

    def values(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """The value of the leaf of each tree, shape (rows, trees)."""
        if not matrix.shape[1]:
            matrix = np.zeros((len(matrix), 1), np.float32)
        at = np.broadcast_to(self.roots, (len(matrix), len(self.roots)))
        rows = np.arange(len(matrix))[:, None]
        while True:
            value = matrix[rows, self.feature[at]].astype(np.float64)
            goes_left = np.where(np.isnan(value), self.missing_left[at], value <= self.threshold[at])
            if self.members:
                member = self.end_word[at] > 0
                goes_left = np.where(member, self._member(at, np.where(member, value, 0.0)), goes_left)
            following = np.where(goes_left, self.left[at], self.right[at])
            if np.array_equal(following, at):
                found: NDArray[np.float64] = self.value[at]
                return found
            at = following

    def _member(self, at: NDArray[np.int64], value: NDArray[np.float64]) -> NDArray[np.bool_]:
        code = value.astype(np.int64)
        word = self.first_word[at] + (code >> 5)
        inside = (word < self.end_word[at]) & (code >= 0)
        found: NDArray[np.bool_] = inside & ((self.words[np.where(inside, word, 0)] >> (code & 31)) & 1 > 0)
        return found


class ForestModel(Trained):
    """A forest with what leads to it and from it. `chosen` is what fit found, for the learner to go on with."""

    def __init__(
        self, signature: Signature, preparation: Preparation, forest: Forest, link: Link, chosen: float
    ) -> None:
        self.signature = signature
        self.link = link
        self.chosen = chosen
        self._preparation = preparation
        self._forest = forest

    def predict(self, batch: Batch) -> NDArray[np.float32]:
        return links.answers(self.link, self._forest.raw(self._preparation.matrix(batch)))

    def save(self, folder: Path) -> str:
        preparation = self._preparation
        graph = Graph(
            numbers=len(preparation.fill), strings=len(preparation.vocabularies),
            outputs=max(1, len(self.signature.classes)),
        )  # fmt: skip
        matrix, fill = preparation.append(graph)
        preparation.features.save(folder)
        return graph.save(folder, links.append(graph, self.link, self._forest.append(graph, matrix, fill)))


def goal_of(trained: Trained) -> Goal:
    """What a forest of numbers was found to learn: the value or its logarithm. Raises TypeError for another model."""
    if not isinstance(trained, ForestModel):
        raise TypeError(f"{type(trained).__name__} is no forest")
    return replace(goals.NUMBERS, link=trained.link)
