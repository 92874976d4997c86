"""Finding the regularisation of a linear model by cross-validation, and making its scores probabilities.

Every candidate is learned on part of the rows and scored on the others. Those scores are calibrated, and the candidate
with the least log loss is chosen: what is compared is how well it separates, not how it happens to be scaled.
"""

import time
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from modelyard.algorithms.base import Report
from modelyard.algorithms.tabular import threads
from modelyard.formats.text import probabilities, scores_of

Loss = Literal["hinge", "logistic"]
Fold = tuple[NDArray[np.intp], NDArray[np.intp]]
"""The rows that are learned from, and those that are scored."""

FIVE_FOLDS, THREE_FOLDS = 5_000_000, 30_000_000
"""Up to so many products (entries of the matrix times scores) that many folds; beyond, only the validation rows."""

IMBALANCED = 3.0
"""How many times as often as the rarest class the most frequent one must occur for weights of classes to be tried."""


RIDGE = 0.1
"""How much calibration is drawn to zero: enough to choose among what is equally good."""


class Candidate(NamedTuple):
    """One way to learn: the loss, C (the inverse of the regularisation), and whether rare classes weigh more."""

    loss: Loss
    strength: float
    balanced: bool = False

    def __str__(self) -> str:
        return f"{self.loss} loss, C {self.strength:g}{', rare classes weigh more' if self.balanced else ''}"


class Weights(NamedTuple):
    """Of a linear model: shape (columns, scores) and (scores,)."""

    slopes: NDArray[np.float64]
    intercepts: NDArray[np.float64]


class Calibration(NamedTuple):
    """Raw scores times `scale` plus `biases` are what the link takes (Platt 1999; of more classes Guo et al. 2017)."""

    scale: float
    biases: NDArray[np.float64]

    def apply(self, weights: Weights) -> Weights:
        """Weights whose scores are calibrated."""
        return Weights(weights.slopes * self.scale, weights.intercepts * self.scale + self.biases)


class Solver(Protocol):
    """How weights are found; `matrix` is dense or sparse."""

    def __call__(self, matrix: Any, labels: NDArray[np.int64], candidate: Candidate) -> Weights:
        """Of all scores (one for two classes, else one each)."""
        ...


class Found(NamedTuple):
    """What a search chose, and the calibrated scores of the rows that were held out for it."""

    candidate: Candidate
    calibration: Calibration
    held_out: NDArray[np.intp]
    raw: NDArray[np.float64]


def search(
    matrix: Any, labels: NDArray[np.int64], classes: int, candidates: Sequence[Candidate], folds: Sequence[Fold],
    solver: Solver, report: Report, *, balance: bool,
) -> Found:  # fmt: skip
    """The candidate with the least log loss on rows that it did not learn from.

    With `balance` the best one is tried once more with rare classes weighing more, where classes are imbalanced.
    """
    held_out = np.concatenate([held for _, held in folds])
    counts = np.bincount(labels)
    uneven = balance and counts.max() > IMBALANCED * max(1, counts[counts > 0].min())
    steps = (len(candidates) + uneven) * len(folds)
    follow = _follow(report, steps)
    losses: list[float] = []
    tried: list[Found] = []
    for step in range(len(candidates) + uneven):
        best = tried[int(np.argmin(losses))] if losses else None
        candidate = (
            candidates[step] if step < len(candidates) or best is None else best.candidate._replace(balanced=True)
        )
        raw = []
        for learned, held in folds:
            weights = solver(matrix[learned], labels[learned], candidate)
            raw.append(np.asarray(matrix[held] @ weights.slopes) + weights.intercepts)
            next(follow)
        scores = np.concatenate(raw)
        calibration = calibrated(scores, labels[held_out], classes)
        scores = scores * calibration.scale + calibration.biases
        answers = probabilities(scores)
        losses.append(log_loss(answers, labels[held_out]))
        report.metric("log_loss", step + 1, losses[-1])
        report.metric("accuracy", step + 1, float(np.mean(answers.argmax(axis=1) == labels[held_out])))
        tried.append(Found(candidate, calibration, held_out, scores))
    found = tried[int(np.argmin(losses))]
    report.log(f"Chosen of {len(tried)} candidates by log loss on held-out rows: {found.candidate}.")
    return found


def _follow(report: Report, steps: int) -> Iterator[None]:
    started = time.monotonic()
    for step in range(1, steps + 1):
        eta = (time.monotonic() - started) / step * (steps - step)
        report.progress("trying regularisations", step / steps, eta)
        yield


def folds_of(labels: NDArray[np.int64], validation: int, products: int, seed: int) -> list[Fold]:
    """How rows are held out: in stratified folds, or once, the last `validation` rows, where there is much to compute.

    Where there are no validation rows then, one of seven folds is held out once.
    """
    rows = len(labels)
    if products > THREE_FOLDS and validation:
        return [(np.arange(rows - validation), np.arange(rows - validation, rows))]
    number = 5 if products <= FIVE_FOLDS else 3 if products <= THREE_FOLDS else 7
    random = np.random.default_rng(seed)
    shuffled = random.permutation(rows)
    # Rows of one class go round the folds one after the other, so that each fold has its share of each class.
    order = shuffled[np.argsort(labels[shuffled], kind="stable")]
    fold = np.empty(rows, np.intp)
    fold[order] = np.arange(rows) % min(number, rows)
    found = [(np.flatnonzero(fold != held), np.flatnonzero(fold == held)) for held in range(min(number, rows))]
    return found[:1] if number == 7 else found


class Linear:
    """Squared hinge loss (LIBLINEAR's dual coordinate descent, Hsieh et al. 2008) or logistic loss (L-BFGS)."""

    def __init__(self, classes: int, iterations: int, seed: int) -> None:
        self._classes, self._iterations, self._seed = classes, iterations, seed % 2**31

    def __call__(self, matrix: Any, labels: NDArray[np.int64], candidate: Candidate) -> Weights:
        from sklearn.linear_model import LogisticRegression
        from sklearn.svm import LinearSVC

        present = np.unique(labels)
        scores = scores_of(self._classes)
        if len(present) == 1:
            return _only(matrix.shape[1], int(present[0]), scores)
        settings = {"C": candidate.strength, "class_weight": "balanced" if candidate.balanced else None}
        if candidate.loss == "hinge":
            model = LinearSVC(**settings, max_iter=self._iterations, random_state=self._seed)
        else:
            model = LogisticRegression(**settings, max_iter=self._iterations, tol=1e-3)
        with warnings.catch_warnings(), threads.limited(0):
            # Not quite at the minimum is no worse on rows that are held out.
            warnings.simplefilter("ignore")
            model.fit(matrix, labels)
        return _spread(model.coef_.T, model.intercept_, present, scores)


def _only(columns: int, label: int, scores: int) -> Weights:
    """Weights that always answer the one class there is."""
    intercepts = np.where(np.arange(scores) == label, 1.0, -1.0) if scores > 1 else np.array([2.0 * label - 1])
    return Weights(np.zeros((columns, scores)), intercepts)


def _spread(
    slopes: NDArray[np.float64], intercepts: NDArray[np.float64], present: NDArray[np.int64], scores: int
) -> Weights:
    """Weights of all classes from those of the classes that had rows; the others are never answered first."""
    if slopes.shape[1] == 1 and scores > 1:
        slopes, intercepts = np.concatenate([-slopes, slopes], axis=1), np.concatenate([-intercepts, intercepts])
    if slopes.shape[1] == scores:
        return Weights(slopes, intercepts)
    every = Weights(np.zeros((len(slopes), scores)), np.full(scores, float(intercepts.min()) - 1))
    every.slopes[:, present] = slopes
    every.intercepts[present] = intercepts
    return every


def calibrated(raw: NDArray[np.float64], labels: NDArray[np.int64], classes: int) -> Calibration:
    """The scale and biases with the least log loss on held-out rows.

    Targets are a little less than certain, as by Platt (1999): a class of n rows is wanted with (n + 1) / (n + 2).
    """
    from scipy.optimize import minimize

    rows, scores = raw.shape
    counts = np.bincount(labels, minlength=classes)
    certain = ((counts + 1) / (counts + 2))[labels]
    wanted = np.repeat(((1 - certain) / (classes - 1))[:, None], classes, axis=1)
    wanted[np.arange(rows), labels] = certain
    # Centred and scaled, so that the little that draws the point to zero draws no score anywhere in particular.
    middle = raw.mean(axis=0)
    spread = max(float((raw - middle).std()), 1e-9)
    scaled = (raw - middle) / spread

    def objective(point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scale, biases = np.exp(point[0]), point[1:]
        shares = probabilities(scaled * scale + biases)
        error = (shares - wanted) if scores > 1 else (shares - wanted)[:, 1:]
        loss = -float(np.sum(wanted * np.log(np.maximum(shares, 1e-300)))) + 0.5 * RIDGE * float(point @ point)
        gradient = np.array([float(np.sum(error * scaled)) * scale, *error.sum(axis=0)])
        return loss, gradient + RIDGE * point

    bounds = [(-8.0, 8.0), *[(-20.0, 20.0)] * scores]
    point = minimize(objective, np.zeros(1 + scores), jac=True, method="L-BFGS-B", bounds=bounds).x
    scale = float(np.exp(point[0])) / spread
    return Calibration(scale, point[1:] - scale * middle)


def log_loss(answers: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The mean negative logarithm of the probability of the true class."""
    return float(-np.log(np.maximum(answers[np.arange(len(labels)), labels], 1e-15)).mean())
