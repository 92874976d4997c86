"""What is to happen next to a deployment: a pure function from what is wanted and what is there.

New replicas come up beside the old ones; the old ones leave only when enough new ones are ready; a failure at any step
leaves the old ones serving. Called again and again, it gets there from wherever it was interrupted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from modelyard.features.deployments.schemas import DeploymentState

PATIENCE = timedelta(seconds=10)
"""How long a replica that was left out waits for a gateway that does not say whether it knows."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One replica as it is.

    `alive` is whether its process runs, `since` when it came into `state`, `known` whether every gateway knows of that.
    """

    id: str
    revision: int
    state: str
    alive: bool
    known: bool
    since: datetime


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a deployment is to be. `empty` is a revision that holds no version."""

    running: bool
    revision: int
    replicas: int
    empty: bool
    not_before: datetime | None
    start_limit: timedelta


@dataclass(frozen=True, kw_only=True)
class Steps:
    """What is to be done now, by replica id; `start` is a count."""

    start: int = 0
    drain: tuple[str, ...] = ()
    end: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    late: tuple[str, ...] = ()


def decide(wanted: Wanted, replicas: Sequence[Seen], now: datetime) -> Steps:
    """The next steps.

    lost: the process died by itself. late: it did not become ready in time and is to be ended.
    drain: the routing table is to leave it out. end: no gateway sends it anything any more, so it is to be stopped.
    """
    lost = tuple(seen.id for seen in replicas if not seen.alive and seen.state in {"starting", "ready"})
    there = [seen for seen in replicas if seen.id not in lost]
    late = tuple(seen.id for seen in there if seen.state == "starting" and now - seen.since > wanted.start_limit)
    there = [seen for seen in there if seen.id not in late]
    end = tuple(
        seen.id
        for seen in there
        if seen.state == "draining" and (seen.known or not seen.alive or now - seen.since >= PATIENCE)
    )
    current = [seen for seen in there if seen.state in {"starting", "ready"}]
    if not wanted.running or wanted.empty:
        return Steps(drain=_ids(current), end=end, lost=lost, late=late)
    new = [seen for seen in current if seen.revision == wanted.revision]
    ready = [seen for seen in new if seen.state == "ready" and seen.known]
    # Starting ones of an older revision will never be wanted; ready ones serve until the new ones do.
    old = [
        seen
        for seen in current
        if seen.revision != wanted.revision and (seen.state == "starting" or len(ready) >= wanted.replicas)
    ]
    surplus = sorted(new, key=lambda seen: (seen.state != "ready", seen.since))[wanted.replicas :]
    may_start = wanted.not_before is None or wanted.not_before <= now
    start = max(0, wanted.replicas - len(new)) if may_start else 0
    return Steps(start=start, drain=_ids([*old, *surplus]), end=end, lost=lost, late=late)


def back_off(failures: int) -> timedelta:
    """How long to wait after so many failed starts in a row: 0.2 s, doubled each time, half a minute at the most."""
    return timedelta(seconds=min(30.0, 0.2 * 2**failures))


def state_of(wanted: Wanted, replicas: Sequence[Seen], failures: int) -> DeploymentState:
    """The one word for how a deployment is: ready means that every gateway answers with it."""
    ready = [seen for seen in replicas if seen.state == "ready" and seen.alive and seen.known]
    new = [seen for seen in ready if seen.revision == wanted.revision]
    if not wanted.running or wanted.empty:
        return "stopped" if not ready else "updating"
    if len(new) >= wanted.replicas:
        return "ready"
    if failures:
        return "degraded" if ready else "failed"
    return "updating" if ready else "pending"


def _ids(replicas: Sequence[Seen]) -> tuple[str, ...]:
    return tuple(seen.id for seen in replicas)
