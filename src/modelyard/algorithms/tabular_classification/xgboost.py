"""XGBoost for classes."""

from typing import ClassVar

from modelyard.algorithms.base import Algorithm, Report, Trained, TrainingData
from modelyard.algorithms.tabular import goals, xgboosting
from modelyard.algorithms.tabular.xgboosting import XGBoostParameters


class XGBoost(Algorithm[XGBoostParameters]):
    """Learns the probability of each class."""

    title: ClassVar[str] = "XGBoost"
    description: ClassVar[str] = (
        "Gradient boosted trees that grow level by level: close to LightGBM, and sometimes better. Takes "
        "categories and missing values as they are."
    )
    requires: ClassVar[tuple[str, ...]] = ("xgboost",)
    Parameters = XGBoostParameters

    def fit(self, data: TrainingData, parameters: XGBoostParameters, report: Report) -> Trained:
        return xgboosting.fit(data, parameters, report, goals.of_classes(len(data.signature.classes)))

    def finish(self, data: TrainingData, trained: Trained, parameters: XGBoostParameters, report: Report) -> Trained:
        return xgboosting.finish(data, trained, parameters, report, goals.of_classes(len(data.signature.classes)))
