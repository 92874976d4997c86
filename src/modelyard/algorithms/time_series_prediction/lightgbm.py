"""Boosted trees over all series (LightGBM): lags, means, calendar, further columns."""

from typing import ClassVar

from modelyard.algorithms.base import Algorithm, Report, Trained, TrainingData
from modelyard.algorithms.time_series_prediction import _learning
from modelyard.algorithms.time_series_prediction._forms import TreeParameters


class LightGBM(Algorithm[TreeParameters]):
    """Boosted trees over all series (LightGBM): lags, means, calendar, further columns."""

    title: ClassVar[str] = "LightGBM"
    description: ClassVar[str] = (
        "One model of boosted trees for all series, from about 20 series or long ones on. "
        "The only method that uses further columns, such as prices or holidays."
    )
    Parameters = TreeParameters

    def fit(self, data: TrainingData, parameters: TreeParameters, report: Report) -> Trained:
        return _learning.fit(data, _learning.single("lightgbm", parameters), report)

    def finish(
        self, data: TrainingData, trained: Trained, parameters: TreeParameters, report: Report  # noqa: ARG002
    ) -> Trained:  # fmt: skip
        return _learning.finish(data, _learning.single("lightgbm", parameters), report)
