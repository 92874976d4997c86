"""What one gateway process is made of, put together in one place."""

import asyncio
import random

from modelyard.core.settings import Settings
from modelyard.credentials import internal
from modelyard.gateway.answers import Heads
from modelyard.gateway.app import App
from modelyard.gateway.exchange import Exchange
from modelyard.gateway.follow import Follower
from modelyard.gateway.predictions import Predictions
from modelyard.gateway.protocol import RequestIds
from modelyard.gateway.proxy import Proxy
from modelyard.gateway.upstream import Upstream

TABLE = "routing.json"


class Gateway:
    """The composition: predictions, the way to the api, the routing table. Made inside the running loop."""

    def __init__(self, settings: Settings, secret: bytes, *, dice: random.Random) -> None:
        upstream = Upstream(settings.api_socket)
        self.limits = settings.limits
        self.heads = Heads()
        self.request_ids = RequestIds()
        self.predictions = Predictions(settings, secret, dice=dice)
        self.follower = Follower(upstream, settings.data / TABLE, internal.token(secret), swap=self.predictions.swap)
        self.app = App(Proxy(upstream), self.request_ids, self._health)

    def handle(self, exchange: Exchange) -> None:
        """Answer a prediction, now or later."""
        self.predictions.handle(exchange)

    async def run(self) -> None:
        """Keep up with the routing table until cancelled."""
        await self.follower.follow()

    def sweep(self) -> None:
        """What is to be looked after a few times a second."""
        self.predictions.sweep(asyncio.get_running_loop().time())

    def close(self) -> None:
        """Let go of every replica."""
        self.predictions.close()

    def _health(self) -> dict[str, object]:
        return {"status": "ok", "routing": self.follower.number, "api": self.follower.reached}
