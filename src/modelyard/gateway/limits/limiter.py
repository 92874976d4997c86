"""Who may go on, decided from memory alone; what was spent is told to a ledger in the background.

Between two exchanges a process goes by what it knows: processes that spend the same tokens at once overspend by what
arrives meanwhile. The ledger adds that up, so the bucket is in debt for all of them until its rate has paid it off: in
the long run the rate holds exactly.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from modelyard.core.errors import TooMany, Unavailable
from modelyard.core.settings import Settings
from modelyard.gateway.limits.bucket import Bucket
from modelyard.gateway.limits.ledgers import open_ledger
from modelyard.protocol.routing import Caller, Rate, RoutingTable

log = logging.getLogger("modelyard.gateway")

EVERY = 0.05
"""How often the ledger is asked at the most, seconds."""

AFTER_A_FAULT = 1.0
CHAINS = 50_000
"""Pairs of a caller and a prefix that are remembered."""

Place = tuple[str, str, str, float]
"""What a bucket is for: `key` or `prefix`, which one, `requests` or `rows`, and how many of them a second."""


class Chain(NamedTuple):
    """The buckets that one caller's requests to one prefix are held against."""

    requests: tuple[Bucket, ...]
    rows: tuple[Bucket, ...]
    both: tuple[Bucket, ...]
    places: tuple[Place, ...]


class Limiter:
    """The rate limits of one gateway process. `name` is the process's, unique among all of them.

    `clock` gives seconds that never go back.
    """

    def __init__(self, settings: Settings, *, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ledger = open_ledger(settings, name)
        self._keys: Mapping[str, Rate] = {}
        self._prefixes: Mapping[str, Rate] = {}
        self._any = False
        self._chains: dict[tuple[str, str], Chain] = {}
        self._buckets: dict[Place, Bucket] = {}
        self._spent: list[Bucket] = []
        self._woken = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._alone = False

    def swap(self, table: RoutingTable) -> None:
        """Go by the rates of `table` from now on. A limit that did not change keeps its bucket."""
        self._keys = {caller.id: caller.rate for caller in table.keys.values() if caller.rate is not None}
        self._prefixes = table.rates
        self._any = bool(self._keys or self._prefixes)
        self._chains = {}
        # A full bucket is as good as a new one: so those without a limit go once they are full.
        now = self._clock()
        self._buckets = {place: bucket for place, bucket in self._buckets.items() if not bucket.is_full(now)}

    def admit(self, caller: Caller, prefix: str) -> float:
        """0.0: the request may go on, and is taken from every bucket that applies. Else the seconds until it makes
        sense to try again; then nothing was taken.
        """
        if not self._any:
            return 0.0
        chain = self._chains.get((caller.id, prefix))
        if chain is None:
            chain = self._resolve(caller.id, prefix)
        if not chain.both:
            return 0.0
        now = self._clock()
        for bucket in chain.both:
            if bucket.free_at > now:
                return max(bucket.free_at for bucket in chain.both) - now
        for bucket in chain.requests:
            self._spend(bucket, now, bucket.cost)
        return 0.0

    def charge(self, caller: Caller, prefix: str, rows: int) -> None:
        """Take the rows of an answer from the buckets. They may go into debt, which the next request waits for."""
        if not self._any or rows <= 0:
            return
        chain = self._chains.get((caller.id, prefix))
        if chain is None:
            chain = self._resolve(caller.id, prefix)
        if chain.rows:
            now = self._clock()
            for bucket in chain.rows:
                self._spend(bucket, now, rows * bucket.cost)

    def told(self, caller: Caller, prefix: str) -> TooMany:
        """The error for a request that was not admitted just now: which limit holds it up the longest, and how long."""
        chain = self._resolve(caller.id, prefix)
        bucket, (kind, subject, unit, rate) = max(
            zip(chain.both, chain.places, strict=True), key=lambda pair: pair[0].free_at
        )
        wait = max(0.0, bucket.free_at - self._clock())
        whose = "This API key may" if kind == "key" else f"All callers of {subject!r} together may"
        return TooMany(
            f"{whose} ask for {rate:.10g} {unit} a second, and that is used up. Try again in {math.ceil(wait)} s.",
            detail={"limit": kind, "subject": subject, "unit": unit, "per_second": rate},
            retry_after=wait,
        )

    async def run(self) -> None:
        """Share what is spent with the other gateways, until cancelled or closed. No request ever waits for this."""
        self._running = asyncio.current_task()
        try:
            # At once, so that a ledger that cannot be used is told at the start.
            await self._share()
            while True:
                await self._woken.wait()
                self._woken.clear()
                await self._share()
                await asyncio.sleep(EVERY)
        finally:
            self._running = None
            await self._ledger.close()

    def close(self) -> None:
        """End `run`."""
        if self._running is not None:
            self._running.cancel()

    async def _share(self) -> None:
        buckets, self._spent = self._spent, []
        spent = [(bucket.name, bucket.spent) for bucket in buckets]
        for bucket in buckets:
            bucket.spent = 0.0
        sent = self._clock()
        try:
            levels = await self._ledger.exchange(spent)
        except Unavailable as error:
            # What was spent is not told later: by then it would be held against calls long after its time.
            if not self._alone:
                log.warning("%s Rate limits hold for each gateway process by itself.", error.message)
            self._alone = True
        except Exception:
            log.exception("Rate limits could not be shared")
            await asyncio.sleep(AFTER_A_FAULT)
        else:
            self._alone = False
            for bucket, seconds in zip(buckets, levels, strict=True):
                bucket.learn(sent + seconds + bucket.spent)

    def _spend(self, bucket: Bucket, now: float, seconds: float) -> None:
        if not bucket.spent:
            if not self._spent:
                self._woken.set()
            self._spent.append(bucket)
        bucket.spend(now, seconds)

    def _resolve(self, caller: str, prefix: str) -> Chain:
        known = self._chains.get((caller, prefix))
        if known is not None:
            return known
        places = list(self._places(caller, prefix))
        buckets = [self._bucket(place) for place in places]
        requests, rows = (
            tuple(bucket for place, bucket in zip(places, buckets, strict=True) if place[2] == unit)
            for unit in ("requests", "rows")
        )
        if len(self._chains) >= CHAINS:
            self._chains.clear()
        chain = self._chains[caller, prefix] = Chain(requests, rows, tuple(buckets), tuple(places))
        return chain

    def _places(self, caller: str, prefix: str) -> Iterator[Place]:
        parts = prefix.split("/")
        above = ("/".join(parts[:length]) for length in range(1, len(parts) + 1))
        limits = [("key", caller, self._keys.get(caller)), *(("prefix", one, self._prefixes.get(one)) for one in above)]
        for kind, subject, rate in limits:
            if rate is not None and rate.requests is not None:
                yield kind, subject, "requests", rate.requests
            if rate is not None and rate.rows is not None:
                yield kind, subject, "rows", rate.rows

    def _bucket(self, place: Place) -> Bucket:
        bucket = self._buckets.get(place)
        if bucket is None:
            kind, subject, unit, rate = place
            # The rate is part of the name: what was spent at one rate says nothing at another.
            bucket = self._buckets[place] = Bucket(f"{kind}:{subject}:{unit}:{rate!r}", rate)
        return bucket
