"""What gateways' reports of their load add up to. Pure: reports in, counts and rates out.

Reports hold counts since the gateway began, so that every window is a difference of two of the same gateway: one that
is lost or comes twice does no harm, and a gateway that began again counts from zero.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from modelyard.protocol.load import BOUNDS, LoadReport, VersionLoad

MICROS = 1_000_000


class Loaded(NamedTuple):
    """What a count belongs to: a version of a model (`prefix/name`) in a deployment (its key)."""

    model: str
    version: int
    deployment: str


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Counts of a window. `in_flight` is the mean number of requests under way; `buckets` as in protocol/load.py."""

    requests: int = 0
    errors: int = 0
    rows: int = 0
    in_flight: float = 0.0
    buckets: tuple[int, ...] = (0,) * (len(BOUNDS) + 1)

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            requests=self.requests + other.requests,
            errors=self.errors + other.errors,
            rows=self.rows + other.rows,
            in_flight=self.in_flight + other.in_flight,
            buckets=tuple(one + two for one, two in zip(self.buckets, other.buckets, strict=True)),
        )

    @property
    def error_rate(self) -> float:
        """Errors per request, 0 to 1; 0 where there were no requests."""
        return self.errors / self.requests if self.requests else 0.0

    def quantile(self, share: float) -> float | None:
        """The latency in microseconds that `share` (0 to 1) of the requests kept to; None without requests.

        Evenly spread within its bucket; what is above the last bound counts as that bound.
        """
        total = sum(self.buckets)
        if not total:
            return None
        place, passed = share * total, 0
        for number, count in enumerate(self.buckets[:-1]):
            if count and passed + count >= place:
                low = BOUNDS[number - 1] if number else 0
                return low + (BOUNDS[number] - low) * max(0.0, place - passed) / count
            passed += count
        return float(BOUNDS[-1])


@dataclass(frozen=True, kw_only=True)
class Window:
    """What was counted between two moments, for every version, and the refusals (503) of every deployment."""

    versions: Mapping[Loaded, Tally] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)

    def where(self, test: Callable[[Loaded], bool]) -> Tally:
        """All versions for which `test` holds, together."""
        return sum((tally for loaded, tally in self.versions.items() if test(loaded)), Tally())


def between(earlier: Sequence[LoadReport], later: Sequence[LoadReport]) -> Window:
    """What gateways counted from the newest of the `earlier` reports to the newest of the `later` ones.

    A gateway that has none among the earlier ones counts from its beginning, one that has none among the later ones
    does not count.
    """
    before = newest(earlier)
    versions: dict[Loaded, Tally] = defaultdict(Tally)
    refused: dict[str, int] = defaultdict(int)
    # In order, so that the same reports give the same sums to the last bit.
    for life, report in sorted(newest(later).items(), key=lambda item: item[0]):
        start = before.get(life) or LoadReport(gateway=report.gateway, started_at=report.started_at, at=life[1])
        seconds = report.at - start.at
        if seconds <= 0:
            continue
        known = {_loaded(load): load for load in start.versions}
        for load in report.versions:
            versions[_loaded(load)] += _grown(known.get(_loaded(load)), load, seconds)
        turned_away = {load.key: load.refused for load in start.deployments}
        for deployment in report.deployments:
            refused[deployment.key] += max(0, deployment.refused - turned_away.get(deployment.key, 0))
    return Window(versions=dict(versions), refused=dict(refused))


def newest(reports: Iterable[LoadReport]) -> dict[tuple[str, float], LoadReport]:
    """The newest report of every life of a gateway: a gateway that was started again begins another."""
    found: dict[tuple[str, float], LoadReport] = {}
    for report in reports:
        life = (report.gateway, report.started_at)
        if life not in found or found[life].at <= report.at:
            found[life] = report
    return found


def only(report: LoadReport, model: str) -> LoadReport:
    """The part of a report that is about one model."""
    versions = tuple(load for load in report.versions if load.model == model)
    return LoadReport(gateway=report.gateway, started_at=report.started_at, at=report.at, versions=versions)


def _loaded(load: VersionLoad) -> Loaded:
    return Loaded(load.model, load.version, load.deployment)


def _grown(start: VersionLoad | None, end: VersionLoad, seconds: float) -> Tally:
    if start is None:
        zeros = (0,) * len(end.buckets)
        start = VersionLoad(
            model=end.model, version=end.version, deployment=end.deployment,
            requests=0, errors=0, rows=0, micros=0, buckets=zeros,
        )  # fmt: skip
    return Tally(
        requests=max(0, end.requests - start.requests),
        errors=max(0, end.errors - start.errors),
        rows=max(0, end.rows - start.rows),
        in_flight=max(0, end.micros - start.micros) / MICROS / seconds,
        buckets=tuple(max(0, two - one) for one, two in zip(start.buckets, end.buckets, strict=True)),
    )
