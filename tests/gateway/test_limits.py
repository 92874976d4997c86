"""What a limiter decides by itself, by a clock that the test moves."""

import math
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.core.settings import Settings
from modelyard.gateway.limits import Limiter
from modelyard.protocol.routing import Caller, Rate, RoutingTable

ANY_RATE = st.floats(0.01, 1e4)
EVER_SO_LITTLE = 1e-6


class Clock:
    def __init__(self):
        self.now = 1e6

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def limiter(tmp_path, clock):
    return Limiter(Settings(data=tmp_path), name="gateway-1", clock=clock)


def key(name="key_1", **rate):
    return Caller(id=name, user="usr_1", rate=Rate(**rate) if rate else None)


def table(*callers, **rates):
    return RoutingTable(
        number=1,
        keys={f"digest of {caller.id}": caller for caller in callers},
        rates={prefix.replace("__", "/"): rate for prefix, rate in rates.items()},
    )


def admitted(limiter, caller, prefix="sales", tries=10_000):
    """How many requests go on at once."""
    return next((count for count in range(tries) if limiter.admit(caller, prefix)), tries)


def test_without_any_limit_every_request_goes_on(limiter):
    caller = key()
    limiter.swap(table(caller))
    assert admitted(limiter, caller, tries=1000) == 1000


@pytest.mark.parametrize(("rate", "burst"), [(100, 100), (2.5, 2), (1, 1), (0.1, 1)])
def test_a_burst_of_what_a_second_gives_goes_on_and_one_request_at_the_least(limiter, rate, burst):
    caller = key(requests=rate)
    limiter.swap(table(caller))
    assert admitted(limiter, caller) == burst


def test_who_waits_as_long_as_told_goes_on_then_and_not_earlier(limiter, clock):
    caller = key(requests=0.1)
    limiter.swap(table(caller))
    assert limiter.admit(caller, "sales") == 0.0
    assert limiter.admit(caller, "sales") == pytest.approx(10, abs=1e-5)
    clock.now += 9.99
    assert limiter.admit(caller, "sales") == pytest.approx(0.01, abs=1e-5)
    clock.now += 0.01 + EVER_SO_LITTLE
    assert limiter.admit(caller, "sales") == 0.0


def test_keys_have_buckets_of_their_own(limiter):
    one, other, free = key("key_1", requests=3), key("key_2", requests=5), key("key_3")
    limiter.swap(table(one, other, free))
    assert (admitted(limiter, one), admitted(limiter, other), admitted(limiter, free, tries=50)) == (3, 5, 50)


def test_a_key_s_limit_counts_over_all_prefixes(limiter):
    caller = key(requests=3)
    limiter.swap(table(caller))
    assert (admitted(limiter, caller, "sales"), admitted(limiter, caller, "support")) == (3, 0)


def test_a_prefix_s_limit_holds_for_all_callers_together_and_for_the_prefixes_below(limiter):
    one, other = key("key_1"), key("key_2")
    limiter.swap(table(one, other, sales=Rate(requests=4)))
    assert limiter.admit(one, "sales") == 0.0
    assert limiter.admit(other, "sales/europe/north") == 0.0
    assert admitted(limiter, one, "sales/europe") == 2
    assert limiter.admit(other, "sales") > 0


def test_a_limit_below_does_not_hold_above_nor_one_whose_name_only_begins_alike(limiter):
    caller = key()
    limiter.swap(table(caller, sales=Rate(requests=5), sales__europe=Rate(requests=2)))
    assert admitted(limiter, caller, "sales/europe") == 2
    assert admitted(limiter, caller, "salesforce", tries=50) == 50
    assert admitted(limiter, caller, "sales") == 3


def test_a_request_that_one_limit_refuses_is_not_taken_from_another(limiter, clock):
    caller = key(requests=10)
    limiter.swap(table(caller, sales=Rate(requests=1)))
    assert admitted(limiter, caller, "sales") == 1
    assert all(limiter.admit(caller, "sales") for _ in range(100))
    assert admitted(limiter, caller, "support") == 9


def test_rows_go_into_debt_which_the_next_request_waits_for(limiter, clock):
    caller = key(rows=10)
    limiter.swap(table(caller))
    assert limiter.admit(caller, "sales") == 0.0
    limiter.charge(caller, "sales", 1000)
    # 10 were there, so 990 are owed, and one must be there again.
    assert limiter.admit(caller, "sales") == pytest.approx(99.1, abs=1e-5)
    clock.now += 99.1 + EVER_SO_LITTLE
    assert limiter.admit(caller, "sales") == 0.0


def test_requests_are_not_taken_from_the_rows_nor_rows_from_the_requests(limiter):
    caller = key(requests=5, rows=1000)
    limiter.swap(table(caller))
    assert limiter.admit(caller, "sales") == 0.0
    limiter.charge(caller, "sales", 900)
    assert admitted(limiter, caller) == 4


def test_an_answer_without_rows_costs_none(limiter):
    caller = key(rows=1)
    limiter.swap(table(caller))
    limiter.charge(caller, "sales", 0)
    assert limiter.admit(caller, "sales") == 0.0


def test_a_new_table_leaves_the_buckets_of_unchanged_limits_as_they_are(limiter):
    caller = key(requests=3)
    limiter.swap(table(caller, support=Rate(requests=7)))
    assert admitted(limiter, caller) == 3
    limiter.swap(table(caller, other=Rate(requests=2)))
    assert limiter.admit(caller, "sales") > 0


def test_a_changed_limit_begins_with_a_full_bucket_and_a_removed_one_holds_nobody_up(limiter):
    limiter.swap(table(key(rows=1)))
    limiter.charge(key(), "sales", 1_000_000)
    assert limiter.admit(key(), "sales") > 900_000
    limiter.swap(table(key(rows=2)))
    assert limiter.admit(key(), "sales") == 0.0
    limiter.charge(key(), "sales", 1_000_000)
    limiter.swap(table(key()))
    assert limiter.admit(key(), "sales") == 0.0


def test_an_answer_that_comes_after_the_limit_went_is_no_trouble(limiter):
    caller = key(rows=1)
    limiter.swap(table(caller, sales=Rate(rows=1)))
    assert limiter.admit(caller, "sales") == 0.0
    limiter.swap(table())
    limiter.charge(caller, "sales", 100)


def test_who_is_refused_is_told_which_limit_holds_it_up_the_longest(limiter):
    caller = key(requests=2)
    limiter.swap(table(caller, sales=Rate(rows=0.5)))
    assert admitted(limiter, caller, "sales/europe") == 2
    error = limiter.told(caller, "sales/europe")
    assert error.status == 429
    assert error.detail == {"limit": "key", "subject": "key_1", "unit": "requests", "per_second": 2}
    assert error.retry_after == pytest.approx(0.5, abs=1e-5)
    assert "2 requests a second" in error.message
    limiter.charge(caller, "sales/europe", 3)
    error = limiter.told(caller, "sales/europe")
    assert error.detail == {"limit": "prefix", "subject": "sales", "unit": "rows", "per_second": 0.5}
    assert error.retry_after == pytest.approx(6, abs=1e-5)


@pytest.mark.parametrize("rate", [1e9, 1e-9, 5e-324])
def test_waits_stay_numbers_whatever_the_rate(limiter, rate):
    caller = key(requests=rate, rows=rate)
    limiter.swap(table(caller))
    assert limiter.admit(caller, "sales") == 0.0
    limiter.charge(caller, "sales", 10**12)
    assert 0 < limiter.admit(caller, "sales") < math.inf
    assert limiter.told(caller, "sales").message


def test_no_more_pairs_are_remembered_than_there_is_room_for(limiter, monkeypatch):
    monkeypatch.setattr("modelyard.gateway.limits.limiter.CHAINS", 10)
    caller = key(requests=5)
    limiter.swap(table(caller))
    assert sum(limiter.admit(caller, f"prefix-{number}") == 0.0 for number in range(1000)) == 5


@given(ANY_RATE, st.lists(st.tuples(st.floats(0, 3), st.integers(1, 50)), max_size=60))
def test_no_window_ever_sees_more_than_the_burst_and_its_rate(tmp_path_factory, rate, arrivals):
    clock, caller, at = Clock(), key(requests=rate), []
    limiter = Limiter(Settings(data=tmp_path_factory.getbasetemp()), name="gateway-1", clock=clock)
    limiter.swap(table(caller))
    for pause, requests in arrivals:
        clock.now += pause
        at += [clock.now for _ in range(requests) if not limiter.admit(caller, "sales")]
    burst = max(1, rate)
    for first, begin in enumerate(at):
        for last, end in enumerate(at[first:], first):
            assert last - first + 1 <= burst + rate * (end - begin + EVER_SO_LITTLE) + 1e-3


@given(ANY_RATE, st.lists(st.tuples(st.floats(-100, 100), st.integers(1, 20)), min_size=1, max_size=40))
def test_a_clock_that_jumps_gives_no_more_than_the_time_that_it_shows(tmp_path_factory, rate, arrivals):
    clock, caller = Clock(), key(requests=rate)
    limiter = Limiter(Settings(data=tmp_path_factory.getbasetemp()), name="gateway-1", clock=clock)
    limiter.swap(table(caller))
    went, forward = 0, 0.0
    for number, (jump, requests) in enumerate(arrivals):
        clock.now += jump
        forward += max(jump, 0.0) if number else 0.0
        went += sum(not limiter.admit(caller, "sales") for _ in range(requests))
    assert went <= max(1, rate) + rate * (forward + EVER_SO_LITTLE) + 1e-3


@given(ANY_RATE, st.lists(st.integers(0, 10_000), min_size=1, max_size=30))
def test_in_the_long_run_rows_come_at_exactly_their_rate(tmp_path_factory, rate, answers):
    clock, caller = Clock(), key(rows=rate)
    limiter = Limiter(Settings(data=tmp_path_factory.getbasetemp()), name="gateway-1", clock=clock)
    limiter.swap(table(caller))
    begin, burst = clock.now, max(1, rate)
    for rows, before in zip(answers, accumulate(answers, initial=0), strict=False):
        while wait := limiter.admit(caller, "sales"):
            clock.now += wait + EVER_SO_LITTLE
        # All before it is paid off, and one row is there; nobody had to wait for more than that.
        assert before + 1 <= burst + rate * (clock.now - begin + EVER_SO_LITTLE) + 1e-3
        assert rate * (clock.now - begin) <= before + 1 + rate * EVER_SO_LITTLE * 2 * len(answers) + 1e-3
        limiter.charge(caller, "sales", rows)
