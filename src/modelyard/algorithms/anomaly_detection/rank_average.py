"""Algorithm: several detectors on one scale of ranks; a row is as odd as the detector says that finds it oddest.

Which detector suits a table is not known without labels (Han et al. 2022, ADBench), and a plain average of ranks lets
one that sees nothing drown one that does. Here each detector's ranks become tail probabilities first, so that only what
is rare among the training rows counts, and the largest speaks. Labels, where there are some, choose weights instead.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

from modelyard.algorithms.anomaly_detection import _members
from modelyard.algorithms.anomaly_detection._members import Learn
from modelyard.algorithms.anomaly_detection._rows import Plan, RowAlgorithm, RowForm
from modelyard.algorithms.forms import Search, parameter
from modelyard.core.errors import Invalid


class Settings(RowForm):
    """Its form."""

    combination: Literal["largest", "mean"] = parameter(
        "largest", "Combination",
        "What counts without labels: the detector that finds a row oddest, or the mean of all. Labels choose weights.",
        search=["largest", "mean"],
    )  # fmt: skip
    isolation_forest: bool = parameter(True, "Isolation forest", "Whether random splits take part.", group="Detectors")
    ecod: bool = parameter(
        True, "Tails of columns", "Whether the tails of single columns take part.", group="Detectors"
    )
    projections: bool = parameter(
        True, "Tails of projections", "Whether the tails of random sums of two columns take part.", group="Detectors"
    )
    hbos: bool = parameter(False, "Histograms", "Whether histograms of single columns take part.", group="Detectors")
    knn: bool = parameter(False, "Neighbours", "Whether distances to training rows take part.", group="Detectors")
    trees: int = parameter(
        300, "Trees", "Trees of the isolation forest; more make its scores steadier and slower.",
        search=Search(100, 500, step=100), advanced=True, ge=10, le=1000,
    )  # fmt: skip
    directions: int = parameter(
        100, "Projections", "How many random sums of two columns are looked at.",
        when={"projections": True}, advanced=True, ge=10, le=500,
    )  # fmt: skip
    neighbours: int = parameter(
        20, "Neighbours", "How many training rows next to a row are looked at.",
        when={"knn": True}, search=Search(5, 40, log=True), advanced=True, ge=1, le=200,
    )  # fmt: skip


class RankAverage(RowAlgorithm[Settings]):
    """Learns each detector, then how they count."""

    title = "Several detectors together"
    description = (
        "Isolation forest, tails of columns and of random projections on one scale; the one that finds a row oddest "
        "counts. The safe choice for tables: labels are not needed, and used where they exist."
    )
    Parameters = Settings

    def plan(self, parameters: Settings) -> Plan:
        known: dict[str, Learn] = {
            "isolation_forest": partial(_members.forest, trees=parameters.trees, sample=256),
            "ecod": _members.tails,
            "projections": partial(_members.projected_tails, projections=parameters.directions),
            "hbos": partial(_members.histograms, bins=0),
            "knn": partial(_members.neighbours, count=parameters.neighbours, kept=2048),
        }
        wanted: Callable[[str], bool] = partial(getattr, parameters)
        members = {name: learn for name, learn in known.items() if wanted(name)}
        if not members:
            raise Invalid("No detector is chosen. Switch on at least one of them.")
        return Plan(members=members, combination=parameters.combination, untrimmed=frozenset({"ecod"}))
