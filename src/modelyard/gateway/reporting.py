"""Telling the api how much there is to do: load reports about once a second, and deployments that are to wake up.

What is reported are counts since the gateway began, so a report that is lost is made up for by the next one.
"""

import asyncio
import logging
from collections.abc import Callable
from urllib.parse import quote

import msgspec

from modelyard.core.errors import Unavailable
from modelyard.credentials.internal import HEADER
from modelyard.gateway.upstream import Lost, Upstream
from modelyard.protocol.load import LoadReport

log = logging.getLogger("modelyard.gateway")

EVERY_SECONDS = 1.0
UNCHANGED_SECONDS = 10.0
"""How often a report that says nothing new is sent: the api learns by it that the gateway lives."""

ANSWER_SECONDS = 10.0
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 1.0
WAKE_AGAIN_SECONDS = 2.0
"""How often the api is told again of a deployment for which requests still wait."""


class Reporter:
    """Reports what `build` gives to the api."""

    def __init__(self, upstream: Upstream, token: str, build: Callable[[], LoadReport]) -> None:
        self._upstream = upstream
        self._headers = [(HEADER.encode(), token.encode())]
        self._build = build
        self._waking: set[str] = set()
        self._calls: asyncio.Queue[str] = asyncio.Queue()
        self._reached = False
        self._refusal = 0

    def wake(self, deployment: str) -> None:
        """A request waits for this deployment, which sleeps: tell the api at once, unless it is being told already."""
        if deployment not in self._waking:
            self._waking.add(deployment)
            self._calls.put_nowait(deployment)

    async def run(self) -> None:
        """Report until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._report())
            while True:
                group.create_task(self._wake(await self._calls.get()))

    async def _report(self) -> None:
        loop = asyncio.get_running_loop()
        sent: LoadReport | None = None
        sent_at = 0.0
        while True:
            try:
                report = self._build()
                same = sent is not None and msgspec.structs.replace(report, at=sent.at) == sent
                if not same or loop.time() - sent_at >= UNCHANGED_SECONDS:
                    json = (b"content-type", b"application/json")
                    if await self._post("/internal/load", msgspec.json.encode(report), json):
                        sent, sent_at = report, loop.time()
            except Exception:
                log.exception("The load could not be reported")
            await asyncio.sleep(EVERY_SECONDS)

    async def _wake(self, deployment: str) -> None:
        pause = FIRST_PAUSE
        try:
            while True:
                if await self._post(f"/internal/wake?deployment={quote(deployment, safe='')}"):
                    pause = FIRST_PAUSE
                    await asyncio.sleep(WAKE_AGAIN_SECONDS)
                else:
                    await asyncio.sleep(pause)
                    pause = min(LONGEST_PAUSE, pause * 2)
                if not self._is_waited_for(deployment):
                    return
        except Exception:
            log.exception("The api could not be told to wake up %s", deployment)
        finally:
            self._waking.discard(deployment)

    def _is_waited_for(self, deployment: str) -> bool:
        return any(load.key == deployment and load.waiting for load in self._build().deployments)

    async def _post(self, target: str, body: bytes = b"", *headers: tuple[bytes, bytes]) -> bool:
        """Whether the api took it. That it does not is logged once, until it does again."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                status, _ = await self._upstream.post(target, [*self._headers, *headers], body)
        except (Unavailable, Lost, TimeoutError) as error:
            # An api that was never reached may be about to start; whoever follows the routing table says so.
            if self._reached:
                log.warning("The api is not told the load: %s", error or type(error).__name__)
            self._reached = False
            return False
        self._reached = True
        if 200 <= status < 300:
            self._refusal = 0
            return True
        if status != self._refusal:
            log.warning("The api answers %d to %s", status, target)
        self._refusal = status
        return False
