"""Algorithm: mean distance to the nearest training rows (Ramaswamy et al. 2000; Angiulli and Pizzuti 2002)."""

from functools import partial

from modelyard.algorithms.anomaly_detection import _members
from modelyard.algorithms.anomaly_detection._rows import Plan, RowAlgorithm, RowForm
from modelyard.algorithms.forms import Search, parameter


class Settings(RowForm):
    """Its form."""

    neighbours: int = parameter(
        20, "Neighbours", "How many training rows next to a row are looked at.",
        search=Search(5, 40, log=True), unit="rows", ge=1, le=200,
    )  # fmt: skip
    kept: int = parameter(
        1024, "Rows kept", "Training rows that a row is compared with, drawn at random; more are finer and slower.",
        search=[512, 1024, 2048, 4096], unit="rows", ge=50, le=16384,
    )  # fmt: skip


class Knn(RowAlgorithm[Settings]):
    """Keeps training rows to compare with."""

    title = "Nearest neighbours"
    description = (
        "Rows far from their nearest neighbours in the training set are odd. Sees what is odd only in combination."
    )
    Parameters = Settings

    def plan(self, parameters: Settings) -> Plan:
        neighbours = partial(_members.neighbours, count=parameters.neighbours, kept=parameters.kept)
        return Plan(members={"knn": neighbours})
