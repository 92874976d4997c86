"""Decomposition into trend and several seasons (MSTL), the rest by exponential smoothing."""

from typing import ClassVar

from modelyard.algorithms.base import Algorithm, Report, Trained, TrainingData
from modelyard.algorithms.time_series_prediction import _learning
from modelyard.algorithms.time_series_prediction._forms import ForecastParameters


class Mstl(Algorithm[ForecastParameters]):
    """Decomposition into trend and several seasons (MSTL), the rest by exponential smoothing."""

    title: ClassVar[str] = "Seasonal decomposition (MSTL)"
    description: ClassVar[str] = (
        "Splits each series into trend, one or two seasons and the rest, and continues each part. "
        "For hourly or daily series that repeat daily and weekly or weekly and yearly."
    )
    Parameters = ForecastParameters

    def fit(self, data: TrainingData, parameters: ForecastParameters, report: Report) -> Trained:
        return _learning.fit(data, _learning.single("mstl", parameters), report)

    def finish(
        self, data: TrainingData, trained: Trained, parameters: ForecastParameters, report: Report  # noqa: ARG002
    ) -> Trained:  # fmt: skip
        return _learning.finish(data, _learning.single("mstl", parameters), report)
