"""LightGBM for classes: boosted trees with early stopping."""

from typing import ClassVar

from modelyard.algorithms.base import Algorithm, Report, Trained, TrainingData
from modelyard.algorithms.tabular import boosting, goals
from modelyard.algorithms.tabular.boosting import BoostingParameters


class LightGBM(Algorithm[BoostingParameters]):
    """Learns the probability of each class by log loss."""

    title: ClassVar[str] = "LightGBM"
    description: ClassVar[str] = (
        "Gradient boosted decision trees: the usual best choice for tables. "
        "Takes categories and missing values as they are, and stops by itself."
    )
    Parameters = BoostingParameters

    def fit(self, data: TrainingData, parameters: BoostingParameters, report: Report) -> Trained:
        return boosting.fit(data, parameters, report, goals.of_classes(len(data.signature.classes)))

    def finish(self, data: TrainingData, trained: Trained, parameters: BoostingParameters, report: Report) -> Trained:
        return boosting.finish(data, trained, parameters, report)
