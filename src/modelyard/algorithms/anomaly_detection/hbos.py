"""Algorithm: histograms of the columns (HBOS, Goldstein and Dengel 2012): values in low bins are odd."""

from functools import partial

from modelyard.algorithms.anomaly_detection import _members, _rows
from modelyard.algorithms.anomaly_detection._rows import Plan, RowForm
from modelyard.algorithms.base import Algorithm, Report, Trained, TrainingData
from modelyard.algorithms.forms import parameter


class Settings(RowForm):
    """Its form."""

    bins: int = parameter(
        0, "Bins", "Bins of each column's histogram. 0: the square root of the rows, between 10 and 50.",
        search=[0, 10, 20, 50], ge=0, le=200,
    )  # fmt: skip


class Hbos(Algorithm[Settings]):
    """Learns a histogram of each column."""

    title = "Histograms (HBOS)"
    description = (
        "Sums up how rarely each column has such a value. Very fast; sees gaps in the middle of a column as well."
    )
    Parameters = Settings

    def fit(self, data: TrainingData, parameters: Settings, report: Report) -> Trained:
        return _rows.fit(data, _plan(parameters), parameters, report)

    def finish(self, data: TrainingData, trained: Trained, parameters: Settings, report: Report) -> Trained:
        return _rows.finish(data, trained, _plan(parameters), parameters, report)


def _plan(parameters: Settings) -> Plan:
    return Plan(members={"hbos": partial(_members.histograms, bins=parameters.bins)})
