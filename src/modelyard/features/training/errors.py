"""What can go wrong with training."""

from modelyard.core.errors import Conflict, Invalid


class TargetMissing(Invalid):
    """The column to predict is not in the table."""

    code = "target_missing"


class WrongAlgorithm(Invalid):
    """The algorithm is for another kind of problem than the dataset."""

    code = "wrong_algorithm"


class AlreadyRunning(Conflict):
    """A task runs once at a time."""

    code = "already_running"


class NotRunning(Conflict):
    """Nothing runs that could be stopped."""

    code = "not_running"


class HasVersion(Conflict):
    """A run is where a version comes from, so it stays as long as the version does."""

    code = "has_version"
