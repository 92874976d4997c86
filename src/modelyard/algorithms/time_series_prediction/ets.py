"""Exponential smoothing with trend and season (Hyndman et al. 2008)."""

from typing import ClassVar

from modelyard.algorithms.base import Algorithm, Report, Trained, TrainingData
from modelyard.algorithms.time_series_prediction import _learning
from modelyard.algorithms.time_series_prediction._forms import ForecastParameters


class Ets(Algorithm[ForecastParameters]):
    """Exponential smoothing with trend and season (Hyndman et al. 2008)."""

    title: ClassVar[str] = "Exponential smoothing (ETS)"
    description: ClassVar[str] = (
        "Level, trend and season that follow the series. Chooses by AICc for each series whether there is a trend, "
        "a season, and whether they add or multiply. Strong on short monthly and quarterly series."
    )
    Parameters = ForecastParameters

    def fit(self, data: TrainingData, parameters: ForecastParameters, report: Report) -> Trained:
        return _learning.fit(data, _learning.single("ets", parameters), report)

    def finish(
        self, data: TrainingData, trained: Trained, parameters: ForecastParameters, report: Report  # noqa: ARG002
    ) -> Trained:  # fmt: skip
        return _learning.finish(data, _learning.single("ets", parameters), report)
