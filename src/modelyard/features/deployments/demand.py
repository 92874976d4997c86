"""What deployments were lately asked, second by second: the gateways' reports, taken up one after the other. Pure.

It forgets what is older than autoscaling looks at, and can be filled again from the reports that are kept.
"""

from collections import defaultdict, deque
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from modelyard.features.deployments.autoscale import DOWN, GAP, Sample
from modelyard.features.deployments.load import Loaded, Window, between
from modelyard.protocol.load import LoadReport

SECOND = timedelta(seconds=1)
SILENCE = timedelta(seconds=15)
"""A gateway that has not reported for so long is taken to be gone: it reports every ten seconds at the least."""
FRESH = timedelta(seconds=2.5)
"""A gateway that counts reports every second: in a longer pause none was answered, and what was under way still is."""
REMEMBERED = timedelta(minutes=15)
"""How long what a gateway counted that is gone still belongs to the counts since a moment in the past."""


@dataclass
class _Life:
    """One gateway process: its newest report, when that came, and what it counted since the one before."""

    report: LoadReport
    at: datetime
    window: Window = field(default_factory=Window)


class Demand:
    """Reports in, samples out. `take` wants reports in the order in which they came."""

    def __init__(self) -> None:
        self._lives: dict[tuple[str, float], _Life] = {}
        self._moments: deque[tuple[datetime, dict[str, Sample]]] = deque()
        self._next: datetime | None = None
        self._begun: datetime | None = None
        self._busy: dict[str, datetime] = {}
        self._refused: dict[str, int] = defaultdict(int)

    def take(self, at: datetime, report: LoadReport, embedded: AbstractSet[Loaded] = frozenset()) -> None:
        """A report that came at `at`. One that was seen before is left aside.

        `embedded` are versions that gateways answer themselves: what is asked of them is asked of no replica.
        """
        self.look(at, embedded)
        self._begun = self._begun or at
        key = (report.gateway, report.started_at)
        known = self._lives.get(key)
        if known is not None and known.report.at >= report.at:
            return
        window = self._counted(known, report)
        self._lives[key] = _Life(report, at, window)
        for deployment, count in window.refused.items():
            self._refused[deployment] += count
        asked = {
            loaded.deployment for loaded, tally in window.versions.items() if tally.requests and loaded not in embedded
        }
        asked |= {load.key for load in report.deployments if load.in_flight or load.waiting}
        for deployment in asked | {key for key, count in window.refused.items() if count}:
            self._busy[deployment] = at

    def look(self, now: datetime, embedded: AbstractSet[Loaded] = frozenset()) -> None:
        """Keep a sample of every second until `now`."""
        if self._next is None:
            self._next = now
        # A pause is a pause: of the seconds in which nobody looked there is nothing to say.
        self._next = max(self._next, now - SILENCE)
        while self._next <= now:
            self._sample(self._next, embedded)
            self._next += SECOND
        while self._moments and now - self._moments[0][0] > DOWN + GAP:
            self._moments.popleft()
        self._lives = {key: life for key, life in self._lives.items() if now - life.at <= REMEMBERED}

    def samples(self, deployment: str) -> list[Sample]:
        """What was lately seen of a deployment (its key), the oldest first."""
        return [seen.get(deployment, Sample(at, 0.0, 0, 0)) for at, seen in self._moments]

    def idle_since(self, deployment: str, now: datetime) -> datetime | None:
        """Since when nobody has asked for it; None where that cannot be said, as no gateway reports."""
        if self._begun is None or not self._moments or now - self._moments[-1][0] > SILENCE:
            return None
        return self._busy.get(deployment, self._begun)

    def reports(self) -> list[LoadReport]:
        """The newest report of every gateway, of those that are gone since a quarter of an hour too."""
        return [life.report for life in self._lives.values()]

    def _counted(self, known: _Life | None, report: LoadReport) -> Window:
        if known is not None:
            return between([known.report], [report])
        # A gateway that has long been there, and whose earlier reports are not: when it counted what, nobody knows.
        return between([], [report]) if report.at - report.started_at <= SILENCE.total_seconds() else Window()

    def _sample(self, at: datetime, embedded: AbstractSet[Loaded]) -> None:
        here = [life for life in self._lives.values() if at - life.at <= SILENCE]
        if not here:
            return
        light = {loaded.deployment for loaded in embedded}
        in_flight: dict[str, float] = defaultdict(float)
        waiting: dict[str, int] = defaultdict(int)
        for life in here:
            for loaded, tally in life.window.versions.items() if at - life.at <= FRESH else ():
                if loaded.deployment not in light:
                    in_flight[loaded.deployment] += tally.in_flight
            for load in life.report.deployments:
                waiting[load.key] += load.waiting
                # Times say nothing of what of a version is answered where, the number under way at replicas does.
                in_flight[load.key] += load.in_flight if load.key in light else 0
        keys = in_flight.keys() | waiting.keys() | self._refused.keys()
        seen = {key: Sample(at, in_flight[key], waiting[key], self._refused[key]) for key in keys}
        self._refused = defaultdict(int)
        self._moments.append((at, seen))
