"""Algorithm: empirical tail probabilities of the columns (ECOD, Li et al. 2022), and of random sums of two columns."""

from functools import partial

from modelyard.algorithms.anomaly_detection import _members
from modelyard.algorithms.anomaly_detection._rows import Plan, RowAlgorithm, RowForm
from modelyard.algorithms.forms import parameter


class Settings(RowForm):
    """Its form."""

    projections: int = parameter(
        0, "Projections",
        "Random sums of two columns whose tails are looked at instead of the columns' own. 0: the columns.",
        search=[0, 100, 300], ge=0, le=500,
    )  # fmt: skip


class Ecod(RowAlgorithm[Settings]):
    """Learns the sorted values of each dimension."""

    title = "Tail probabilities (ECOD)"
    description = (
        "Sums up how far out in its column each value lies. No parameters are needed, and it is easily explained."
    )
    Parameters = Settings

    def plan(self, parameters: Settings) -> Plan:
        if not parameters.projections:
            return Plan(members={"ecod": _members.tails})
        return Plan(members={"projections": partial(_members.projected_tails, projections=parameters.projections)})
