"""Tables: which class a row belongs to."""

from modelyard.algorithms.scenarios._tables import TableScenario, check_rows
from modelyard.algorithms.scenarios.base import Aim
from modelyard.algorithms.tabular import labels
from modelyard.algorithms.tabular.table import Table


class TabularClassification(TableScenario):
    """Answers the probability of each class."""

    def classes(self, training: Table, aim: Aim) -> labels.Classes:
        # With one row there is one class: what is wrong is that there is one row.
        check_rows(training.rows)
        return labels.classes(training[aim.target], aim.positive)
