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

    `content` is what it holds. `alive` is whether its process runs, `hung` whether that does not answer any more,
    `since` when it came into `state`, `known` whether every gateway knows of that.
    """

    id: str
    content: int
    state: str
    alive: bool
    known: bool
    since: datetime
    hung: bool = False


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a deployment is to be.

    `content` is the number of the revision whose replicas fit; revisions that differ in weights and rules only share
    it, so that a change between them touches no replica. `empty` is a revision that holds no version. With `replicas`
    0 it is asleep: as it is to be, but without a process until somebody asks.
    """

    running: bool
    content: int
    replicas: int
    empty: bool
    not_before: datetime | None
    start_limit: timedelta

    @property
    def asleep(self) -> bool:
        """Whether it is to be there without a replica."""
        return self.running and not self.empty and self.replicas == 0


@dataclass(frozen=True, kw_only=True)
class Steps:
    """What is to be done now, by replica id; `start` is a count."""

    start: int = 0
    drain: tuple[str, ...] = ()
    end: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    hung: tuple[str, ...] = ()
    late: tuple[str, ...] = ()


def decide(wanted: Wanted, replicas: Sequence[Seen], now: datetime) -> Steps:
    """The next steps.

    lost: the process died by itself. hung: it runs and does not answer, so it is to be killed. late: it did not become
    ready in time and is to be ended.
    drain: the routing table is to leave it out. end: no gateway sends it anything any more, so it is to be stopped.
    """
    lost = [seen for seen in replicas if not seen.alive and seen.state in {"starting", "ready"}]
    hung = [seen for seen in replicas if seen.alive and seen.hung and seen.state == "ready"]
    late = [
        seen for seen in replicas if seen.alive and seen.state == "starting" and now - seen.since > wanted.start_limit
    ]
    gone = {seen.id for seen in (*lost, *hung, *late)}
    there = [seen for seen in replicas if seen.id not in gone]
    end = [
        seen
        for seen in there
        if seen.state == "draining" and (seen.known or not seen.alive or now - seen.since >= PATIENCE)
    ]
    drain, start = _changes(wanted, [seen for seen in there if seen.state != "draining"], now)
    return Steps(start=start, drain=_ids(drain), end=_ids(end), lost=_ids(lost), hung=_ids(hung), late=_ids(late))


def _changes(wanted: Wanted, current: Sequence[Seen], now: datetime) -> tuple[Sequence[Seen], int]:
    """Which of the `current` replicas are to leave, and how many are to be started."""
    if not wanted.running or wanted.empty:
        return current, 0
    new = [seen for seen in current if seen.content == wanted.content]
    ready = [seen for seen in new if seen.state == "ready" and seen.known]
    # Starting ones of an older content will never be wanted; ready ones serve until the new ones do.
    old = [
        seen
        for seen in current
        if seen.content != wanted.content and (seen.state == "starting" or len(ready) >= wanted.replicas)
    ]
    # Those that serve stay: a replica that some gateway does not know yet is no replacement for one that all know.
    surplus = sorted(new, key=lambda seen: (seen.state != "ready", not seen.known, seen.since))[wanted.replicas :]
    may_start = wanted.not_before is None or wanted.not_before <= now
    return [*old, *surplus], max(0, wanted.replicas - len(new)) if may_start else 0


def back_off(failures: int) -> timedelta:
    """How long to wait after so many failed starts in a row: 0.2 s, doubled each time, half a minute at the most."""
    return timedelta(seconds=min(30.0, 0.2 * 2**failures))


def state_of(wanted: Wanted, replicas: Sequence[Seen], failures: int) -> DeploymentState:
    """The one word for how a deployment is: ready means that every gateway answers with it."""
    ready = [seen for seen in replicas if seen.state == "ready" and seen.alive and seen.known]
    new = [seen for seen in ready if seen.content == wanted.content]
    if not wanted.running or wanted.empty:
        return "stopped" if not ready else "updating"
    if len(new) >= wanted.replicas:
        return "ready"
    if failures:
        return "degraded" if ready else "failed"
    return "updating" if ready else "pending"


def _ids(replicas: Sequence[Seen]) -> tuple[str, ...]:
    return tuple(seen.id for seen in replicas)
