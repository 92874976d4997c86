"""A linear model of naive Bayes features (NBSVM, Wang and Manning 2012): strong on short texts and on opinions.

Each column is multiplied by its log-count ratio: how much more often it occurs in texts of a class than in the others.
A support vector machine learns on those features; then its weights are drawn towards their mean size, which is naive
Bayes. The product of ratio and weight is again one weight of each column, so a linear model is what is served.
"""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from modelyard.algorithms.base import Algorithm, Report, Trained, TrainingData
from modelyard.algorithms.forms import Form, Search, parameter
from modelyard.algorithms.text_classification import _texts
from modelyard.algorithms.text_classification._search import Candidate, Linear, Weights
from modelyard.algorithms.text_classification._texts import Plan
from modelyard.formats._text_features import Recipe
from modelyard.formats.text import scores_of

TRIED = (0.01, 0.1, 1.0, 10.0)


class NaiveBayesParameters(Form):
    """The form of NBSVM."""

    inverse_strength: float | None = parameter(
        None, "C", "Inverse of the L2 regularisation: small draws weights to zero. Empty: held-out rows choose.",
        search=Search(0.001, 100.0, log=True), ge=1e-4, le=1e4,
    )  # fmt: skip
    interpolation: float = parameter(
        0.25, "Share of the support vector machine", "0 is naive Bayes, 1 trusts each learned weight fully.",
        search=Search(0.1, 1.0), ge=0.0, le=1.0,
    )  # fmt: skip
    smoothing: float = parameter(
        1.0, "Smoothing", "Added to each count, so that what was never seen in a class is only unlikely there.",
        unit="texts", search=Search(0.1, 2.0, log=True), ge=0.01, le=10.0,
    )  # fmt: skip
    words: int = parameter(
        2, "Words in a row", "The longest row of words that is counted; 0 counts no words.",
        group="Counting", unit="words", search=(1, 2, 3), ge=0, le=3,
    )  # fmt: skip
    longest_piece: int = parameter(
        5, "Longest piece of a word",
        "Pieces of 2 to so many characters are counted beside words; 0 counts no pieces.",
        group="Counting", unit="characters", search=(0, 4, 5), ge=0, le=8,
    )  # fmt: skip
    least_texts: int = parameter(
        1, "Fewest texts", "In how many training texts a word or piece must occur to count.",
        group="Counting", unit="texts", search=(1, 2, 3), ge=1, le=100,
    )  # fmt: skip


class NaiveBayes(Algorithm[NaiveBayesParameters]):
    """Log-count ratios of words and pieces of words that occur, weighed by a support vector machine."""

    title: ClassVar[str] = "Naive Bayes with a support vector machine"
    description: ClassVar[str] = (
        "Weighs each word and piece of a word by how much more often it occurs in one class than in the others: "
        "quick, and strong where texts are short or hold opinions."
    )
    Parameters = NaiveBayesParameters

    def fit(self, data: TrainingData, parameters: NaiveBayesParameters, report: Report) -> Trained:
        return _texts.fit(data, _plan(data, parameters), report)

    def finish(self, data: TrainingData, trained: Trained, parameters: NaiveBayesParameters, report: Report) -> Trained:
        return _texts.finish(data, trained, _plan(data, parameters), report)


def _plan(data: TrainingData, parameters: NaiveBayesParameters) -> Plan:
    strengths = (parameters.inverse_strength,) if parameters.inverse_strength else TRIED
    return Plan(
        recipe=Recipe(words=parameters.words, longest=parameters.longest_piece, counts="binary"),
        least=parameters.least_texts,
        weighted=False,
        candidates=tuple(Candidate("hinge", strength) for strength in strengths),
        balance=False,
        solver=_Solver(len(data.signature.classes), parameters, data.seed),
    )


class _Solver:
    """One class against the others, each with its own ratios."""

    def __init__(self, classes: int, parameters: NaiveBayesParameters, seed: int) -> None:
        self._classes, self._parameters = classes, parameters
        self._linear = Linear(2, 300, seed)

    def __call__(self, matrix: Any, labels: NDArray[np.int64], candidate: Candidate) -> Weights:
        scores = scores_of(self._classes)
        found = [
            self._of_one((labels == (place if scores > 1 else 1)).astype(np.int64), matrix, candidate)
            for place in range(scores)
        ]
        slopes, intercepts = zip(*found, strict=True)
        return Weights(np.column_stack(slopes), np.array(intercepts))

    def _of_one(
        self, labels: NDArray[np.int64], matrix: Any, candidate: Candidate
    ) -> tuple[NDArray[np.float64], float]:
        from scipy.sparse import csr_array

        ratios = self._ratios(matrix, labels)
        scaled = csr_array((matrix.data * ratios[matrix.indices], matrix.indices, matrix.indptr), shape=matrix.shape)
        weights = self._linear(scaled, labels, candidate)
        slopes, share = weights.slopes[:, 0], self._parameters.interpolation
        mean = float(np.abs(slopes).mean())
        return ratios * ((1 - share) * mean + share * slopes), float(weights.intercepts[0])

    def _ratios(self, matrix: Any, labels: NDArray[np.int64]) -> NDArray[np.float32]:
        """The logarithm of how much more often each column occurs in the class than in the others."""
        smoothing = self._parameters.smoothing
        inside, outside = (np.asarray((labels == place) @ matrix) + smoothing for place in (1, 0))
        ratios: NDArray[np.float32] = np.log((inside / inside.sum()) / (outside / outside.sum())).astype(np.float32)
        return ratios
