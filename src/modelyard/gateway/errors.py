"""What only the gateway can find wrong."""

from collections.abc import Sequence

from modelyard.core.errors import Malformed, TimedOut, TooLarge, Unavailable


class HeadTooLarge(TooLarge):
    """The request line and headers are longer than the limit (RFC 6585)."""

    status = 431
    code = "head_too_large"


class TooSlow(TimedOut):
    """The request did not arrive in time (RFC 9110, 15.5.9)."""

    status = 408
    code = "request_timed_out"


class UpgradeRefused(Malformed):
    """A request that has a body and asks for another protocol: no telling where it ends."""

    code = "upgrade_refused"


class Unready(Unavailable):
    """No version that was asked for is ready; `labels` are those that would have done."""

    code = "unready"

    def __init__(self, message: str, *, labels: Sequence[str], retry_after: float) -> None:
        super().__init__(message, retry_after=retry_after)
        self.labels = tuple(labels)
