"""How many replicas there are to be: a pure function of what was lately asked.

By Little's law the mean number of requests in flight is arrival rate times latency: divided by what one replica is to
have in flight, it is the number of replicas. Up at once, down slowly: what is added is needed now, what is taken away
may be needed again in a moment. Because down looks at the highest and up at the mean of a part of the same time,
neither undoes the other while the load stays as it is.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

UP = timedelta(seconds=10)
"""What is added is decided by the mean over so long."""
DOWN = timedelta(seconds=60)
"""What is taken away is decided by the most there was for so long; and there is so long between two steps down."""
GAP = timedelta(seconds=10)
"""A longer silence of the gateways means that nothing is known of that time."""
PATIENCE = timedelta(seconds=30)
"""How long replicas that were decided on are waited for before more are added."""
NOISE = 1e-9
MOST_TO_SETTLE = 2
"""Replicas are at most so many times as many after a step: what the new ones take off the others is not known yet."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """`minimum` and `maximum` replicas; `target` requests in flight per replica.

    With a minimum of 0, all replicas leave after `idle_seconds` without a request, and the next request brings one.
    What gateways answer themselves (embedded versions) calls for no replica: of these there is the minimum.
    """

    minimum: int
    maximum: int
    target: float
    idle_seconds: float


class Sample(NamedTuple):
    """What was seen at a moment: requests in flight at replicas (a mean since the sample before), requests that wait
    for a start now, and refusals since the sample before."""

    at: datetime
    in_flight: float
    waiting: int
    refused: int


class Decision(NamedTuple):
    """How many replicas there are to be. `reason` is in words and figures, "" where that is no change."""

    replicas: int
    reason: str


def decide(
    rule: Rule,
    now: datetime,
    samples: Sequence[Sample],
    *,
    replicas: int,
    ready: int,
    last_change: datetime,
    idle_since: datetime | None,
) -> Decision:
    """The number of replicas that there is to be now.

    `samples` are in order. `replicas` was wanted until now and `ready` of them answer; `last_change` is when that
    number was decided. `idle_since` is when the last request was answered, None while there are some or nobody knows.
    """
    decision = (
        _within(rule, replicas)
        or _woken(rule, samples, replicas)
        or _asleep(rule, now, replicas, ready, last_change, idle_since)
        or _more(rule, now, samples, replicas, ready, last_change)
        or _fewer(rule, now, samples, replicas, last_change)
    )
    return decision or Decision(replicas, "")


def _within(rule: Rule, replicas: int) -> Decision | None:
    bounded = min(max(replicas, rule.minimum), rule.maximum)
    return _change(replicas, bounded, f"{rule.minimum} to {rule.maximum} replicas are allowed")


def _woken(rule: Rule, samples: Sequence[Sample], replicas: int) -> Decision | None:
    if replicas or not samples or not samples[-1].waiting:
        return None
    return woken(rule, f"{samples[-1].waiting} requests wait")


def woken(rule: Rule, why: str) -> Decision:
    """What a sleeping deployment is to become once somebody asks for it."""
    count = max(1, rule.minimum)
    return Decision(count, f"0 → {count}: {why}")


def _asleep(
    rule: Rule, now: datetime, replicas: int, ready: int, last_change: datetime, idle_since: datetime | None
) -> Decision | None:
    # One that does not start is not put to sleep: its failure would be hidden.
    if rule.minimum or not replicas or not ready or idle_since is None:
        return None
    idle = timedelta(seconds=rule.idle_seconds)
    if now - idle_since < idle or now - last_change < idle:
        return None
    return _change(replicas, 0, f"no request for {rule.idle_seconds:g} s")


def _more(
    rule: Rule, now: datetime, samples: Sequence[Sample], replicas: int, ready: int, last_change: datetime
) -> Decision | None:
    recent = [sample for sample in samples if now - sample.at <= UP]
    if not replicas or not recent or (ready < replicas and now - last_change < PATIENCE):
        return None
    mean = sum(sample.in_flight for sample in recent) / len(recent)
    needed = _needed(rule, mean)
    why = (
        f"{mean:.1f} requests in flight on average over {UP.total_seconds():.0f} s, {rule.target:g} per replica wanted"
    )
    # What was refused before the last step has had its answer by that step.
    fresh = [sample for sample in recent if sample.at > last_change]
    refused, waiting = sum(sample.refused for sample in fresh), fresh[-1].waiting if fresh else 0
    if needed <= replicas and (refused or waiting):
        needed, why = replicas + 1, f"{refused} requests were refused and {waiting} wait"
    bounded = min(needed, replicas * MOST_TO_SETTLE, rule.maximum)
    return _change(replicas, bounded, why) if bounded > replicas else None


def _fewer(
    rule: Rule, now: datetime, samples: Sequence[Sample], replicas: int, last_change: datetime
) -> Decision | None:
    lately = [sample for sample in samples if now - sample.at <= DOWN + GAP]
    if now - last_change < DOWN or not _covered(lately, now):
        return None
    most = max(sample.in_flight for sample in lately)
    busy = any(sample.refused or sample.waiting for sample in lately)
    least = max(rule.minimum, 1)
    if busy or replicas <= least or _needed(rule, most) >= replicas:
        return None
    why = f"at most {most:.1f} requests in flight in {DOWN.total_seconds():.0f} s, {rule.target:g} per replica wanted"
    return _change(replicas, replicas - 1, why)


def _needed(rule: Rule, in_flight: float) -> int:
    return math.ceil(in_flight / rule.target - NOISE)


def _covered(samples: Sequence[Sample], now: datetime) -> bool:
    """Whether all of the time in which the most is sought was seen."""
    moments = [now - DOWN, *(sample.at for sample in samples), now]
    return bool(samples) and all(later - earlier <= GAP for earlier, later in pairwise(moments))


def _change(replicas: int, wanted: int, why: str) -> Decision | None:
    return Decision(wanted, f"{replicas} → {wanted}: {why}") if wanted != replicas else None
