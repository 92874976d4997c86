"""What all ledgers have in common."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

Spent = Sequence[tuple[str, float]]
"""Buckets by name, each with the seconds that were spent of it since the last exchange."""


class Ledger(ABC):
    """Where gateways add up what they spend. It keeps of each bucket when it is full, on a clock of its own."""

    @abstractmethod
    async def exchange(self, spent: Spent) -> Sequence[float]:
        """Add what was spent, in one step; in how many seconds each of these buckets is full.

        Raises Unavailable, saying why, where that is not possible now. Nothing spent asks whether it is.
        """

    @abstractmethod
    async def close(self) -> None:
        """Let go of files and connections. The next exchange opens them again."""
