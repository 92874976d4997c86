"""Algorithm: isolation forest (Liu, Ting and Zhou 2008): odd rows are told apart by few random splits."""

from functools import partial

from modelyard.algorithms.anomaly_detection import _members
from modelyard.algorithms.anomaly_detection._rows import Plan, RowAlgorithm, RowForm
from modelyard.algorithms.forms import Search, parameter


class Settings(RowForm):
    """Its form."""

    trees: int = parameter(
        300, "Trees", "More trees make the scores steadier and slower.",
        search=Search(100, 500, step=100), ge=10, le=1000,
    )  # fmt: skip
    sample: int = parameter(
        256, "Rows per tree", "Rows that each tree is made from. Few of them keep anomalies from hiding each other.",
        search=Search(64, 1024, log=True), unit="rows", ge=2, le=8192,
    )  # fmt: skip


class IsolationForest(RowAlgorithm[Settings]):
    """Learns the trees and serves them as a graph."""

    title = "Isolation forest"
    description = (
        "Random trees tell odd rows apart with few splits. Fast, and finds what is odd in several columns at once."
    )
    Parameters = Settings

    def plan(self, parameters: Settings) -> Plan:
        forest = partial(_members.forest, trees=parameters.trees, sample=parameters.sample)
        return Plan(members={"isolation_forest": forest})
