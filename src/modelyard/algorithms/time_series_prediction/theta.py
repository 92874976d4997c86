"""The theta method (Assimakopoulos and Nikolopoulos 2000), which won the M3 competition."""

from typing import ClassVar

from modelyard.algorithms.base import Algorithm, Report, Trained, TrainingData
from modelyard.algorithms.time_series_prediction import _learning
from modelyard.algorithms.time_series_prediction._forms import ForecastParameters


class Theta(Algorithm[ForecastParameters]):
    """The theta method (Assimakopoulos and Nikolopoulos 2000), which won the M3 competition."""

    title: ClassVar[str] = "Theta"
    description: ClassVar[str] = (
        "Exponential smoothing with half the slope of the long trend, the season taken out before. "
        "Simple, robust, hard to beat on short series."
    )
    Parameters = ForecastParameters

    def fit(self, data: TrainingData, parameters: ForecastParameters, report: Report) -> Trained:
        return _learning.fit(data, _learning.single("theta", parameters), report)

    def finish(
        self, data: TrainingData, trained: Trained, parameters: ForecastParameters, report: Report  # noqa: ARG002
    ) -> Trained:  # fmt: skip
        return _learning.finish(data, _learning.single("theta", parameters), report)
