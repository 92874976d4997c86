"""What can go wrong with jobs and training."""

from modelyard.core.errors import Conflict, Invalid


class JobOver(Conflict):
    """The job has ended: its state never changes again."""

    code = "job_over"


class TargetMissing(Invalid):
    """The column to predict is not in the table."""

    code = "target_missing"


class BadParameters(Invalid):
    """A parameter does not fit the algorithm's form."""

    code = "bad_parameters"


class AlreadyRunning(Conflict):
    """A task runs once at a time."""

    code = "already_running"
