"""XGBoost for numbers."""

from typing import ClassVar

from modelyard.algorithms.base import Algorithm, Report, Trained, TrainingData
from modelyard.algorithms.tabular import boosting, xgboosting
from modelyard.algorithms.tabular.boosting import BoostingParameters
from modelyard.algorithms.tabular.forest import goal_of
from modelyard.algorithms.tabular.xgboosting import XGBoostParameters


class XGBoost(Algorithm[XGBoostParameters]):
    """Learns the value, or its logarithm where that serves the validation rows better."""

    title: ClassVar[str] = "XGBoost"
    description: ClassVar[str] = (
        "Gradient boosted trees that grow level by level: close to LightGBM, and sometimes better. Takes "
        "categories and missing values as they are."
    )
    requires: ClassVar[tuple[str, ...]] = ("xgboost",)
    Parameters = XGBoostParameters

    def fit(self, data: TrainingData, parameters: XGBoostParameters, report: Report) -> Trained:
        return xgboosting.fit(data, parameters, report, boosting.goal_of_numbers(data, BoostingParameters(), report))

    def finish(self, data: TrainingData, trained: Trained, parameters: XGBoostParameters, report: Report) -> Trained:
        return xgboosting.finish(data, trained, parameters, report, goal_of(trained))
