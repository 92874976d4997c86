"""Algorithm: what is left after season and level, judged as in Numenta's anomaly likelihood (Ahmad et al. 2017)."""

from modelyard.algorithms.anomaly_detection._series import SeriesAlgorithm, SeriesForm, deviations
from modelyard.algorithms.forms import Search, parameter
from modelyard.formats.series_anomaly import Settings


class Choices(SeriesForm):
    """Its form."""

    deviations: float = deviations(5.0)
    period: int = parameter(
        0, "Period", "Rows after which the series repeats itself. 0: found by autocorrelation, in each series.",
        unit="rows", ge=0, le=100_000,
    )  # fmt: skip
    span: int = parameter(
        20, "Level", "The level is the median of so many rows.",
        search=Search(5, 100, log=True), unit="rows", ge=1, le=2000,
    )  # fmt: skip
    short: int = parameter(
        3, "Short window", "Beside single rows, the mean of so many is judged.",
        search=Search(2, 20, log=True), unit="rows", ge=1, le=500,
    )  # fmt: skip


class SeasonalResidual(SeriesAlgorithm[Choices]):
    """Keeps the usual course of a period, and the end of each series."""

    title = "Seasonal residual"
    description = (
        "Takes off the season and the running median, and finds rows where much is left. "
        "Needs a time column; each row is judged by the rows before it alone."
    )
    Parameters = Choices

    def settings(self, parameters: Choices) -> Settings:
        return Settings("residual", window=parameters.short, history=parameters.span, silence=parameters.silence)

    def period(self, parameters: Choices) -> int | None:
        return parameters.period
