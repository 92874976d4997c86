"""The methods that served each series best in a backtest, combined: the default."""

from typing import ClassVar, Literal

from modelyard.algorithms.base import Algorithm, Report, Trained, TrainingData
from modelyard.algorithms.forms import parameter
from modelyard.algorithms.time_series_prediction import _learning
from modelyard.algorithms.time_series_prediction._forms import LinearParameters, TreeParameters

Method = Literal["naive", "seasonal_naive", "ets", "theta", "mstl", "linear", "lightgbm"]


class AutomaticParameters(TreeParameters, LinearParameters):
    """The form of the automatic choice."""

    methods: tuple[Method, ...] = parameter(
        ("naive", "seasonal_naive", "ets", "theta", "mstl", "linear", "lightgbm"), "Methods",
        "What is tried. LightGBM takes part from about 20 series or long ones on.", group="Choice", min_length=1,
    )  # fmt: skip
    most: int = parameter(
        3, "Methods combined", "At most so many of the best methods are combined for each series.",
        group="Choice", ge=1, le=7, search=[1, 2, 3, 4],
    )  # fmt: skip
    combination: Literal["mean", "median"] = parameter(
        "mean", "Combination",
        "The mean, in which methods count the more the smaller their errors were, or the median.",
        group="Choice", search=["mean", "median"],
    )  # fmt: skip


class Automatic(Algorithm[AutomaticParameters]):
    """Chooses and combines for each series."""

    title: ClassVar[str] = "Automatic"
    description: ClassVar[str] = (
        "Tries every method on the held-back end of each series and combines the best. The choice for most purposes."
    )
    Parameters = AutomaticParameters

    def fit(self, data: TrainingData, parameters: AutomaticParameters, report: Report) -> Trained:
        return _learning.fit(data, _plan(parameters), report)

    def finish(
        self, data: TrainingData, trained: Trained, parameters: AutomaticParameters, report: Report  # noqa: ARG002
    ) -> Trained:  # fmt: skip
        return _learning.finish(data, _plan(parameters), report)


def _plan(parameters: AutomaticParameters) -> _learning.Plan:
    return _learning.Plan(
        methods=tuple(dict.fromkeys(parameters.methods)), most=parameters.most, combination=parameters.combination,
        common=parameters, linear=parameters, trees=parameters,
    )  # fmt: skip
