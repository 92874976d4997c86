"""What happens to a prediction: who, may they, which version, which replica. From memory; the body is not parsed."""

import asyncio
import hashlib
import logging
import random
import time

from modelyard.core.errors import Broken, ModelyardError, Unavailable
from modelyard.core.settings import Settings
from modelyard.credentials.api_key import ApiKeyCredential
from modelyard.credentials.presented import Presented
from modelyard.gateway.bodies import content_of, packing_of, unpack
from modelyard.gateway.exchange import Exchange
from modelyard.gateway.links import Links
from modelyard.gateway.routes import Routes, addresses, compile_routes
from modelyard.protocol.routing import Caller, RoutingTable

log = logging.getLogger("modelyard.gateway")

ANSWER_SECONDS = 30.0
"""How long a model may take to answer."""

HANDOVER_SECONDS = 2.0
"""How long a request waits for the next table where the only replicas of its version have said that they leave."""

CONNECT_SECONDS = 0.5
"""How long a new table waits for the replicas that are new in it before it takes over."""

BYTES_IN_FLIGHT = 64 << 20
ANSWER_BYTES = 1 << 30
_EVERYONE = Caller(id="open", user="administrator")


class Predictions:
    """Answers predictions from the present routing table."""

    def __init__(self, settings: Settings, secret: bytes, *, dice: random.Random) -> None:
        self._presented = Presented(secret)
        self._by_key = ApiKeyCredential()
        self._dice = dice
        self._largest = settings.limits.body
        self._bound = settings.replicas.in_flight
        self._loop = asyncio.get_running_loop()
        self._links = Links(largest=ANSWER_BYTES, on_lost=self._lost, on_ready=self._release)
        self._parked: list[Exchange] = []
        self._callers: dict[bytes, Caller] = {}
        self.routes: Routes = compile_routes(RoutingTable(number=0), {})

    async def swap(self, table: RoutingTable) -> None:
        """Route by `table` from now on. The replicas that are new in it are connected first."""
        wanted = addresses(table)
        links = self._links.open(wanted)
        await self._links.known(wanted - self.routes.addresses, CONNECT_SECONDS)
        self.routes = compile_routes(table, links)
        self._callers = {}
        self._links.keep(wanted)
        self._release()

    def handle(self, exchange: Exchange) -> None:
        """Answer a request, now or later. Never raises."""
        try:
            self._admit(exchange)
        except ModelyardError as error:
            exchange.refuse(error)
        except Exception:
            log.exception("A prediction failed in the gateway")
            exchange.refuse(_broken(exchange))

    def sweep(self, now: float) -> None:
        """Answer what waited too long; called a few times a second."""
        self._links.sweep(now)
        parked, self._parked = self._parked, []
        for exchange in parked:
            if exchange.deadline - ANSWER_SECONDS + HANDOVER_SECONDS < now:
                exchange.refuse(Unavailable("The model's replicas are being replaced. Try again.", retry_after=1))
            else:
                self._parked.append(exchange)

    def close(self) -> None:
        """Close every link."""
        self._links.close()

    def _admit(self, exchange: Exchange) -> None:
        exchange.caller = self._caller(exchange)
        exchange.content = content_of(exchange.headers)
        exchange.deadline = self._loop.time() + ANSWER_SECONDS
        packing = packing_of(exchange.headers)
        if packing is None:
            self._route(exchange)
            return
        # First of all whether it may: nobody has anything unpacked for a model that is not theirs.
        self.routes.resolve(exchange.target, exchange.caller)
        unpacking = self._loop.run_in_executor(None, unpack, exchange.body, packing, self._largest)
        unpacking.add_done_callback(lambda done: self._unpacked(exchange, done))

    def _unpacked(self, exchange: Exchange, done: "asyncio.Future[bytes]") -> None:
        try:
            exchange.body = done.result()
            self._route(exchange)
        except ModelyardError as error:
            exchange.refuse(error)
        except (Exception, asyncio.CancelledError):
            log.exception("A body could not be unpacked")
            exchange.refuse(_broken(exchange))

    def _caller(self, exchange: Exchange) -> Caller:
        if self.routes.table.open_access:
            return _EVERYONE
        headers = exchange.headers
        digest = hashlib.sha256(headers.get(b"authorization", b"") + b"\n" + headers.get(b"x-api-key", b"")).digest()
        caller = self._callers.get(digest)
        if caller is not None and (caller.expires_at is None or caller.expires_at > time.time()):
            return caller
        sent = {name.decode(): value.decode("latin-1") for name, value in headers.items()}
        caller = self._presented.caller(sent, self.routes, now=time.time())
        # Only keys are remembered: a token has an end of its own. The next table forgets them all.
        if self._by_key.claims(sent) is not None and len(self._callers) < 4 * len(self.routes.table.keys):
            self._callers[digest] = caller
        return caller

    def _route(self, exchange: Exchange) -> None:
        assert exchange.caller is not None
        pool = self.routes.resolve(exchange.target, exchange.caller)
        version = pool.pick(self._dice)
        exchange.head = version.head
        best, slot, least, up, leaving = None, 0, self._bound, False, False
        for link, place in version.targets:
            if not link.ready:
                leaving = leaving or link.draining
            elif link is not exchange.lost and link.labels.get(place) == version.label:
                up = True
                waiting = len(link.pending)
                if waiting < least and (not waiting or link.pending_bytes < BYTES_IN_FLIGHT):
                    best, slot, least = link, place, waiting
        if best is not None:
            best.call(exchange, slot)
        elif up:
            raise Unavailable(f"{version.label} has all the requests it can take. Try again.", retry_after=1)
        elif leaving and len(self._parked) < self._bound:
            self._parked.append(exchange)
        else:
            raise Unavailable(f"No replica of {version.label} can be reached now. Try again.", retry_after=1)

    def _lost(self, exchange: Exchange) -> None:
        """Its replica is gone: once more on another one, since a prediction may be repeated."""
        if exchange.answered:
            return
        if exchange.lost is not None:
            exchange.refuse(Unavailable("Two replicas were lost with this request. Try again.", retry_after=1))
            return
        exchange.lost = exchange.link
        self._again(exchange)

    def _release(self) -> None:
        """Route again what waited for a new table or a new link."""
        parked, self._parked = self._parked, []
        for exchange in parked:
            self._again(exchange)

    def _again(self, exchange: Exchange) -> None:
        try:
            self._route(exchange)
        except ModelyardError as error:
            exchange.refuse(error)


def _broken(exchange: Exchange) -> Broken:
    request_id = exchange.request_id.decode()
    return Broken(f"Something broke on our side. The log holds the details under request id {request_id}.")
