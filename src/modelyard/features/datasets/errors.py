"""What can go wrong with datasets."""

from modelyard.core.errors import Conflict, Invalid


class NameTaken(Conflict):
    """Another dataset has this name."""

    code = "name_taken"


class InUse(Conflict):
    """Something else needs it; the message names who."""

    code = "in_use"


class EmptyDataset(Invalid):
    """There is nothing to release."""

    code = "empty_dataset"


class ColumnsDiffer(Invalid):
    """The files of a dataset do not have the same columns."""

    code = "columns_differ"


class WrongScenario(Invalid):
    """The scenario is unknown, or does not take this."""

    code = "wrong_scenario"
