"""Which ledger a gateway has: Redis where one is named, and the machine's own while that is away."""

import asyncio
import logging
from collections.abc import Sequence

from modelyard.core.errors import Unavailable
from modelyard.core.settings import Settings
from modelyard.credentials import internal
from modelyard.gateway.limits.base import Ledger, Spent
from modelyard.gateway.limits.machine import MachineLedger

log = logging.getLogger("modelyard.gateway")

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0


def open_ledger(settings: Settings, name: str) -> Ledger:
    """The ledger of the gateway process `name`. Nothing is opened before the first exchange.

    Raises Invalid where the URL of the Redis is none.
    """
    machine = MachineLedger(settings.run_folder / "limits")
    if not settings.redis_url:
        return machine
    from modelyard.gateway.limits.redis import RedisLedger

    # Several platforms may use one Redis; the machines of one platform have the same secret.
    namespace = internal.derive(internal.read_secret(settings), "rate limits").hex()[:16]
    return WithFallback(RedisLedger(settings.redis_url, namespace=namespace, name=name), machine)


class WithFallback(Ledger):
    """The `wide` ledger, and `near` from the moment in which that fails until it answers again."""

    def __init__(self, wide: Ledger, near: Ledger) -> None:
        self._wide, self._near = wide, near
        self._search: asyncio.Task[None] | None = None

    async def exchange(self, spent: Spent) -> Sequence[float]:
        if self._search is None or self._search.done():
            try:
                return await self._wide.exchange(spent)
            except Unavailable as error:
                log.warning("%s Rate limits are shared on this machine alone until it is back.", error.message)
                self._search = asyncio.create_task(self._find())
        return await self._near.exchange(spent)

    async def close(self) -> None:
        if self._search is not None:
            self._search.cancel()
        await self._wide.close()
        await self._near.close()

    async def _find(self) -> None:
        """Be done when it answers."""
        pause = FIRST_PAUSE
        while True:
            await asyncio.sleep(pause)
            try:
                await self._wide.exchange(())
            except Unavailable:
                pause = min(LONGEST_PAUSE, pause * 2)
            else:
                log.info("Rate limits are shared between machines again.")
                return
