"""Algorithm: sliding likelihood ratio for a change of the mean (Willsky and Jones 1976; Lai 1995)."""

from modelyard.algorithms.anomaly_detection._series import SeriesAlgorithm, SeriesForm, deviations
from modelyard.algorithms.forms import Search, parameter
from modelyard.formats.series_anomaly import Settings


class Choices(SeriesForm):
    """Its form."""

    deviations: float = deviations(5.0)
    window: int = parameter(
        32, "Longest window", "Means of the last 2, 8, … rows up to this many are compared with those before.",
        search=[8, 32, 128], unit="rows", ge=2, le=2000,
    )  # fmt: skip
    reference: int = parameter(
        200, "Reference", "The mean before is that of so many rows.",
        search=Search(50, 1000, log=True), unit="rows", ge=10, le=10_000,
    )  # fmt: skip


class ChangePoints(SeriesAlgorithm[Choices]):
    """Keeps the end of each series."""

    title = "Change points"
    description = (
        "Finds moments where the level of the series changes and stays changed. "
        "Needs a time column; each row is judged by the rows before it alone."
    )
    Parameters = Choices

    def settings(self, parameters: Choices) -> Settings:
        return Settings("change", window=parameters.window, history=parameters.reference, silence=parameters.silence)
