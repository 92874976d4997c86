"""LightGBM for numbers: boosted trees with early stopping."""

from typing import ClassVar

from modelyard.algorithms.base import Algorithm, Report, Trained, TrainingData
from modelyard.algorithms.tabular import boosting
from modelyard.algorithms.tabular.boosting import BoostingParameters


class LightGBM(Algorithm[BoostingParameters]):
    """Learns the value, or its logarithm where that serves the validation rows better, by squared error."""

    title: ClassVar[str] = "LightGBM"
    description: ClassVar[str] = (
        "Gradient boosted decision trees: the usual best choice for tables. "
        "Takes categories and missing values as they are, and stops by itself."
    )
    Parameters = BoostingParameters

    def fit(self, data: TrainingData, parameters: BoostingParameters, report: Report) -> Trained:
        return boosting.fit(data, parameters, report, boosting.goal_of_numbers(data, parameters, report))

    def finish(self, data: TrainingData, trained: Trained, parameters: BoostingParameters, report: Report) -> Trained:
        return boosting.finish(data, trained, parameters, report)
