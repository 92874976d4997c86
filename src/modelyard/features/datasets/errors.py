"""What can go wrong with datasets."""

from modelyard.core.errors import Conflict, Invalid
from modelyard.protocol.jobs import Failure


class NameTaken(Conflict):
    """Another dataset has this name."""

    code = "name_taken"


class EmptyDataset(Invalid):
    """There is nothing to release."""

    code = "empty_dataset"


class ColumnsDiffer(Invalid):
    """The files of a dataset do not have the same columns."""

    code = "columns_differ"


class WrongScenario(Invalid):
    """The scenario is unknown, or does not take this."""

    code = "wrong_scenario"


class BadFilter(Invalid):
    """A condition on rows cannot be understood, or does not fit its column."""

    code = "bad_filter"


class BadValue(Invalid):
    """A value does not fit its column, or the column may not be changed."""

    code = "bad_value"


class BadSplit(Invalid):
    """Rows cannot be divided like that."""

    code = "bad_split"


class Changed(Conflict):
    """Somebody else changed the dataset at the same time."""

    code = "changed_meanwhile"


class WrongState(Conflict):
    """A release is not in the state that this needs."""

    code = "wrong_state"


class UnreadableFile(Invalid):
    """An importer gave up on a file; the answer carries the importer's own code where it gave one."""

    code = "import_failed"

    @classmethod
    def of(cls, failure: Failure) -> "UnreadableFile":
        """The error for what an importer said."""
        error = cls(failure.message, detail=failure.detail, fields=failure.fields)
        error.code = failure.code  # type: ignore[misc]  # of the instance: what the importer said
        return error
