"""Extremely randomised trees for classes."""

from typing import ClassVar

from modelyard.algorithms.base import Algorithm, Report, Trained, TrainingData
from modelyard.algorithms.tabular import extra_trees, goals
from modelyard.algorithms.tabular.extra_trees import ExtraTreesParameters


class ExtraTrees(Algorithm[ExtraTreesParameters]):
    """Learns the probability of each class."""

    title: ClassVar[str] = "Extra trees"
    description: ClassVar[str] = (
        "Many trees of random splits, averaged: hardly ever the best alone, seldom bad, and different enough "
        "from boosting to help it."
    )
    Parameters = ExtraTreesParameters

    def fit(self, data: TrainingData, parameters: ExtraTreesParameters, report: Report) -> Trained:
        return extra_trees.fit(data, parameters, report, goals.of_classes(len(data.signature.classes)))

    def finish(self, data: TrainingData, trained: Trained, parameters: ExtraTreesParameters, report: Report) -> Trained:
        return extra_trees.finish(data, trained, parameters, report, goals.of_classes(len(data.signature.classes)))
