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


class UnreadableFile(Invalid):
    """An importer gave up on a file; the answer carries the importer's own code where it gave one."""

    code = "import_failed"

    @classmethod
    def of(cls, failure: Failure) -> "UnreadableFile":
        """The error for what an importer said."""
        error = cls(failure.message, detail=failure.detail, fields=failure.fields)
        error.code = failure.code  # type: ignore[misc]  # of the instance: what the importer said
        return error
