"""Trees as one ONNX operator, in the form of LightGBM, which is read from the text that LightGBM saves.

How a node decides is LightGBM's `include/LightGBM/tree.h` (`NumericalDecision`, `CategoricalDecision`); the operator is
`TreeEnsemble` of ai.onnx.ml 5, in double precision, so that thresholds and leaf values are kept exactly.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelyard.algorithms.tabular.graph import ML, Graph, tensor

CATEGORICAL, DEFAULT_LEFT = 1, 2
MISSING_NAN = 2
LESS_OR_EQUAL, MEMBER = 0, 6
"""Of TreeEnsemble's `nodes_modes`."""


class Tree(NamedTuple):
    """One tree: parallel lists over its inner nodes; children below zero are leaves, `~child` their place."""

    features: list[int]
    thresholds: list[float]
    decisions: list[int]
    left: list[int]
    right: list[int]
    leaves: list[float]
    bounds: list[int]
    words: list[int]

    def categories(self, node: int) -> list[float]:
        """The category codes that go left at a categorical node: the set bits of its words."""
        place = int(self.thresholds[node])
        words = self.words[self.bounds[place] : self.bounds[place + 1]]
        return [float(32 * at + bit) for at, word in enumerate(words) for bit in range(32) if word >> bit & 1]


def parse(text: str) -> Iterator[Tree]:
    """The trees of a model that LightGBM saved as text."""
    for section in text.partition("\nend of trees")[0].split("\nTree=")[1:]:
        values = dict(line.split("=", 1) for line in section.splitlines()[1:] if "=" in line)
        integers = {name: [int(part) for part in values.get(name, "").split()] for name in _INTEGERS}
        yield Tree(
            features=integers["split_feature"],
            thresholds=[float(part) for part in values.get("threshold", "").split()],
            decisions=integers["decision_type"],
            left=integers["left_child"],
            right=integers["right_child"],
            leaves=[float(part) for part in values["leaf_value"].split()],
            bounds=integers["cat_boundaries"],
            words=integers["cat_threshold"],
        )


_INTEGERS = ("split_feature", "decision_type", "left_child", "right_child", "cat_boundaries", "cat_threshold")


def append(graph: Graph, matrix: str, trees: Iterable[Tree], *, scores: int, fill: NDArray[np.float64]) -> str:
    """The sum of the trees over `matrix`, double, shape (rows, scores): the name of the output.

    Tree i adds to score i modulo `scores`. `fill` is what stands for a missing number in each column, NaN where the
    trees know missing values themselves.
    """
    lists = _Lists(fill)
    for number, tree in enumerate(trees):
        lists.add(tree, number % scores)
    return graph.node("TreeEnsemble", matrix, domain=ML, n_targets=scores, aggregate_function=1, **lists.attributes())


class _Lists:
    """The operator's parallel lists, filled tree by tree."""

    def __init__(self, fill: NDArray[np.float64]) -> None:
        self._fill = fill
        self._nodes: list[tuple[int, float, int, int, int, int, int, int]] = []
        self._members: list[float] = []
        self._roots: list[int] = []
        self._leaves: list[tuple[int, float]] = []

    def add(self, tree: Tree, score: int) -> None:
        first_node, first_leaf = len(self._nodes), len(self._leaves)
        self._roots.append(first_node)
        self._leaves += [(score, value) for value in tree.leaves]
        if not tree.features:
            # A tree that is one leaf: the operator has no word for it, so both ways lead there.
            self._nodes.append((0, 0.0, LESS_OR_EQUAL, first_leaf, 1, first_leaf, 1, 0))
        for node in range(len(tree.features)):
            split, mode, tracks = self._decision(tree, node)
            ways = [
                (first_leaf + ~child, 1) if child < 0 else (first_node + child, 0)
                for child in (tree.left[node], tree.right[node])
            ]
            self._nodes.append((tree.features[node], split, mode, *ways[0], *ways[1], tracks))

    def _decision(self, tree: Tree, node: int) -> tuple[float, int, int]:
        """(threshold, mode, whether a missing value goes left) of one node."""
        decision, threshold = tree.decisions[node], tree.thresholds[node]
        if decision & CATEGORICAL:
            self._members += [*tree.categories(node), float("nan")]
            return 0.0, MEMBER, 0
        if decision >> 2 == MISSING_NAN:
            fill = self._fill[tree.features[node]]
            left = bool(decision & DEFAULT_LEFT) if np.isnan(fill) else fill <= threshold
        else:
            # Where LightGBM met no missing value in training, it takes one for zero.
            fill = self._fill[tree.features[node]]
            left = (0.0 if np.isnan(fill) else fill) <= threshold
        return threshold, LESS_OR_EQUAL, int(left)

    def attributes(self) -> dict[str, Any]:
        feature, split, mode, true, true_leaf, false, false_leaf, tracks = zip(*self._nodes, strict=True)
        targets, weights = zip(*self._leaves, strict=True)
        members = {"membership_values": tensor(np.array(self._members, np.float64))} if self._members else {}
        return {
            "tree_roots": self._roots,
            "nodes_featureids": feature,
            "nodes_splits": tensor(np.array(split, np.float64)),
            "nodes_modes": tensor(np.array(mode, np.uint8)),
            "nodes_truenodeids": true,
            "nodes_trueleafs": true_leaf,
            "nodes_falsenodeids": false,
            "nodes_falseleafs": false_leaf,
            "nodes_missing_value_tracks_true": tracks,
            "leaf_targetids": targets,
            "leaf_weights": tensor(np.array(weights, np.float64)),
            **members,
        }
