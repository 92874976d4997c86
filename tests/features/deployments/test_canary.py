"""A canary goes on when it did well for long enough, and is taken back as soon as it does badly."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from modelyard.features.deployments.canary import Rule, judge, lower_bound
from modelyard.features.deployments.load import Tally
from modelyard.protocol.load import BOUNDS

RULE = Rule(step_seconds=60, least_requests=50, error_rate=0.02, latency_ratio=1.5)


def answered(requests, errors=0, bucket=3):
    """So many answers, all of them in one latency bucket."""
    return Tally(
        requests=requests, errors=errors, buckets=tuple(requests * (n == bucket) for n in range(len(BOUNDS) + 1))
    )


OTHERS = answered(1000)


def test_it_goes_on_after_its_time_with_enough_good_answers():
    verdict = judge(RULE, answered(60), OTHERS, 61)
    assert verdict == ("advance", "60 good answers, 0 errors in 61 s")


def test_it_waits_for_its_time_and_for_enough_answers():
    assert judge(RULE, answered(500), OTHERS, 59).action == "wait"
    assert judge(RULE, answered(49), OTHERS, 3600).action == "wait"
    assert judge(RULE, Tally(), Tally(), 3600).action == "wait"


def test_too_many_errors_take_it_back_with_a_reason():
    verdict = judge(RULE, answered(100, errors=3), OTHERS, 5)
    assert verdict == ("roll back", "3 of 100 requests failed: 3.0%, where 2.0% are allowed")


def test_as_many_errors_as_are_allowed_do_not():
    assert judge(RULE, answered(100, errors=2), OTHERS, 61).action == "advance"


def test_a_version_that_always_fails_does_not_get_as_many_requests_as_are_wanted():
    assert judge(RULE, answered(5, errors=5), OTHERS, 1).action == "roll back"


def test_one_error_of_few_requests_proves_nothing():
    assert judge(RULE, answered(1, errors=1), OTHERS, 1).action == "wait"
    assert judge(RULE, answered(10, errors=1), OTHERS, 1).action == "wait"


def test_answers_that_take_much_longer_than_the_others_take_it_back():
    verdict = judge(RULE, answered(60, bucket=5), answered(1000, bucket=3), 5)
    assert verdict.action == "roll back"
    assert "95 % of its answers took up to 9.8 ms" in verdict.reason


def test_latency_is_compared_only_where_both_have_enough_answers():
    assert judge(RULE, answered(49, bucket=9), OTHERS, 5).action == "wait"
    assert judge(RULE, answered(60, bucket=9), answered(10), 5).action == "wait"
    assert judge(RULE, answered(60, bucket=9), Tally(), 61).action == "advance"


tallies = st.builds(
    lambda good, errors, bucket: answered(good + errors, errors, bucket),
    st.integers(0, 500), st.integers(0, 500), st.integers(0, len(BOUNDS)),
)  # fmt: skip
rules = st.builds(
    Rule,
    step_seconds=st.floats(1, 600),
    least_requests=st.integers(1, 200),
    error_rate=st.floats(0, 1),
    latency_ratio=st.floats(1, 10),
)
ORDER = ("roll back", "wait", "advance")


@given(rules, tallies, tallies, st.floats(0, 1000), st.integers(0, 500))
def test_answers_that_become_errors_never_make_it_look_better(rule, canary, others, elapsed, spoilt):
    worse = dataclasses.replace(canary, errors=min(canary.requests, canary.errors + spoilt))
    before, after = (judge(rule, one, others, elapsed).action for one in (canary, worse))
    assert ORDER.index(after) <= ORDER.index(before)


@given(rules, tallies, tallies, st.floats(0, 1000), st.floats(0, 1000))
def test_time_alone_never_takes_it_back(rule, canary, others, one, two):
    before, after = (judge(rule, canary, others, elapsed).action for elapsed in sorted((one, two)))
    assert ORDER.index(before) <= ORDER.index(after)


@given(rules, tallies, tallies, st.floats(0, 1000))
def test_it_never_goes_on_with_more_errors_than_are_allowed(rule, canary, others, elapsed):
    verdict = judge(rule, canary, others, elapsed)
    assert verdict.reason
    if verdict.action == "advance":
        assert elapsed >= rule.step_seconds
        assert canary.requests - canary.errors >= rule.least_requests
        assert canary.requests < 5 or canary.error_rate <= rule.error_rate


@given(st.integers(1, 10_000), st.data())
def test_the_bound_is_below_the_rate_and_grows_with_the_errors(requests, data):
    errors = data.draw(st.integers(0, requests - 1))
    assert 0 <= lower_bound(errors, requests) <= errors / requests + 1e-12
    assert lower_bound(errors, requests) <= lower_bound(errors + 1, requests)


def test_the_bound_is_wilsons():
    # 10 of 100 at 95 %: 0.0552, as in Brown, Cai, DasGupta, Interval estimation for a binomial proportion (2001).
    assert round(lower_bound(10, 100, deviations=1.959964), 4) == 0.0552
