"""Enough replicas at once, fewer slowly, none where nobody asks."""

import math
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from modelyard.features.deployments.autoscale import DOWN, PATIENCE, Decision, Rule, Sample, decide

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=1)
RULE = Rule(minimum=1, maximum=8, target=4, idle_seconds=300)
TO_ZERO = Rule(minimum=0, maximum=8, target=4, idle_seconds=300)


def samples(in_flight, seconds=90, **last):
    """A sample of each of the last seconds; what the newest one says besides."""
    found = [Sample(NOW - timedelta(seconds=n), in_flight, 0, 0) for n in reversed(range(seconds))]
    return [*found[:-1], found[-1]._replace(**last)] if last else found


def decided(rule, seen, replicas, **changes):
    usual = {"ready": replicas, "last_change": LONG_AGO, "idle_since": None}
    return decide(rule, NOW, seen, replicas=replicas, **(usual | changes))


def test_it_scales_up_to_what_the_load_needs_and_says_why():
    assert decided(RULE, samples(15.5), 2) == Decision(
        4, "2 → 4: 15.5 requests in flight on average over 10 s, 4 per replica wanted"
    )


def test_it_at_most_doubles_in_one_step():
    assert decided(RULE, samples(30), 2).replicas == 4


def test_a_burst_of_ten_seconds_is_enough_to_scale_up_and_one_of_a_second_is_not():
    quiet = samples(0.5, 90)
    assert decided(RULE, [*quiet[:-10], *samples(8, 10)], 1).replicas == 2
    assert decided(RULE, [*quiet[:-1], *samples(8, 1)], 1).replicas == 1


def test_refusals_and_waiting_requests_add_one_at_once():
    assert decided(RULE, samples(0.5, refused=3), 1).replicas == 2
    assert decided(RULE, samples(0.5, waiting=2), 1).replicas == 2


def test_what_was_refused_before_the_last_step_is_answered_by_it():
    seen = samples(0.5)
    seen[-5] = seen[-5]._replace(refused=9)
    assert decided(RULE, seen, 2, last_change=NOW - timedelta(seconds=2)).replicas == 2


def test_replicas_that_are_on_their_way_are_waited_for():
    assert decided(RULE, samples(15.5), 2, ready=1, last_change=NOW - timedelta(seconds=3)).replicas == 2
    assert decided(RULE, samples(15.5), 2, ready=1, last_change=NOW - PATIENCE).replicas == 4


def test_it_scales_down_one_at_a_time():
    assert decided(RULE, samples(0.5), 4) == Decision(
        3, "4 → 3: at most 0.5 requests in flight in 60 s, 4 per replica wanted"
    )


def test_it_does_not_scale_down_soon_after_a_change_or_a_peak():
    assert decided(RULE, samples(0.5), 4, last_change=NOW - DOWN / 2).replicas == 4
    peak = samples(0.5)
    peak[-50] = peak[-50]._replace(in_flight=16.0)
    assert decided(RULE, peak, 4).replicas == 4


def test_it_does_not_scale_down_on_what_nobody_saw():
    assert decided(RULE, [], 4).replicas == 4
    assert decided(RULE, samples(0.5, 30), 4).replicas == 4
    seen = samples(0.5)
    assert decided(RULE, [*seen[:40], *seen[-20:]], 4).replicas == 4


def test_it_falls_asleep_when_nobody_has_asked_for_long_enough():
    assert decided(TO_ZERO, samples(0), 1, idle_since=NOW - timedelta(seconds=301)) == Decision(
        0, "1 → 0: no request for 300 s"
    )
    assert decided(TO_ZERO, samples(0), 1, idle_since=NOW - timedelta(seconds=299)).replicas == 1
    assert decided(RULE, samples(0), 1, idle_since=LONG_AGO).replicas == 1


def test_it_stays_awake_for_as_long_after_it_woke():
    just_woken = NOW - timedelta(seconds=10)
    assert decided(TO_ZERO, samples(0), 1, idle_since=LONG_AGO, last_change=just_woken).replicas == 1


def test_one_that_does_not_start_is_not_put_to_sleep():
    assert decided(TO_ZERO, samples(0), 1, ready=0, idle_since=LONG_AGO).replicas == 1


def test_a_request_that_waits_wakes_it_at_once():
    assert decided(TO_ZERO, samples(0, waiting=3), 0) == Decision(1, "0 → 1: 3 requests wait")
    assert decided(TO_ZERO, samples(0), 0).replicas == 0


def test_a_changed_rule_is_kept_to():
    assert decided(Rule(minimum=3, maximum=8, target=4, idle_seconds=1), samples(0), 1).replicas == 3
    assert decided(Rule(minimum=1, maximum=2, target=4, idle_seconds=1), samples(50), 6).replicas == 2


rules = st.builds(
    lambda low, more, target: Rule(minimum=low, maximum=max(1, low + more), target=target, idle_seconds=60),
    st.integers(0, 4),
    st.integers(0, 12),
    st.floats(0.1, 50),
)
loads = st.lists(st.tuples(st.floats(0, 500), st.integers(0, 5), st.integers(0, 5)), max_size=100)
moments = st.integers(0, 600).map(lambda seconds: NOW - timedelta(seconds=seconds))


def at_seconds(load):
    return [Sample(NOW - timedelta(seconds=n), *seen) for n, seen in reversed(list(enumerate(load)))]


@given(rules, loads, st.integers(0, 20), st.integers(0, 20), moments, st.none() | moments)
def test_it_is_never_outside_of_what_the_rule_allows(rule, load, replicas, ready, changed, idle):
    found = decide(rule, NOW, at_seconds(load), replicas=replicas, ready=ready, last_change=changed, idle_since=idle)
    assert rule.minimum <= found.replicas <= rule.maximum
    assert bool(found.reason) == (found.replicas != replicas)


@given(rules, loads, st.integers(0, 20), st.integers(0, 20), moments, st.floats(1, 10), st.integers(0, 3))
def test_more_load_never_means_fewer_replicas(rule, load, replicas, ready, changed, factor, more):
    heavier = [(in_flight * factor, waiting + more, refused + more) for in_flight, waiting, refused in load]
    found = [
        decide(
            rule, NOW, at_seconds(seen), replicas=replicas, ready=ready, last_change=changed, idle_since=None
        ).replicas
        for seen in (load, heavier)
    ]
    assert found[0] <= found[1]


@settings(max_examples=40)
@given(rules, st.just(0.0) | st.floats(0.01, 500), st.integers(0, 20))
def test_constant_load_settles_at_what_it_needs_and_stays_there(rule, in_flight, replicas):
    """Simulated, with replicas that are ready at once; ten seconds to a step."""
    now, changed, history = NOW, LONG_AGO, [replicas]
    for _ in range(150):
        seen = [Sample(now - timedelta(seconds=n), in_flight, 0, 0) for n in reversed(range(0, 80, 8))]
        idle = None if in_flight else LONG_AGO
        found = decide(rule, now, seen, replicas=history[-1], ready=history[-1], last_change=changed, idle_since=idle)
        if found.replicas != history[-1]:
            changed = now
            history.append(found.replicas)
        now += timedelta(seconds=10)
    needed = math.ceil(in_flight / rule.target - 1e-9)
    asleep = rule.minimum == 0 and (history[0] == 0 or in_flight == 0)
    assert history[-1] == (0 if asleep else min(max(needed, rule.minimum, 1), rule.maximum))
    # It may be brought within its bounds first; from there it goes one way.
    steps = [later - earlier for earlier, later in pairwise(history)]
    assert all(step > 0 for step in steps[1:]) or all(step < 0 for step in steps[1:])
