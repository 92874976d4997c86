"""What only the HTTP side of the gateway can find wrong."""

from modelyard.core.errors import Malformed, TimedOut, TooLarge


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
