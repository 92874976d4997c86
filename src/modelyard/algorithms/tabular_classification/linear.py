"""Logistic regression for tables."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from modelyard.algorithms.base import Algorithm, Report, Trained, TrainingData
from modelyard.algorithms.forms import Form, Search, parameter
from modelyard.algorithms.tabular import linear
from modelyard.algorithms.tabular.linear import Weights
from modelyard.algorithms.tabular.links import Link

TRIED = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
USUAL = 1.0


class LinearParameters(Form):
    """The form of logistic regression."""

    inverse_strength: float | None = parameter(
        None, "C",
        "Inverse of the L2 regularisation: small draws weights to zero. Empty: the validation rows choose.",
        search=Search(0.001, 100.0, log=True), ge=1e-4, le=1e4,
    )  # fmt: skip
    max_iterations: int = parameter(
        300, "Most iterations", "Of the solver (L-BFGS), for each regularisation that is tried.",
        unit="iterations", advanced=True, ge=10, le=10000,
    )  # fmt: skip


class Linear(Algorithm[LinearParameters]):
    """Logistic regression, multinomial for more than two classes, with L2 regularisation."""

    title: ClassVar[str] = "Logistic regression"
    description: ClassVar[str] = (
        "A linear model of scaled numbers and one-hot categories: quick, small, easy to explain, "
        "and hard to beat on small tables."
    )
    Parameters = LinearParameters

    def fit(self, data: TrainingData, parameters: LinearParameters, report: Report) -> Trained:
        chosen = parameters.inverse_strength
        return linear.fit(data, [_Solver(data, parameters)], (chosen,) if chosen else TRIED, USUAL, report)

    def finish(self, data: TrainingData, trained: Trained, parameters: LinearParameters, report: Report) -> Trained:
        return linear.finish(data, trained, _Solver(data, parameters), report)


class _Solver:
    """Minimises the mean log loss + |slopes|² / (2 C rows) by L-BFGS; each solution is where the next begins."""

    metric = "log_loss"

    def __init__(self, data: TrainingData, parameters: LinearParameters) -> None:
        classes = len(data.signature.classes)
        self.link: Link = "sigmoid" if classes == 2 else "softmax"
        self._scores = 1 if classes == 2 else classes
        self._iterations = parameters.max_iterations
        self._start: NDArray[np.float64] | None = None

    def solve(self, matrix: NDArray[np.float64], labels: NDArray[Any], strength: float) -> Weights:
        from scipy.optimize import minimize

        rows, columns = matrix.shape
        wanted = _wanted(labels, self._scores)
        penalty = 1 / (strength * rows)

        def objective(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            weights = flat.reshape(columns + 1, self._scores)
            raw = matrix @ weights[:-1] + weights[-1]
            loss, error = _loss(raw, wanted)
            gradient = np.concatenate([matrix.T @ error / rows, error.mean(axis=0, keepdims=True)])
            gradient[:-1] += penalty * weights[:-1]
            return loss / rows + 0.5 * penalty * float(np.sum(weights[:-1] ** 2)), gradient.ravel()

        if self._start is None or self._start.size != (columns + 1) * self._scores:
            self._start = np.zeros((columns + 1) * self._scores)
        options = {"maxiter": self._iterations, "ftol": 1e-9, "gtol": 1e-6}
        self._start = minimize(objective, self._start, jac=True, method="L-BFGS-B", options=options).x
        weights = self._start.reshape(columns + 1, self._scores)
        return Weights(weights[:-1].copy(), weights[-1].copy())

    def loss(self, answers: NDArray[np.float32], labels: NDArray[Any]) -> float:
        found = np.clip(answers[np.arange(len(labels)), labels], 1e-15, 1.0)
        return float(-np.log(found).mean())


def _wanted(labels: NDArray[Any], scores: int) -> NDArray[np.float64]:
    """What each score should become, shape (rows, scores)."""
    if scores == 1:
        return labels.astype(np.float64).reshape(-1, 1)
    wanted: NDArray[np.float64] = np.eye(scores)[labels]
    return wanted


def _loss(raw: NDArray[np.float64], wanted: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """The summed log loss, and its gradient by the raw scores."""
    if raw.shape[1] == 1:
        loss = np.logaddexp(0, raw) - wanted * raw
        return float(loss.sum()), 1 / (1 + np.exp(-np.clip(raw, -700, 700))) - wanted
    shifted = raw - raw.max(axis=1, keepdims=True)
    normaliser = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return float(-(wanted * (shifted - normaliser)).sum()), np.exp(shifted - normaliser) - wanted
