"""What one gateway process is made of, put together in one place."""

import asyncio
import logging
import os
import random
import secrets
import socket
from collections.abc import Awaitable, Callable

from modelyard.core.settings import Settings
from modelyard.credentials import internal
from modelyard.gateway.accounting import Accounting
from modelyard.gateway.answers import Heads
from modelyard.gateway.app import App
from modelyard.gateway.exchange import Exchange
from modelyard.gateway.follow import Follower
from modelyard.gateway.journal import Journal
from modelyard.gateway.limits import Limiter
from modelyard.gateway.metrics import Metrics
from modelyard.gateway.predictions import Predictions
from modelyard.gateway.protocol import WANTED, RequestIds
from modelyard.gateway.proxy import Proxy
from modelyard.gateway.reporting import Reporter
from modelyard.gateway.shipping import Shipper
from modelyard.gateway.upstream import Upstream
from modelyard.protocol.routing import RoutingTable

log = logging.getLogger("modelyard.gateway")

TABLE = "routing.json"
AGAIN_SECONDS = 1.0


class Gateway:
    """The composition: predictions, the way to the api, the routing table. Made inside the running loop."""

    def __init__(self, settings: Settings, secret: bytes, *, dice: random.Random) -> None:
        name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        token = internal.token(secret)
        upstream = Upstream(settings.api_socket)
        self.limits = settings.limits
        self.heads = Heads()
        self.request_ids = RequestIds()
        self.wanted = WANTED
        self.metrics = Metrics(settings.run_folder / "metrics", name=name)
        self._limiter = Limiter(settings, name=name)
        journal = Journal(settings.data / "usage", name=name)
        self._accounting = Accounting(journal, self._limiter)
        self._shipper = Shipper(upstream, token, journal)
        self._reporter = Reporter(upstream, token, self.metrics.report)
        self.predictions = Predictions(
            settings,
            secret,
            books=self._accounting,
            limiter=self._limiter,
            metrics=self.metrics,
            wake=self._reporter.wake,
            dice=dice,
        )
        self.metrics.gauges = self.predictions.gauges
        self.follower = Follower(upstream, settings.data / TABLE, token, name=name, swap=self._swap)
        self.app = App(
            Proxy(upstream),
            self.request_ids,
            predictions=self.predictions,
            metrics=self.metrics,
            health=self._health,
        )

    def handle(self, exchange: Exchange) -> None:
        """Answer a prediction, now or later."""
        self.predictions.handle(exchange)

    async def run(self) -> None:
        """Keep up with the routing table, and report what was answered, until cancelled."""
        works = (self.follower.follow, self.metrics.run, self._limiter.run, self._shipper.run, self._reporter.run)
        await asyncio.gather(*(_always(work) for work in works))

    def sweep(self) -> None:
        """What is to be looked after a few times a second."""
        self.predictions.sweep(asyncio.get_running_loop().time())

    def close(self) -> None:
        """Let go of every replica, and of what was written down."""
        self.predictions.close()
        self._accounting.close()
        self._limiter.close()
        self.metrics.close()

    async def _swap(self, table: RoutingTable) -> None:
        await self.predictions.swap(table)
        self.wanted = WANTED | self.predictions.routes.headers

    def _health(self) -> dict[str, object]:
        return {"status": "ok", "routing": self.follower.number, "api": self.follower.reached}


async def _always(work: Callable[[], Awaitable[None]]) -> None:
    """Run work that is never done; what breaks in one must not end the others, nor itself for good."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("%s broke and is begun again", work.__qualname__)
        await asyncio.sleep(AGAIN_SECONDS)
