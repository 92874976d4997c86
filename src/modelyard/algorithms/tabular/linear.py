"""Linear models for tables: what classification and regression share.

Numbers are imputed by their median, centred and scaled; that one was missing is a column of its own; categories are
one-hot with a common column for rare values. How strong the regularisation is, the validation rows decide.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from modelyard.algorithms.base import Report, Trained, TrainingData
from modelyard.algorithms.tabular import categories, links, threads
from modelyard.algorithms.tabular.categories import Vocabulary
from modelyard.algorithms.tabular.graph import Graph
from modelyard.algorithms.tabular.links import Link
from modelyard.algorithms.tabular.preparation import learn_features
from modelyard.algorithms.tabular.rows import joined, taken
from modelyard.formats.base import Batch
from modelyard.formats.features import Features, Featuriser
from modelyard.protocol.signature import Signature

RAREST = 10
"""How often a category must occur to get a column of its own (fewer in small tables)."""

MOST_CATEGORIES = 100

FURTHEST = 5.0
"""Numbers further than this many standard deviations from the mean count as if they were this far."""

MOST_CELLS = 50_000_000
"""The largest design matrix that is learned from, in cells; more rows are sampled down to it."""


class Weights(NamedTuple):
    """What was learned: shape (columns of the design, scores) and (scores,).

    `ceiling` bounds the logarithm of an answer: a straight line through logarithms soon leads out of all proportion.
    """

    slopes: NDArray[np.float64]
    intercepts: NDArray[np.float64]
    ceiling: float = links.LARGEST


@dataclass(frozen=True, kw_only=True)
class Design:
    """From a batch to the matrix that is multiplied by the weights: scaled numbers, gaps, one-hot categories.

    `gaps` are the numbers that had missing values in training.
    """

    features: Features
    vocabularies: tuple[Vocabulary, ...]
    median: NDArray[np.float64]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    gaps: NDArray[np.intp]

    @classmethod
    def learn(cls, signature: Signature, rows: Batch, seed: int) -> "Design":
        """From training rows."""
        features = learn_features(signature, rows, seed)
        derived = Featuriser(features)(rows)
        numbers = derived.numbers.astype(np.float64)
        absent = np.isnan(numbers)
        empty = absent.all(axis=0)
        numbers[:, empty] = 0.0
        median = np.nanmedian(numbers, axis=0)
        filled = np.where(np.isnan(numbers), median, numbers)
        scale = filled.std(axis=0)
        rarest = max(2, min(RAREST, rows.rows // 50))
        return cls(
            features=features,
            vocabularies=categories.learn(derived.strings, at_least=rarest, most=MOST_CATEGORIES),
            median=median,
            mean=filled.mean(axis=0),
            scale=np.where(scale > 0, scale, 1.0),
            gaps=np.flatnonzero(absent.any(axis=0) & ~empty),
        )

    @property
    def offsets(self) -> list[int]:
        """Where in the design the columns of each vocabulary begin; the last entry is the design's width."""
        first = len(self.median) + len(self.gaps)
        sizes = [vocabulary.size for vocabulary in self.vocabularies]
        return [first + sum(sizes[:place]) for place in range(len(sizes) + 1)]

    def parts(self, batch: Batch) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Scaled numbers with gaps, and the column of the design at which each category is 1."""
        derived = Featuriser(self.features)(batch)
        numbers = derived.numbers.astype(np.float64)
        absent = np.isnan(numbers)
        scaled = (np.where(absent, self.median, numbers) - self.mean) / self.scale
        scaled = np.clip(scaled, -FURTHEST, FURTHEST)
        coded = categories.codes(derived.strings, self.vocabularies) + np.array(self.offsets[:-1], np.int64)
        return np.concatenate([scaled, absent[:, self.gaps]], axis=1), coded

    def matrix(self, batch: Batch) -> NDArray[np.float64]:
        """The whole design, shape (rows, columns)."""
        numbers, coded = self.parts(batch)
        matrix = np.zeros((batch.rows, self.offsets[-1]))
        matrix[:, : numbers.shape[1]] = numbers
        np.put_along_axis(matrix, coded, 1.0, axis=1)
        # A value that was never seen, where no column stands for such, moves nothing.
        for offset, vocabulary in zip(self.offsets[:-1], self.vocabularies, strict=True):
            if not vocabulary.other:
                matrix[:, offset] = 0.0
        return matrix


class LinearModel(Trained):
    """A design, its weights and the link. `strength` is the regularisation that the validation rows chose."""

    def __init__(self, signature: Signature, design: Design, weights: Weights, link: Link, strength: float) -> None:
        self.signature = signature
        self.link = link
        self.strength = strength
        self._design = design
        self._weights = weights

    def predict(self, batch: Batch) -> NDArray[np.float32]:
        numbers, coded = self._design.parts(batch)
        slopes = self._weights.slopes
        raw = numbers @ slopes[: numbers.shape[1]] + slopes[coded].sum(axis=1) + self._weights.intercepts
        return links.answers(self.link, raw, ceiling=self._weights.ceiling)

    def save(self, folder: Path) -> str:
        design = self._design
        numbers, strings = len(design.median), len(design.vocabularies)
        graph = Graph(numbers=numbers, strings=strings, outputs=max(1, len(self.signature.classes)))
        raw = graph.constant(self._weights.intercepts)
        if numbers:
            raw = graph.node("Add", self._of_numbers(graph), raw)
        if strings:
            raw = graph.node("Add", self._of_categories(graph), raw)
        design.features.save(folder)
        return graph.save(folder, links.append(graph, self.link, raw, ceiling=self._weights.ceiling))

    def _of_numbers(self, graph: Graph) -> str:
        design, numbers = self._design, graph.numbers()
        absent = graph.node("IsNaN", numbers)
        filled = graph.node("Where", absent, graph.constant(design.median), numbers)
        scaled = graph.node("Div", graph.node("Sub", filled, graph.constant(design.mean)), graph.constant(design.scale))
        bounds = [graph.constant(np.array(bound)) for bound in (-FURTHEST, FURTHEST)]
        scaled = graph.node("Clip", scaled, *bounds)
        width = len(design.median)
        raw = graph.node("MatMul", scaled, graph.constant(self._weights.slopes[:width]))
        if not len(design.gaps):
            return raw
        slopes = np.zeros((width, self._weights.slopes.shape[1]))
        slopes[design.gaps] = self._weights.slopes[width : width + len(design.gaps)]
        gaps = graph.node("Cast", absent, to=graph.double)
        return graph.node("Add", raw, graph.node("MatMul", gaps, graph.constant(slopes)))

    def _of_categories(self, graph: Graph) -> str:
        design = self._design
        tables = [
            np.arange(offset, offset + vocabulary.size, dtype=np.int64)
            for offset, vocabulary in zip(design.offsets[:-1], design.vocabularies, strict=True)
        ]
        places = graph.coded(design.vocabularies, tables)
        found = graph.node("Gather", graph.constant(self._weights.slopes), places, axis=0)
        return graph.node("ReduceSum", found, graph.constant(np.array([1], np.int64)), keepdims=0)


class Solver(Protocol):
    """What differs between scenarios: how weights are found, and how answers are judged."""

    metric: str
    link: Link

    def solve(self, matrix: NDArray[np.float64], labels: NDArray[Any], strength: float) -> Weights:
        """The weights at one regularisation."""
        ...

    def loss(self, answers: NDArray[np.float32], labels: NDArray[Any]) -> float:
        """How wrong answers are, in the units of the answers; smaller is better."""
        ...


def fit(
    data: TrainingData, solvers: Sequence[Solver], tried: Sequence[float], usual: float, report: Report
) -> LinearModel:
    """The model of the solver and regularisation that serve the validation rows best.

    Without validation rows, that of the first solver and the `usual` regularisation.
    """
    report.progress("preparing the columns", 0.0)
    design = Design.learn(data.signature, data.rows, data.seed)
    rows = sampled(len(data.labels), design.offsets[-1], data.seed)
    matrix, labels = design.matrix(taken(data.rows, rows)), data.labels[rows]
    searched = [(solver, strength) for solver in solvers for strength in tried]
    if not len(data.validation_labels):
        searched = [(solvers[0], tried[0] if len(tried) == 1 else usual)]
    started, losses, models = time.monotonic(), [], []
    for step, (solver, strength) in enumerate(searched, start=1):
        with threads.limited(matrix.size):
            weights = solver.solve(matrix, labels, strength)
        models.append(LinearModel(data.signature, design, weights, solver.link, strength))
        if len(data.validation_labels):
            losses.append(solver.loss(models[-1].predict(data.validation), data.validation_labels))
            report.metric(solver.metric, step, losses[-1])
        eta = (time.monotonic() - started) / step * (len(searched) - step)
        report.progress(f"regularisation {strength:g}", step / len(searched), eta)
    best = models[int(np.argmin(losses))] if losses else models[0]
    report.log(f"Linear model: {design.offsets[-1]} columns, regularisation {best.strength:g}.")
    return best


def finish(data: TrainingData, trained: Trained, solver: Solver, report: Report) -> LinearModel:
    """Learn again from training and validation rows with the regularisation that was found."""
    if not isinstance(trained, LinearModel):
        raise TypeError(f"{type(trained).__name__} is no linear model")
    report.progress("learning again with the validation rows", 0.0)
    together = joined([data.rows, data.validation])
    labels = np.concatenate([data.labels, data.validation_labels])
    design = Design.learn(data.signature, together, data.seed)
    rows = sampled(len(labels), design.offsets[-1], data.seed)
    matrix = design.matrix(taken(together, rows))
    with threads.limited(matrix.size):
        weights = solver.solve(matrix, labels[rows], trained.strength)
    return LinearModel(data.signature, design, weights, trained.link, trained.strength)


def sampled(rows: int, columns: int, seed: int) -> NDArray[np.intp]:
    """Which rows are learned from: all of them, or a sample whose design matrix fits into memory."""
    most = max(1000, MOST_CELLS // max(1, columns))
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
