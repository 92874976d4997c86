"""LightGBM for numbers: boosted trees with early stopping."""

from dataclasses import replace
from typing import ClassVar

from modelyard.algorithms.base import Algorithm, Report, Trained, TrainingData
from modelyard.algorithms.tabular import boosting, targets
from modelyard.algorithms.tabular.boosting import BoostingParameters, Goal

GOAL = Goal(objective="regression", metric="rmse", scores=1, link="identity")


class LightGBM(Algorithm[BoostingParameters]):
    """Learns the value, or its logarithm where that serves the validation rows better, by squared error."""

    title: ClassVar[str] = "LightGBM"
    description: ClassVar[str] = (
        "Gradient boosted decision trees: the usual best choice for tables. "
        "Takes categories and missing values as they are, and stops by itself."
    )
    Parameters = BoostingParameters

    def fit(self, data: TrainingData, parameters: BoostingParameters, report: Report) -> Trained:
        goal = GOAL
        if targets.skewed(data.labels, data.validation_labels):
            report.progress("trying the target's logarithm", 0.0)
            if boosting.helps_to_take_logarithms(data, parameters, goal):
                report.log("The trees learn the logarithm of the target: it serves the validation rows better.")
                goal = replace(goal, link="expm1")
        return boosting.fit(data, parameters, report, goal)

    def finish(self, data: TrainingData, trained: Trained, parameters: BoostingParameters, report: Report) -> Trained:
        return boosting.finish(data, trained, parameters, report)
