"""Plain counters, and how those of several processes are added up.

No locks: a gateway is one thread. They are structs, so that what is counted into is also what is written to disk.
"""

from bisect import bisect_left
from collections.abc import Collection
from typing import Annotated, Literal, NamedTuple, TypeVar

import msgspec

from modelyard.protocol.load import BOUNDS

Outcome = Literal["same", "different", "failed"]

SECONDS = tuple(bound / 1e6 for bound in BOUNDS)
"""The latency buckets' upper bounds, in seconds; what equals a bound is below it, as Prometheus has it."""

_BUCKETS = len(BOUNDS) + 1
Name = TypeVar("Name")


class MeterKey(NamedTuple):
    """Whose answers a meter counts: `model` is `prefix/name`, `version` its number, `deployment` the key."""

    model: str
    version: int
    deployment: str


class Meter(msgspec.Struct, array_like=True, eq=False):
    """What one version of one deployment answered: requests by status, their seconds, rows and latencies.

    `grown_at` is the Unix time at which the last growth was noticed; 0 before the first.
    """

    statuses: dict[int, int] = {}
    buckets: Annotated[list[int], msgspec.Meta(min_length=_BUCKETS, max_length=_BUCKETS)] = msgspec.field(
        default_factory=lambda: [0] * _BUCKETS
    )
    seconds: float = 0.0
    rows: int = 0
    grown_at: float = 0.0

    def observe(self, status: int, seconds: float, rows: int) -> None:
        """Count one answer with `rows` rows, given after `seconds`."""
        self.buckets[bisect_left(SECONDS, seconds)] += 1
        self.seconds += seconds
        self.rows += rows
        try:
            self.statuses[status] += 1
        except KeyError:
            self.statuses[status] = 1

    @property
    def requests(self) -> int:
        """All answers."""
        return sum(self.statuses.values())

    @property
    def errors(self) -> int:
        """Answers of 500 and above, but not 503: a refusal is no fault of the version."""
        return sum(count for status, count in self.statuses.items() if status >= 500 and status != 503)

    def add(self, more: "Meter") -> None:
        """Count what `more` has counted, too."""
        _add(self.statuses, more.statuses)
        self.buckets = [mine + theirs for mine, theirs in zip(self.buckets, more.buckets, strict=True)]
        self.seconds += more.seconds
        self.rows += more.rows
        self.grown_at = max(self.grown_at, more.grown_at)


class DeploymentGauge(msgspec.Struct, frozen=True, array_like=True):
    """One deployment as a gateway sees it now: requests at replicas, requests that wait, replicas that are ready."""

    key: str
    in_flight: int
    waiting: int
    replicas: int


class Counts(msgspec.Struct, array_like=True):
    """Everything that only grows. `refused` is by deployment, `shadows` by model and version number."""

    meters: dict[MeterKey, Meter] = {}
    refused: dict[str, int] = {}
    shadows: dict[tuple[str, int], dict[Outcome, int]] = {}

    def add(self, more: "Counts") -> None:
        """Count what `more` has counted, too; `more` stays as it is."""
        for key, meter in more.meters.items():
            self.meters.setdefault(key, Meter()).add(meter)
        _add(self.refused, more.refused)
        for shadow, outcomes in more.shadows.items():
            _add(self.shadows.setdefault(shadow, {}), outcomes)

    def only(self, meters: dict[MeterKey, Meter], deployments: Collection[str] = ()) -> "Counts":
        """What there is of these meters, of their deployments and of the `deployments` besides."""
        versions = {(key.model, key.version) for key in meters}
        keys = {key.deployment for key in meters}.union(deployments)
        return Counts(
            meters,
            {key: count for key, count in self.refused.items() if key in keys},
            {shadow: outcomes for shadow, outcomes in self.shadows.items() if shadow in versions},
        )


class Snapshot(msgspec.Struct, array_like=True):
    """What one gateway process has to say at a moment."""

    pid: int
    counts: Counts
    gauges: list[DeploymentGauge] = []


def added_up(gauges: list[DeploymentGauge]) -> list[DeploymentGauge]:
    """One for each deployment: requests are added up; the replicas are the same ones, seen by every gateway."""
    found: dict[str, DeploymentGauge] = {}
    for one in gauges:
        other = found.get(one.key, DeploymentGauge(one.key, 0, 0, 0))
        found[one.key] = DeploymentGauge(
            one.key,
            one.in_flight + other.in_flight,
            one.waiting + other.waiting,
            max(one.replicas, other.replicas),
        )
    return sorted(found.values(), key=lambda gauge: gauge.key)


def _add(counts: dict[Name, int], more: dict[Name, int]) -> None:
    for name, count in more.items():
        counts[name] = counts.get(name, 0) + count
