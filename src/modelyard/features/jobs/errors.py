"""What can go wrong with jobs."""

from modelyard.core.errors import Conflict


class JobOver(Conflict):
    """The job has ended: its state never changes again."""

    code = "job_over"
