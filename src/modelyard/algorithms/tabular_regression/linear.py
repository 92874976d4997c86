"""Ridge regression for tables."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from modelyard.algorithms.base import Algorithm, Report, Trained, TrainingData
from modelyard.algorithms.forms import Form, Search, parameter
from modelyard.algorithms.tabular import linear, targets
from modelyard.algorithms.tabular.linear import LinearModel, Weights
from modelyard.algorithms.tabular.links import LARGEST, Link

TRIED = (0.1, 1.0, 3.0, 10.0, 30.0, 100.0, 1000.0)
USUAL = 1.0


class LinearParameters(Form):
    """The form of ridge regression."""

    strength: float | None = parameter(
        None, "Alpha",
        "The L2 regularisation: large draws the weights to zero. Empty: the validation rows choose.",
        search=Search(0.01, 1000.0, log=True), ge=1e-6, le=1e6,
    )  # fmt: skip


class Linear(Algorithm[LinearParameters]):
    """Least squares with L2 regularisation, of the value or its logarithm, as the validation rows decide."""

    title: ClassVar[str] = "Ridge regression"
    description: ClassVar[str] = (
        "A linear model of scaled numbers and one-hot categories: quick, small, easy to explain, "
        "and hard to beat on small tables."
    )
    Parameters = LinearParameters

    def fit(self, data: TrainingData, parameters: LinearParameters, report: Report) -> Trained:
        tried = (parameters.strength,) if parameters.strength else TRIED
        links: list[Link] = ["identity"]
        if targets.skewed(data.labels, data.validation_labels):
            links.append("expm1")
        return linear.fit(data, [_Solver(link) for link in links], tried, USUAL, report)

    def finish(self, data: TrainingData, trained: Trained, parameters: LinearParameters, report: Report) -> Trained:  # noqa: ARG002
        link: Link = trained.link if isinstance(trained, LinearModel) else "identity"
        return linear.finish(data, trained, _Solver(link), report)


class _Solver:
    """The normal equations, centred, so that the intercept stays free."""

    metric = "rmse"

    def __init__(self, link: Link) -> None:
        self.link: Link = link

    def solve(self, matrix: NDArray[np.float64], labels: NDArray[Any], strength: float) -> Weights:
        from scipy.linalg import solve

        values = np.log1p(labels) if self.link == "expm1" else labels
        means, mean = matrix.mean(axis=0), values.mean()
        centred = matrix - means
        gram = centred.T @ centred
        gram[np.diag_indices_from(gram)] += strength
        slopes = solve(gram, centred.T @ (values - mean), assume_a="pos")
        ceiling = float(values.max()) if self.link == "expm1" else LARGEST
        return Weights(slopes.reshape(-1, 1), np.array([mean - means @ slopes]), ceiling)

    def loss(self, answers: NDArray[np.float32], labels: NDArray[Any]) -> float:
        return float(np.sqrt(np.mean((answers[:, 0].astype(np.float64) - labels) ** 2)))
