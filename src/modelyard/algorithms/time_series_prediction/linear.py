"""One linear map from the last values of any series to the next ones (Zeng et al. 2023)."""

from typing import ClassVar

from modelyard.algorithms.base import Algorithm, Report, Trained, TrainingData
from modelyard.algorithms.time_series_prediction import _learning
from modelyard.algorithms.time_series_prediction._forms import LinearParameters


class Linear(Algorithm[LinearParameters]):
    """One linear map from the last values of any series to the next ones (Zeng et al. 2023)."""

    title: ClassVar[str] = "Linear map"
    description: ClassVar[str] = (
        "Learns from windows of all series how the next values follow from the last ones, by ridge regression. "
        "For long series or many of them; very fast."
    )
    Parameters = LinearParameters

    def fit(self, data: TrainingData, parameters: LinearParameters, report: Report) -> Trained:
        return _learning.fit(data, _learning.single("linear", parameters), report)

    def finish(
        self, data: TrainingData, trained: Trained, parameters: LinearParameters, report: Report  # noqa: ARG002
    ) -> Trained:  # fmt: skip
        return _learning.finish(data, _learning.single("linear", parameters), report)
