"""Algorithm: left matrix profile (Yeh et al. 2016): stretches of a series that nothing before them resembles."""

from modelyard.algorithms.anomaly_detection._series import SeriesAlgorithm, SeriesForm
from modelyard.algorithms.forms import parameter
from modelyard.formats.series_anomaly import Settings


class Choices(SeriesForm):
    """Its form."""

    window: int = parameter(
        4, "Longest stretch", "Stretches of 1, 2, 4, … rows up to this many are compared with the past.",
        search=[1, 2, 4, 8, 16], unit="rows", ge=1, le=256,
    )  # fmt: skip
    history: int = parameter(
        2000, "History", "How many rows back a stretch is looked for. More is surer and slower.",
        search=[1000, 2000, 4000], unit="rows", ge=100, le=20_000,
    )  # fmt: skip


class MatrixProfile(SeriesAlgorithm[Choices]):
    """Keeps the end of each series, with what its rows were measured at."""

    title = "Matrix profile"
    description = (
        "Finds values and short stretches unlike anything before in the series. "
        "Needs a time column; each row is judged by the rows before it alone. The safe choice for series."
    )
    Parameters = Choices

    def settings(self, parameters: Choices) -> Settings:
        return Settings("profile", window=parameters.window, history=parameters.history, silence=parameters.silence)
