"""The last season again: what every other method has to beat."""

from typing import ClassVar

from modelyard.algorithms.base import Algorithm, Report, Trained, TrainingData
from modelyard.algorithms.time_series_prediction import _learning
from modelyard.algorithms.time_series_prediction._forms import ForecastParameters


class SeasonalNaive(Algorithm[ForecastParameters]):
    """The last season again: what every other method has to beat."""

    title: ClassVar[str] = "Seasonal naive"
    description: ClassVar[str] = (
        "Repeats the last season, or the last value where there is none. "
        "Fast, and the yardstick for every other method."
    )
    Parameters = ForecastParameters

    def fit(self, data: TrainingData, parameters: ForecastParameters, report: Report) -> Trained:
        return _learning.fit(data, _learning.single("seasonal_naive", parameters), report)

    def finish(
        self, data: TrainingData, trained: Trained, parameters: ForecastParameters, report: Report  # noqa: ARG002
    ) -> Trained:  # fmt: skip
        return _learning.finish(data, _learning.single("seasonal_naive", parameters), report)
