"""How a job ends that cannot succeed: an error that carries what its page will say."""

from typing import Any

from modelyard.protocol.jobs import Failure


class JobFailed(Exception):
    """The job cannot be done, and why. Nothing of it may stay behind."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def failed(code: str, message: str, **detail: Any) -> JobFailed:
    """The error for `code`; `message` is a sentence for a person with the next step."""
    return JobFailed(Failure(code=code, message=message, detail=detail))
