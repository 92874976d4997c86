"""CatBoost for numbers."""

from typing import ClassVar

from modelyard.algorithms.base import Algorithm, Report, Trained, TrainingData
from modelyard.algorithms.tabular import boosting, catboosting
from modelyard.algorithms.tabular.boosting import BoostingParameters
from modelyard.algorithms.tabular.catboosting import CatBoostParameters
from modelyard.algorithms.tabular.forest import goal_of


class CatBoost(Algorithm[CatBoostParameters]):
    """Learns the value, or its logarithm where that serves the validation rows better."""

    title: ClassVar[str] = "CatBoost"
    description: ClassVar[str] = (
        "Gradient boosted symmetric trees: often the best single model for tables with its default settings, "
        "and robust on small ones."
    )
    requires: ClassVar[tuple[str, ...]] = ("catboost",)
    Parameters = CatBoostParameters

    def fit(self, data: TrainingData, parameters: CatBoostParameters, report: Report) -> Trained:
        return catboosting.fit(data, parameters, report, boosting.goal_of_numbers(data, BoostingParameters(), report))

    def finish(self, data: TrainingData, trained: Trained, parameters: CatBoostParameters, report: Report) -> Trained:
        return catboosting.finish(data, trained, parameters, report, goal_of(trained))
