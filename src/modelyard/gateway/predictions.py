"""What happens to a prediction: who, may they, which version, which replica. From memory; the body is not parsed."""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

from modelyard.core.errors import Broken, ModelyardError, Unavailable
from modelyard.core.settings import Settings
from modelyard.credentials.api_key import ApiKeyCredential
from modelyard.credentials.presented import Presented
from modelyard.gateway import tracing
from modelyard.gateway.bodies import packing_of, unpack
from modelyard.gateway.dialects import body_of
from modelyard.gateway.embedded import Embedded, Embedder
from modelyard.gateway.errors import Unready
from modelyard.gateway.exchange import Books, Exchange
from modelyard.gateway.limits import Limiter
from modelyard.gateway.links import Link, Links
from modelyard.gateway.metrics import DeploymentGauge, Metrics
from modelyard.gateway.routes import Model, Routes, Version, addresses, compile_routes
from modelyard.gateway.shadows import Shadow
from modelyard.protocol.processes import HeldVersion
from modelyard.protocol.routing import Caller, RoutingTable

log = logging.getLogger("modelyard.gateway")

ANSWER_SECONDS = 30.0
"""How long a model may take to answer."""

HANDOVER_SECONDS = 5.0
"""How long a request waits for a replica where one was there a moment ago: replaced, killed, being started again."""

CONNECT_SECONDS = 0.5
"""How long a new table waits for the replicas that are new in it before it takes over."""

BYTES_IN_FLIGHT = 64 << 20
ANSWER_BYTES = 1 << 30
_EVERYONE = Caller(id="open", user="administrator")


class Predictions:
    """Answers predictions from the present routing table.

    `wake` is told the key of a deployment that is asked while it sleeps.
    """

    def __init__(
        self,
        settings: Settings,
        secret: bytes,
        *,
        books: Books,
        limiter: Limiter,
        metrics: Metrics,
        wake: Callable[[str], None],
        dice: random.Random,
    ) -> None:
        self._presented = Presented(secret)
        self._by_key = ApiKeyCredential()
        self._books = books
        self._limiter = limiter
        self._metrics = metrics
        self._wake = wake
        self._dice = dice
        self._largest = settings.limits.body
        self._bound = settings.replicas.in_flight
        self._start_seconds = settings.replicas.start_seconds
        self._loop = asyncio.get_running_loop()
        self._links = Links(largest=ANSWER_BYTES, on_lost=self._lost, on_ready=self._release, after=books.flush)
        self._embedder = Embedder(settings, after=books.flush)
        self._parked: list[Exchange] = []
        self._callers: dict[tuple[bytes | None, bytes | None], Caller] = {}
        self._lately: dict[str, float] = {}
        self.routes: Routes = self._compiled(RoutingTable(number=0))

    async def swap(self, table: RoutingTable) -> None:
        """Route by `table` from now on. The replicas that are new in it are connected first."""
        wanted = addresses(table)
        self._links.open(wanted)
        await self._links.known(wanted - self.routes.addresses, CONNECT_SECONDS)
        self._note_lately()
        self.routes = self._compiled(table)
        self._limiter.swap(table)
        self._callers = {}
        self._links.keep(wanted)
        self._embedder.keep({(held.label, held.checksum) for held in _embedded(table)})
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

    def caller(self, headers: dict[str, str]) -> Caller:
        """Who sent a request with these headers (in lower case). Raises Unauthenticated."""
        if self.routes.table.open_access:
            return _EVERYONE
        return self._presented.caller(headers, self.routes, now=time.time())

    def gauges(self) -> Iterator[DeploymentGauge]:
        """What is under way at each deployment now."""
        waiting = Counter(exchange.version.deployment for exchange in self._parked if exchange.version is not None)
        found: dict[str, tuple[set[Link], int]] = {}
        for model in self.routes.models.values():
            for version in model.versions:
                links, embedded = found.get(version.deployment, (set(), 0))
                links |= {link for link, _ in version.targets}
                found[version.deployment] = links, embedded + (version.embedded.pending if version.embedded else 0)
        for key, (links, embedded) in found.items():
            in_flight = sum(len(link.pending) for link in links)
            ready = sum(link.ready for link in links)
            yield DeploymentGauge(key, in_flight + embedded, waiting[key], ready)

    def sweep(self, now: float) -> None:
        """Answer what waited too long; called a few times a second."""
        self._links.sweep(now)
        self._embedder.sweep()
        parked, self._parked = self._parked, []
        for exchange in parked:
            if exchange.answered:
                continue
            if exchange.until < now:
                exchange.refuse(Unavailable("No replica came up in time. Try again.", retry_after=1))
            else:
                self._parked.append(exchange)
                if exchange.version is not None and exchange.version.state == "asleep":
                    self._wake(exchange.version.deployment)

    def close(self) -> None:
        """Close every link."""
        self._links.close()
        self._embedder.close()

    def _compiled(self, table: RoutingTable) -> Routes:
        links = self._links.open(addresses(table))
        return compile_routes(table, links, embed=self._embedder.open, meter=self._metrics.meter)

    def _admit(self, exchange: Exchange) -> None:
        exchange.caller = caller = self._caller(exchange)
        routes, headers = self.routes, exchange.headers
        place = routes.resolve(exchange.target, caller)
        exchange.model, exchange.dialect, exchange.books = place.model, place.dialect, self._books
        if self._limiter.admit(caller, place.model.prefix):
            raise self._limiter.told(caller, place.model.prefix)
        exchange.deadline = self._loop.time() + ANSWER_SECONDS
        if b"traceparent" in headers:
            trace = tracing.parse(headers[b"traceparent"])
            exchange.trace = tracing.child(trace) if trace is not None else None
        packing = packing_of(headers)
        if packing is None:
            exchange.content, exchange.body = body_of(place.dialect, headers, exchange.body)
            self._route(exchange)
            return
        unpacking = self._loop.run_in_executor(None, unpack, exchange.body, packing, self._largest)
        unpacking.add_done_callback(lambda done: self._unpacked(exchange, done))

    def _unpacked(self, exchange: Exchange, done: "asyncio.Future[bytes]") -> None:
        try:
            exchange.content, exchange.body = body_of(exchange.dialect, exchange.headers, done.result())
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
        presented = headers.get(b"authorization"), headers.get(b"x-api-key")
        caller = self._callers.get(presented)
        if caller is not None and (caller.expires_at is None or caller.expires_at > time.time()):
            return caller
        sent = {name.decode(): value.decode("latin-1") for name, value in headers.items()}
        caller = self._presented.caller(sent, self.routes, now=time.time())
        # Only keys are remembered: a token has an end of its own. The next table forgets them all.
        if self._by_key.claims(sent) is not None and len(self._callers) < 4 * len(self.routes.table.keys):
            self._callers[presented] = caller
        return caller

    def _route(self, exchange: Exchange) -> None:
        assert exchange.caller is not None
        place = self.routes.resolve(exchange.target, exchange.caller)
        model = place.model
        try:
            if place.selector:
                assert place.pool is not None
                version = place.pool.pick(self._dice)
            else:
                version = model.choose(exchange.headers, self._dice)
        except Unready as unready:
            if not self._waits(exchange, unready):
                raise
            return
        exchange.version = version
        sent = self._send(exchange, version)
        if sent and model.shadows and not place.selector and exchange.lost is None:
            self._shadow(exchange, model)

    def _send(self, exchange: Exchange, version: Version) -> bool:
        """Give the request to whatever holds the version, or let it wait; whether it was given. Raises Unavailable."""
        lane, slot, up = _roomiest(version, exchange, self._bound)
        if lane is not None:
            lane.call(exchange, slot)
            return True
        if up:
            self._metrics.refused(version.deployment)
            raise Unavailable(f"{version.label} has all the requests it can take. Try again.", retry_after=1)
        if version.state == "asleep":
            self._park(exchange, self._start_seconds)
            self._wake(version.deployment)
        else:
            self._park(exchange, HANDOVER_SECONDS)
        return False

    def _shadow(self, exchange: Exchange, model: Model) -> None:
        for version, share in model.shadows:
            if version is exchange.version or self._dice.random() * 100 >= share:
                continue
            lane, slot, _ = _roomiest(version, exchange, self._bound / 2)
            if lane is not None:
                lane.call(Shadow(exchange, version, partial(self._metrics.shadow, model.path, version.number)), slot)

    def _park(self, exchange: Exchange, seconds: float) -> None:
        """Let a request wait for a replica. Raises Unavailable where too many wait."""
        if len(self._parked) >= self._bound:
            label = exchange.version.label if exchange.version is not None else "The model"
            raise Unavailable(f"{label} has no replica now, and many requests wait for one. Try again.", retry_after=1)
        if not exchange.until:
            exchange.until = self._loop.time() + seconds
        self._parked.append(exchange)

    def _waits(self, exchange: Exchange, unready: Unready) -> bool:
        """Whether the request waits for a version that was ready a moment ago: it is being started again."""
        now = self._loop.time()
        if exchange.until > now or any(self._lately.get(label, 0.0) > now for label in unready.labels):
            self._park(exchange, HANDOVER_SECONDS)
            return True
        return False

    def _note_lately(self) -> None:
        """Remember which versions answer under the table that is about to go."""
        now = self._loop.time()
        self._lately = {label: until for label, until in self._lately.items() if until > now}
        for model in self.routes.models.values():
            for version in model.versions:
                if version.state == "ready":
                    self._lately[version.label] = now + HANDOVER_SECONDS

    def _lost(self, exchange: Exchange) -> None:
        """Its replica is gone: once more on another one, since a prediction may be repeated."""
        if exchange.answered:
            return
        if exchange.lost is not None or isinstance(exchange, Shadow):
            exchange.refuse(Unavailable("Two replicas were lost with this request. Try again.", retry_after=1))
            return
        exchange.lost = exchange.link
        self._again(exchange)

    def _release(self) -> None:
        """Route again what waited for a new table or a new link."""
        parked, self._parked = self._parked, []
        for exchange in parked:
            if not exchange.answered:
                self._again(exchange)

    def _again(self, exchange: Exchange) -> None:
        exchange.deadline = self._loop.time() + ANSWER_SECONDS
        try:
            self._route(exchange)
        except ModelyardError as error:
            exchange.refuse(error)


def _roomiest(version: Version, exchange: Exchange, bound: float) -> tuple[Embedded | Link | None, int, bool]:
    """Who is to be asked, and at which slot: this process, or else the replica with the fewest requests under way.

    Nobody, where all that are up have `bound` requests or too many bytes; last, whether any is up.
    """
    embedded = version.embedded
    if embedded is not None and embedded.takes(exchange.content):
        return (embedded if embedded.pending < bound else None), embedded.slot, True
    best, slot, least, up = None, 0, bound, False
    for link, place in version.targets:
        if link.ready and link is not exchange.lost and link.labels.get(place) == version.label:
            up = True
            waiting = len(link.pending)
            if waiting < least and (not waiting or link.pending_bytes < BYTES_IN_FLIGHT):
                best, slot, least = link, place, waiting
    return best, slot, up


def _embedded(table: RoutingTable) -> Iterator[HeldVersion]:
    for model in table.models:
        for version in model.versions:
            if version.embedded is not None:
                yield version.embedded


def _broken(exchange: Exchange) -> Broken:
    request_id = exchange.request_id.decode()
    return Broken(f"Something broke on our side. The log holds the details under request id {request_id}.")
