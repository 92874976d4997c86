"""The gateway's end of the hop: one multiplexed connection to each replica, kept up while the table names it."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import cast

import msgspec

from modelyard.core.errors import Broken, TimedOut, Unavailable
from modelyard.gateway.exchange import Exchange
from modelyard.protocol.frames import TRACED, Kind
from modelyard.protocol.framing import Frame, Incoming, Outgoing
from modelyard.protocol.processes import Holding

log = logging.getLogger("modelyard.gateway")

WRITE_BUFFER = 1 << 20
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0
READY_SECONDS = 5.0
PING_SECONDS = 5.0
SILENT_SECONDS = 30.0
_holdings = msgspec.json.Decoder(dict[int, Holding])


class Link(asyncio.Protocol):
    """A connection to one replica. It is connected again, with growing pauses, until `retire`.

    `pending` maps the ids of frames to what waits for their replies. `labels` says which version the replica holds at
    which slot, once it is ready. `on_lost` is given what was under way when the connection broke; `after` is called
    when all replies that arrived together were answered.
    """

    def __init__(
        self,
        address: str,
        *,
        largest: int,
        on_lost: Callable[[Exchange], None],
        on_ready: Callable[[], None],
        after: Callable[[], None],
    ) -> None:
        self.address = address
        self.pending: dict[int, Exchange] = {}
        self.pending_bytes = 0
        self.labels: dict[int, str] = {}
        self.ready = False
        self.draining = False
        self._largest = largest
        self._on_lost = on_lost
        self._on_ready = on_ready
        self._after = after
        self._loop = asyncio.get_running_loop()
        self._last_id = 0
        self._heard = 0.0
        self._retired = False
        self._transport: asyncio.Transport | None = None
        self._incoming = Incoming(largest)
        self._outgoing = Outgoing()
        self._broken = asyncio.Event()
        self.known = asyncio.Event()
        self._task = self._loop.create_task(self._keep())

    def call(self, exchange: Exchange, slot: int) -> None:
        """Send a request; the reply becomes its answer."""
        self._last_id = number = (self._last_id + 1) & 0xFFFFFFFF
        self.pending[number] = exchange
        self.pending_bytes += len(exchange.body)
        exchange.link = self
        left = max(1, int((exchange.deadline - self._loop.time()) * 1000))
        kind, body = int(Kind.REQUEST), exchange.body
        if exchange.trace is not None:
            kind, body = kind | TRACED, exchange.trace + body
        if self._outgoing.add(number, kind, exchange.content, slot, left, body):
            self._loop.call_soon(self._flush)

    def retire(self) -> None:
        """Ask no more of it; it is closed once everything pending is answered."""
        self._retired = True
        self.ready = False
        if not self.pending:
            self._close()

    def sweep(self, now: float) -> None:
        """Answer what waited too long, and look whether the replica still lives; called a few times a second."""
        for number, exchange in [item for item in self.pending.items() if item[1].deadline < now]:
            self._take(number)
            exchange.refuse(TimedOut("The model did not answer in time. Try again, or send fewer rows."))
        if self._transport is None:
            return
        if now - self._heard > SILENT_SECONDS:
            log.warning(
                "The replica at %s has said nothing for %.0f s: its connection is given up.",
                self.address,
                SILENT_SECONDS,
            )
            self._transport.abort()
        elif now - self._heard > PING_SECONDS:
            self._send(Kind.PING)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports only look like asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER)
        self._incoming, self._outgoing = Incoming(self._largest), Outgoing()
        self._heard = self._loop.time()
        self.draining = False

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        try:
            for frame in self._incoming.feed(data):
                if frame.kind == Kind.REPLY:
                    exchange = self._take(frame.id)
                    if exchange is not None:
                        exchange.answer(frame.tag, frame.content, frame.value, frame.body)
                else:
                    self._told(frame)
            self._after()
        except (Broken, msgspec.DecodeError, ValueError) as error:
            log.error("The replica at %s speaks something else: %s", self.address, error)
            if self._transport is not None:
                self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._transport = None
        self.ready = False
        self._broken.set()
        if self._retired:
            self._task.cancel()
        lost, self.pending, self.pending_bytes = list(self.pending.values()), {}, 0
        for exchange in lost:
            self._on_lost(exchange)

    def _told(self, frame: Frame) -> None:
        if frame.kind == Kind.READY:
            self.labels = {slot: held.label for slot, held in _holdings.decode(frame.body).items()}
            self.ready = not self._retired
            self.known.set()
            self._on_ready()
        elif frame.kind == Kind.DRAIN:
            self.ready, self.draining = False, True
            # The acknowledgement: whatever was sent, was sent before this.
            self._send(Kind.DRAIN)

    def _take(self, number: int) -> Exchange | None:
        exchange = self.pending.pop(number, None)
        if exchange is not None:
            self.pending_bytes -= len(exchange.body)
            if self._retired and not self.pending:
                self._close()
        return exchange

    def _send(self, kind: Kind) -> None:
        if self._outgoing.add(0, kind):
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        data = self._outgoing.take()
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _close(self) -> None:
        self._task.cancel()
        if self._transport is not None:
            self._flush()
            self._transport.close()

    async def _keep(self) -> None:
        pause = FIRST_PAUSE
        while True:
            self._broken.clear()
            self.known.clear()
            try:
                await self._connect()
                await asyncio.wait_for(self.known.wait(), READY_SECONDS)
                pause = FIRST_PAUSE
                await self._broken.wait()
            except Exception as error:  # noqa: BLE001 - a link that is not tried again is a replica lost for good
                log.debug("The replica at %s cannot be reached: %r", self.address, error)
                if self._transport is not None:
                    self._transport.abort()
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 2)

    async def _connect(self) -> None:
        kind, _, place = self.address.partition(":")
        if kind == "unix":
            await self._loop.create_unix_connection(lambda: self, place)
        else:
            host, _, port = place.rpartition(":")
            await self._loop.create_connection(lambda: self, host, int(port))


class Links:
    """The links of one gateway process, by address."""

    def __init__(
        self,
        *,
        largest: int,
        on_lost: Callable[[Exchange], None],
        on_ready: Callable[[], None],
        after: Callable[[], None],
    ) -> None:
        self._open = partial(Link, largest=largest, on_lost=on_lost, on_ready=on_ready, after=after)
        self._links: dict[str, Link] = {}
        self._retired: set[Link] = set()

    def open(self, addresses: Iterable[str]) -> dict[str, Link]:
        """A link to each address; those that there were before are the same ones."""
        for address in addresses:
            if address not in self._links:
                self._links[address] = self._open(address)
        return dict(self._links)

    def keep(self, addresses: Iterable[str]) -> None:
        """Retire every link to another address."""
        for address in self._links.keys() - set(addresses):
            link = self._links.pop(address)
            link.retire()
            if link.pending:
                self._retired.add(link)

    def sweep(self, now: float) -> None:
        """See `Link.sweep`."""
        self._retired = {link for link in self._retired if link.pending}
        for link in [*self._links.values(), *self._retired]:
            link.sweep(now)

    async def known(self, addresses: Iterable[str], seconds: float) -> None:
        """Wait until the replicas at `addresses` have said what they hold, at most `seconds`."""
        waits = [self._links[address].known.wait() for address in addresses]
        if waits:
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.gather(*waits), seconds)

    def close(self) -> None:
        """Close everything at once; what is pending is refused."""
        for link in [*self._links.values(), *self._retired]:
            for exchange in link.pending.values():
                exchange.refuse(Unavailable("The gateway is stopping. Try again.", retry_after=1))
            link.pending.clear()
            link.retire()
