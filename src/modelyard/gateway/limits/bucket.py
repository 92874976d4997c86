"""One limit: a token bucket, kept as a moment.

A bucket that gains `rate` tokens a second is a moment that every token spent moves on by 1 / rate seconds: the moment
at which it is full again (the generic cell rate algorithm in its virtual scheduling form, ITU-T I.371). So nothing has
to be refilled, and processes agree on a bucket by agreeing on a moment.
"""

import math

BURST_SECONDS = 1.0
"""A bucket holds what its rate gives in this time, and one token at the least."""

ROUNDING_SECONDS = 1e-6
"""By so much a token may come early: sums of floats are not exact, and a burst of three has to be three."""

LONGEST = 1e9
"""A token costs no more seconds than this, so that sums of them stay finite."""


class Bucket:
    """One bucket. `cost` is the seconds that a token takes to come back, `slack` those that all but one token take.

    `free_at` is when there is a token again, on the owner's clock. `spent` are the seconds that were spent since the
    ledger was told.
    """

    __slots__ = ("cost", "free_at", "name", "slack", "spent")

    def __init__(self, name: str, rate: float) -> None:
        self.name = name
        self.cost = min(1 / rate, LONGEST)
        self.slack = max(0.0, BURST_SECONDS - self.cost) + ROUNDING_SECONDS
        self.free_at = -math.inf
        self.spent = 0.0

    def spend(self, now: float, seconds: float) -> None:
        """Take tokens that take so many seconds to come back, whether they are there or not."""
        self.free_at = max(self.free_at, now - self.slack) + seconds
        self.spent += seconds

    def learn(self, full_at: float) -> None:
        """Take over what others have spent: with that, and what was not told yet, it is full at `full_at`."""
        self.free_at = max(self.free_at, full_at - self.slack)

    def is_full(self, now: float) -> bool:
        """Whether it is as good as new."""
        return not self.spent and self.free_at <= now - self.slack
