"""What the trees of every library are to learn in each scenario."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from modelyard.algorithms.tabular.links import Link


@dataclass(frozen=True, kw_only=True)
class Goal:
    """The objective and metric as LightGBM names them, the scores of a row, and the link to answers."""

    objective: Literal["binary", "multiclass", "regression"]
    metric: str
    scores: int
    link: Link

    def targets(self, labels: NDArray[Any]) -> NDArray[np.float64]:
        """The labels as the trees see them."""
        return np.log1p(labels) if self.link == "expm1" else labels.astype(np.float64)

    def loss(self, answers: NDArray[np.float32], labels: NDArray[Any]) -> float:
        """How wrong answers are: the log loss of classes, the root mean squared error of numbers."""
        if self.objective == "regression":
            return float(np.sqrt(np.mean((answers[:, 0].astype(np.float64) - labels) ** 2)))
        return float(-np.log(np.maximum(answers[np.arange(len(labels)), labels], 1e-15)).mean())


NUMBERS = Goal(objective="regression", metric="rmse", scores=1, link="identity")


def of_classes(classes: int) -> Goal:
    """The probability of each class, by log loss."""
    if classes == 2:
        return Goal(objective="binary", metric="binary_logloss", scores=1, link="sigmoid")
    return Goal(objective="multiclass", metric="multi_logloss", scores=classes, link="softmax")
