"""Detectors of odd rows as they are served: arrays, and how a row's score is computed from them.

Every detector is given the scaled matrix of `_anomaly_columns` and answers one number for each row, higher is odder.
How the arrays are learned stands with the algorithms. A row gets the same score alone and among others.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from modelyard.formats._anomaly_columns import Matrix

Arrays = Mapping[str, NDArray[Any]]


class Detector(ABC):
    """One way to see that a row is odd. `arrays` are all that it needs; raises ValueError where they do not fit."""

    kind: ClassVar[str]
    needs: ClassVar[tuple[str, ...]]

    def __init__(self, arrays: Arrays, width: int) -> None:
        if set(arrays) != set(self.needs):
            raise ValueError(f"a detector of kind {self.kind} needs the arrays {', '.join(self.needs)}")
        self.arrays = dict(arrays)
        self.width = width
        self.prepare()

    @abstractmethod
    def prepare(self) -> None:
        """Compute what scoring needs, and check the arrays."""

    @abstractmethod
    def score(self, values: Matrix) -> NDArray[np.float64]:
        """One number for each row of `values`, shape (rows, width)."""

    def __getstate__(self) -> dict[str, Any]:
        return {"arrays": self.arrays, "width": self.width}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.arrays, self.width = state["arrays"], state["width"]
        self.prepare()


class Tails(Detector):
    """Empirical tail probabilities (ECOD, Li et al. 2022): the sum over dimensions of -log of the smaller tail.

    `knots` are sorted training values of each dimension, shape (dimensions, knots), the last one repeated at the end;
    `below` and `above` the -log of the share of training rows up to and from each knot on, shape (dimensions, knots).
    A dimension is a column, or the sum of two columns, `pairs` (dimensions, 2), times `weights` (dimensions, 2). Beyond
    the training values the tail goes on as that of a Pareto distribution.
    """

    kind = "tails"
    needs = ("knots", "below", "above", "pairs", "weights")

    def prepare(self) -> None:
        knots, pairs, weights = self.arrays["knots"], self.arrays["pairs"], self.arrays["weights"]
        dimensions, count = _matrix_of(knots)
        if self.arrays["below"].shape != knots.shape or self.arrays["above"].shape != knots.shape or count < 1:
            raise ValueError("the tails have other shapes than their knots")
        if pairs.shape != (dimensions, 2) or weights.shape != pairs.shape or not _places(pairs, self.width):
            raise ValueError("the tails look at columns that are not there")
        if not (np.diff(knots, axis=1) >= 0).all():
            raise ValueError("the knots of the tails are not in order")
        self._first, self._second = pairs[:, 0].copy(), pairs[:, 1].copy()
        self._weights = weights.T.astype(np.float64)
        self._paired = bool(self._weights[1].any())
        self._low, self._high = knots[:, 0].astype(np.float64), knots[:, -1].astype(np.float64)
        self._shift = np.arange(dimensions, dtype=np.float64)
        # One sorted row of all dimensions beside each other: a single search finds the places in all of them.
        self._keys = (_squashed(knots.T) + self._shift).T.ravel()
        self._starts = np.arange(dimensions) * count
        self._ends = self._starts + count - 1
        self._below = self.arrays["below"].astype(np.float64).ravel()
        self._above = self.arrays["above"].astype(np.float64).ravel()

    def score(self, values: Matrix) -> NDArray[np.float64]:
        seen = values[:, self._first] * self._weights[0]
        if self._paired:
            seen += values[:, self._second] * self._weights[1]
        inside = np.minimum(np.maximum(seen, self._low), self._high)
        keys = _squashed(inside) + self._shift
        # Inside the range there is a knot at or below a value, and one at or above it.
        up_to = self._keys.searchsorted(keys, "right") - 1
        since = self._keys.searchsorted(keys, "left")
        # Rounding must not lead from one dimension into the next.
        up_to = np.maximum(up_to, self._starts)
        since = np.minimum(since, self._ends)
        tails = np.maximum(self._below[up_to], self._above[since])
        tails += np.log1p(np.abs(seen - inside))
        total: NDArray[np.float64] = tails.sum(axis=1)
        return total


class Histograms(Detector):
    """Histograms of single columns (HBOS, Goldstein and Dengel 2012): the sum of -log of the density of each value.

    `low` and `step` (width,) say where the bins of a column begin and how wide they are, `surprise` (width, bins) is
    minus the logarithm of each bin's height against the highest. Outside of the bins the density falls as a power.
    """

    kind = "histograms"
    needs = ("low", "step", "surprise")

    def prepare(self) -> None:
        low, step, surprise = (self.arrays[name] for name in self.needs)
        columns, bins = _matrix_of(surprise)
        if columns != self.width or low.shape != (columns,) or step.shape != low.shape or not (step > 0).all():
            raise ValueError("the histograms are not those of the columns")
        self._offsets = np.arange(columns) * bins
        self._last = bins - 1
        self._surprise = surprise.astype(np.float64).ravel()
        self._farthest = surprise.max(axis=1)

    def score(self, values: Matrix) -> NDArray[np.float64]:
        places = (values - self.arrays["low"]) / self.arrays["step"]
        bins = np.clip(places, 0, self._last)
        surprise = self._surprise[bins.astype(np.intp) + self._offsets]
        beyond = np.maximum(np.abs(places - (self._last + 1) / 2) - (self._last + 1) / 2, 0.0)
        surprise = np.where(beyond > 0, self._farthest + np.log1p(beyond), surprise)
        total: NDArray[np.float64] = surprise.sum(axis=1)
        return total


class Neighbours(Detector):
    """Mean distance to the nearest training rows (Ramaswamy et al. 2000; Angiulli and Pizzuti 2002).

    `rows` (kept rows, width) are training rows, `count` (1,) is how many neighbours are looked at.
    """

    kind = "neighbours"
    needs = ("rows", "count")
    most = 1024
    """Rows that are compared at a time: bounds the memory of a large request."""

    def prepare(self) -> None:
        rows, count = self.arrays["rows"], self.arrays["count"]
        kept, columns = _matrix_of(rows)
        if columns != self.width or count.shape != (1,) or not 1 <= int(count[0]) <= kept:
            raise ValueError("the neighbours are not rows of the columns")
        self._rows = rows.astype(np.float64)
        self._squares = np.einsum("ij,ij->i", self._rows, self._rows)
        self._count = int(count[0])

    def score(self, values: Matrix) -> NDArray[np.float64]:
        parts = [self._near(values[at : at + self.most]) for at in range(0, len(values), self.most)]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _near(self, values: Matrix) -> NDArray[np.float64]:
        rough = self._squares - 2.0 * (values @ self._rows.T)
        nearest = np.argpartition(rough, self._count - 1, axis=1)[:, : self._count]
        # Once more without the rounding of the product, which is not the same for one row and for many.
        apart = values[:, None, :] - self._rows[nearest]
        distances = np.sort(np.sqrt(np.square(apart).sum(axis=2)), axis=1)
        mean: NDArray[np.float64] = distances.mean(axis=1)
        return mean


class Forest(Detector):
    """Isolation forest (Liu, Ting and Zhou 2008): 2 to the power of minus the mean depth against the usual one.

    `graph` is an ONNX graph (bytes as uint8) from float32 `values` to the mean depth `depth`, shape (rows, 1); `usual`
    (1,) is the depth that is usual for so many rows.
    """

    kind = "forest"
    needs = ("graph", "usual")

    def prepare(self) -> None:
        graph, usual = self.arrays["graph"], self.arrays["usual"]
        if graph.dtype != np.uint8 or graph.ndim != 1 or usual.shape != (1,) or not usual[0] > 0:
            raise ValueError("the forest is no graph")
        self._run = _session(graph.tobytes(), self.width).run
        self._usual = float(usual[0])

    def score(self, values: Matrix) -> NDArray[np.float64]:
        depth = self._run(["depth"], {"values": values.astype(np.float32)})[0]
        scores: NDArray[np.float64] = np.exp2(-depth[:, 0].astype(np.float64) / self._usual)
        return scores


KINDS: dict[str, type[Detector]] = {kind.kind: kind for kind in (Tails, Histograms, Neighbours, Forest)}


def _squashed(values: Matrix) -> Matrix:
    """Into (0, 1), in the same order."""
    return 0.5 + 0.49 * values / (1.0 + np.abs(values))


def _matrix_of(array: NDArray[Any]) -> tuple[int, int]:
    if array.ndim != 2 or not array.size or not np.isfinite(array).all():
        raise ValueError("a detector's array is no matrix of finite numbers")
    return array.shape[0], array.shape[1]


def _places(places: NDArray[Any], width: int) -> bool:
    return bool(np.issubdtype(places.dtype, np.integer) and (places >= 0).all() and (places < width).all())


def _session(graph: bytes, width: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # One thread adds up the trees in one order, however many rows there are.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ValueError(f"its graph cannot be loaded: {error}") from error
    if [(entry.name, entry.shape[1:]) for entry in session.get_inputs()] != [("values", [width])]:
        raise ValueError("its graph takes other columns")
    return session
