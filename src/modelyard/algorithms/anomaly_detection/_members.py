"""Learning detectors of odd rows: from a scaled matrix to the arrays that are served."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.formats._anomaly_columns import Matrix
from modelyard.formats._anomaly_detectors import Detector, Forest, Histograms, Neighbours, Tails

Learn = Callable[[Matrix, int], Detector]
"""A detector from a matrix and a seed."""

MOST_KNOTS = 2048
"""Training values kept of each dimension of the tails."""

OUTERMOST = 256
"""Of them so many at either end one by one: there the tails are decided."""

EULER = 0.5772156649015329
OPSET, ML_OPSET = 18, 3


def tails(values: Matrix, seed: int) -> Detector:  # noqa: ARG001
    """Tails of each column."""
    columns = np.arange(values.shape[1])
    pairs = np.column_stack([columns, columns])
    weights = np.column_stack([np.ones(len(columns)), np.zeros(len(columns))])
    return _tails(values, pairs, weights)


def projected_tails(values: Matrix, seed: int, *, projections: int) -> Detector:
    """Tails of random sums of two columns, each on the scale of its own standard deviation."""
    random = np.random.default_rng(seed)
    width = values.shape[1]
    deviation = values.std(axis=0)
    deviation[deviation <= 0] = 1.0
    pairs = np.array([random.choice(width, 2, replace=False) for _ in range(projections)])
    weights = random.normal(size=(projections, 2))
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    return _tails(values, pairs, weights / deviation[pairs])


def histograms(values: Matrix, seed: int, *, bins: int) -> Detector:  # noqa: ARG001
    """A histogram of each column; `bins` of 0 means the square root of the rows, between 10 and 50."""
    count = bins or int(np.clip(np.sqrt(len(values)), 10, 50))
    low, high = values.min(axis=0), values.max(axis=0)
    step = np.where(high > low, (high - low) / count, 1.0)
    places = np.clip(((values - low) / step).astype(np.intp), 0, count - 1)
    heights = np.stack([np.bincount(column, minlength=count) for column in places.T])
    surprise = -np.log((heights + 0.1) / heights.max(axis=1, keepdims=True))
    return Histograms({"low": low, "step": step, "surprise": surprise}, values.shape[1])


def neighbours(values: Matrix, seed: int, *, count: int, kept: int) -> Detector:
    """At most `kept` rows, drawn at random, as possible neighbours."""
    rows = values
    if len(values) > kept:
        rows = values[np.sort(np.random.default_rng(seed).choice(len(values), kept, replace=False))]
    arrays = {"rows": rows.astype(np.float32), "count": np.array([min(count, len(rows))])}
    return Neighbours(arrays, values.shape[1])


def forest(values: Matrix, seed: int, *, trees: int, sample: int) -> Detector:
    """An isolation forest of scikit-learn as an ONNX graph."""
    from sklearn.ensemble import IsolationForest

    sample = min(sample, len(values))
    learned = IsolationForest(n_estimators=trees, max_samples=sample, random_state=seed % 2**32, n_jobs=1)
    learned.fit(values.astype(np.float32))
    graph = _graph([tree.tree_ for tree in learned.estimators_], values.shape[1])
    arrays = {"graph": np.frombuffer(graph, np.uint8), "usual": np.array([max(_usual_depth(sample), 1e-3)])}
    return Forest(arrays, values.shape[1])


def _tails(values: Matrix, pairs: NDArray[np.intp], weights: Matrix) -> Tails:
    learned = values[:, pairs[:, 0]] * weights[:, 0] + values[:, pairs[:, 1]] * weights[:, 1]
    ordered = np.sort(learned, axis=0).T
    rows = len(values)
    kept = _kept(rows)
    knots = ordered[:, kept]
    up_to = np.stack([line.searchsorted(knot, "right") for line, knot in zip(ordered, knots, strict=True)])
    before = np.stack([line.searchsorted(knot, "left") for line, knot in zip(ordered, knots, strict=True)])
    arrays = {
        "knots": knots,
        "below": -np.log(up_to / rows),
        "above": -np.log((rows - before) / rows),
        "pairs": pairs,
        "weights": weights,
    }
    return Tails(arrays, values.shape[1])


def _kept(rows: int) -> NDArray[np.intp]:
    """Which of so many sorted values are kept: all at the ends, some in between."""
    if rows <= MOST_KNOTS:
        return np.arange(rows)
    between = np.linspace(OUTERMOST, rows - OUTERMOST - 1, MOST_KNOTS - 2 * OUTERMOST).round().astype(np.intp)
    return np.unique(np.concatenate([np.arange(OUTERMOST), between, np.arange(rows - OUTERMOST, rows)]))


def _usual_depth(rows: NDArray[Any] | int) -> Any:
    """The mean depth at which so many rows are told apart (equation 1 of the paper)."""
    count = np.maximum(np.asarray(rows, np.float64), 1.0)
    depth = 2.0 * (np.log(np.maximum(count - 1.0, 1.0)) + EULER) - 2.0 * (count - 1.0) / count
    return np.where(count > 2, depth, np.where(count > 1, 1.0, 0.0))[()]


def _graph(trees: list[Any], width: int) -> bytes:
    """The mean depth at which the trees isolate a row, as an ONNX graph."""
    from onnx import TensorProto, helper

    parts = [_nodes(tree) for tree in trees]
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    leaves = joined["leaf"]
    counts = [len(part["leaf"]) for part in parts]
    tree_ids = np.repeat(np.arange(len(trees)), counts)
    node_ids = np.concatenate([np.arange(count) for count in counts])
    node = helper.make_node(
        "TreeEnsembleRegressor", ["values"], ["depth"], domain="ai.onnx.ml", n_targets=1, aggregate_function="AVERAGE",
        nodes_treeids=tree_ids.tolist(), nodes_nodeids=node_ids.tolist(),
        nodes_modes=[("LEAF" if leaf else "BRANCH_LEQ").encode() for leaf in leaves.tolist()],
        nodes_featureids=joined["feature"].tolist(), nodes_values=joined["threshold"].tolist(),
        nodes_truenodeids=joined["left"].tolist(), nodes_falsenodeids=joined["right"].tolist(),
        target_treeids=tree_ids[leaves].tolist(), target_nodeids=node_ids[leaves].tolist(),
        target_ids=[0] * int(leaves.sum()), target_weights=joined["depth"][leaves].tolist(),
    )  # fmt: skip
    values = helper.make_tensor_value_info("values", TensorProto.FLOAT, [None, width])
    depth = helper.make_tensor_value_info("depth", TensorProto.FLOAT, [None, 1])
    graph = helper.make_graph([node], "isolation_forest", [values], [depth])
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    serialized: bytes = model.SerializeToString(deterministic=True)
    return serialized


def _nodes(tree: Any) -> dict[str, NDArray[Any]]:
    """The nodes of one tree. A leaf's depth counts what the rows left in it would have taken to be told apart."""
    left, right = tree.children_left, tree.children_right
    leaf = left < 0
    depth = np.zeros(len(left))
    # A child stands after its parent.
    for place in np.flatnonzero(~leaf).tolist():
        depth[[left[place], right[place]]] = depth[place] + 1
    exact = tree.threshold
    rounded = exact.astype(np.float32)
    # Rounded down: a float32 value is on the same side of it as of the exact threshold.
    rounded = np.where(rounded > exact, np.nextafter(rounded, np.float32(-np.inf)), rounded)
    return {
        "leaf": leaf,
        "feature": np.where(leaf, 0, tree.feature),
        "threshold": np.where(leaf, 0.0, rounded),
        "left": np.where(leaf, 0, left),
        "right": np.where(leaf, 0, right),
        "depth": depth + _usual_depth(tree.n_node_samples),
    }
