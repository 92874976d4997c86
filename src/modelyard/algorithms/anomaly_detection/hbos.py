"""Algorithm: histograms of the columns (HBOS, Goldstein and Dengel 2012): values in low bins are odd."""

from functools import partial

from modelyard.algorithms.anomaly_detection import _members
from modelyard.algorithms.anomaly_detection._rows import Plan, RowAlgorithm, RowForm
from modelyard.algorithms.forms import parameter


class Settings(RowForm):
    """Its form."""

    bins: int = parameter(
        0, "Bins", "Bins of each column's histogram. 0: the square root of the rows, between 10 and 50.",
        search=[0, 10, 20, 50], ge=0, le=200,
    )  # fmt: skip


class Hbos(RowAlgorithm[Settings]):
    """Learns a histogram of each column."""

    title = "Histograms (HBOS)"
    description = (
        "Sums up how rarely each column has such a value. Very fast; sees gaps in the middle of a column as well."
    )
    Parameters = Settings

    def plan(self, parameters: Settings) -> Plan:
        return Plan(members={"hbos": partial(_members.histograms, bins=parameters.bins)})
