"""CatBoost for classes."""

from typing import ClassVar

from modelyard.algorithms.base import Algorithm, Report, Trained, TrainingData
from modelyard.algorithms.tabular import catboosting, goals
from modelyard.algorithms.tabular.catboosting import CatBoostParameters


class CatBoost(Algorithm[CatBoostParameters]):
    """Learns the probability of each class."""

    title: ClassVar[str] = "CatBoost"
    description: ClassVar[str] = (
        "Gradient boosted symmetric trees: often the best single model for tables with its default settings, "
        "and robust on small ones."
    )
    requires: ClassVar[tuple[str, ...]] = ("catboost",)
    Parameters = CatBoostParameters

    def fit(self, data: TrainingData, parameters: CatBoostParameters, report: Report) -> Trained:
        return catboosting.fit(data, parameters, report, goals.of_classes(len(data.signature.classes)))

    def finish(self, data: TrainingData, trained: Trained, parameters: CatBoostParameters, report: Report) -> Trained:
        return catboosting.finish(data, trained, parameters, report, goals.of_classes(len(data.signature.classes)))
