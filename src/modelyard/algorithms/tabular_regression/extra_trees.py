"""Extremely randomised trees for numbers."""

from typing import ClassVar

from modelyard.algorithms.base import Algorithm, Report, Trained, TrainingData
from modelyard.algorithms.tabular import boosting, extra_trees
from modelyard.algorithms.tabular.boosting import BoostingParameters
from modelyard.algorithms.tabular.extra_trees import ExtraTreesParameters
from modelyard.algorithms.tabular.forest import goal_of


class ExtraTrees(Algorithm[ExtraTreesParameters]):
    """Learns the value, or its logarithm where that serves the validation rows better."""

    title: ClassVar[str] = "Extra trees"
    description: ClassVar[str] = (
        "Many trees of random splits, averaged: hardly ever the best alone, seldom bad, and different enough "
        "from boosting to help it."
    )
    Parameters = ExtraTreesParameters

    def fit(self, data: TrainingData, parameters: ExtraTreesParameters, report: Report) -> Trained:
        return extra_trees.fit(data, parameters, report, boosting.goal_of_numbers(data, BoostingParameters(), report))

    def finish(self, data: TrainingData, trained: Trained, parameters: ExtraTreesParameters, report: Report) -> Trained:
        return extra_trees.finish(data, trained, parameters, report, goal_of(trained))
