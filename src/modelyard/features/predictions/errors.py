"""What can go wrong with batch predictions."""

from modelyard.core.errors import Conflict, Invalid


class NoRowsNamed(Invalid):
    """It is not said which rows are to be predicted, or twice."""

    code = "no_rows_named"


class BatchGoing(Conflict):
    """The job has not ended."""

    code = "batch_going"


class NoResult(Conflict):
    """There is no file: the job failed or was stopped."""

    code = "no_result"
