"""Whether a canary goes on: a pure function from what it and the other versions did since its step began."""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

from modelyard.features.deployments.load import Tally

FEWEST = 5
"""Fewer requests say nothing, however they went."""
FEWEST_FOR_LATENCY = 20
"""The 95th of a hundred is one of twenty: with fewer requests it is their slowest."""
SURE = 3.0
"""Standard deviations: how sure one has to be of an error rate to act before there are as many requests as wanted."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """When a step is good enough, and when the canary is bad.

    A step lasts `step_seconds` and sees `least_requests` good answers at the least. Bad is a share of errors above
    `error_rate` (0 to 1), or a 95th percentile of the latency above `latency_ratio` times that of the other versions.
    """

    step_seconds: float
    least_requests: int
    error_rate: float
    latency_ratio: float


class Verdict(NamedTuple):
    """What is to be done, and why, in words and figures."""

    action: Literal["wait", "advance", "roll back"]
    reason: str


def judge(rule: Rule, canary: Tally, others: Tally, elapsed: float) -> Verdict:
    """What to do `elapsed` seconds after the step began, from what the canary and the `others` answered since."""
    errors = _errors(rule, canary)
    if errors:
        return Verdict("roll back", errors)
    latency = _latency(rule, canary, others)
    if latency:
        return Verdict("roll back", latency)
    good = canary.requests - canary.errors
    seen = f"{good} good answers, {canary.errors} errors in {elapsed:.0f} s"
    if elapsed >= rule.step_seconds and good >= rule.least_requests:
        return Verdict("advance", seen)
    return Verdict("wait", f"{seen}; {rule.least_requests} good ones in {rule.step_seconds:.0f} s are wanted")


def lower_bound(errors: int, requests: int, deviations: float = SURE) -> float:
    """The lowest error rate that `errors` of `requests` still speak for: Wilson's score interval.

    E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927).
    """
    if not requests:
        return 0.0
    rate, z = errors / requests, deviations**2 / requests
    spread = deviations * math.sqrt(rate * (1 - rate) / requests + z / requests / 4)
    return max(0.0, (rate + z / 2 - spread) / (1 + z))


def _errors(rule: Rule, canary: Tally) -> str:
    if canary.requests < FEWEST or canary.error_rate <= rule.error_rate:
        return ""
    enough = canary.requests >= rule.least_requests
    if not enough and lower_bound(canary.errors, canary.requests) <= rule.error_rate:
        return ""
    return (
        f"{canary.errors} of {canary.requests} requests failed: {canary.error_rate:.1%}, "
        f"where {rule.error_rate:.1%} are allowed"
    )


def _latency(rule: Rule, canary: Tally, others: Tally) -> str:
    enough = max(rule.least_requests, FEWEST_FOR_LATENCY)
    mine, theirs = canary.quantile(0.95), others.quantile(0.95)
    if min(canary.requests, others.requests) < enough or mine is None or theirs is None:
        return ""
    if mine <= rule.latency_ratio * theirs:
        return ""
    return (
        f"95 % of its answers took up to {mine / 1000:.1f} ms, {mine / theirs:.1f} times the {theirs / 1000:.1f} ms "
        f"of the other versions, where {rule.latency_ratio:g} times is allowed"
    )
