"""From a learner's raw scores to its answers, in numpy and as graph operators, in double precision both times."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from modelyard.algorithms.tabular.graph import Graph

Link = Literal["identity", "expm1", "sigmoid", "softmax"]
"""identity and expm1: values; sigmoid: two classes; all from raw scores of shape (rows, 1). softmax: any number."""

LARGEST = 88.0
"""The largest logarithm that is answered: its exponential is still a float32."""


def answers(link: Link, raw: NDArray[np.float64], *, ceiling: float = LARGEST) -> NDArray[np.float32]:
    """The answers for `raw` scores; no logarithm above `ceiling` is believed."""
    if link == "sigmoid":
        # Both from the score, not one from the other: 1 - p has no digits left where p is nearly 1.
        raw = np.concatenate([-raw, raw], axis=1)
        values = 1 / (1 + np.exp(-np.clip(raw, -700, 700)))
    elif link == "softmax":
        powers = np.exp(raw - raw.max(axis=1, keepdims=True))
        values = powers / powers.sum(axis=1, keepdims=True)
    elif link == "expm1":
        values = np.exp(np.minimum(raw, ceiling)) - 1
    else:
        values = raw
    return values.astype(np.float32)


def append(graph: Graph, link: Link, raw: str, *, ceiling: float = LARGEST) -> str:
    """The same as operators behind `raw`; the name of the answers, double."""
    if link == "sigmoid":
        # Not the operator Sigmoid: ONNX Runtime's gives 1 - p for scores below zero, digits lost.
        powers = graph.node("Exp", graph.node("Concat", raw, graph.node("Neg", raw), axis=1))
        return graph.node("Reciprocal", graph.node("Add", powers, graph.constant(np.array(1.0))))
    if link == "softmax":
        return graph.node("Softmax", raw, axis=1)
    if link == "expm1":
        bounded = graph.node("Min", raw, graph.constant(np.array(ceiling)))
        return graph.node("Sub", graph.node("Exp", bounded), graph.constant(np.array(1.0)))
    return raw
