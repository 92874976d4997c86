"""What reports add up to, whatever is lost, comes twice or begins again."""

import dataclasses
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.features.deployments.demand import SILENCE, Demand
from modelyard.features.deployments.load import Loaded, Tally, between
from modelyard.protocol.load import BOUNDS, DeploymentLoad, LoadReport, VersionLoad

NOW = datetime(2030, 1, 1, tzinfo=UTC)
V1 = Loaded("sales/churn", 1, "churn")
counts = st.integers(0, 1_000_000)


def report(at=10.0, *, gateway="g", started_at=0.0, requests=0, errors=0, micros=0, buckets=None, **deployment):
    buckets = buckets or (requests, *[0] * len(BOUNDS))
    version = VersionLoad(
        model=V1.model, version=V1.version, deployment=V1.deployment,
        requests=requests, errors=errors, rows=2 * requests, micros=micros, buckets=buckets,
    )  # fmt: skip
    load = DeploymentLoad(key="churn", **({"in_flight": 0, "waiting": 0, "refused": 0} | deployment))
    return LoadReport(gateway=gateway, started_at=started_at, at=at, versions=(version,), deployments=(load,))


def of(window):
    return window.versions.get(V1, Tally())


def test_a_window_is_the_difference_of_two_reports():
    window = between([report(10, requests=100, micros=5_000_000)], [report(20, requests=150, micros=35_000_000)])
    assert (of(window).requests, of(window).rows, of(window).in_flight) == (50, 100, 3.0)


def test_several_gateways_add_up():
    ends = [report(20, gateway=name, requests=10, micros=20_000_000) for name in "ab"]
    assert (of(between([], ends)).requests, of(between([], ends)).in_flight) == (20, 2.0)


def test_a_gateway_that_began_again_counts_from_zero():
    window = between([report(10, requests=100)], [report(20, started_at=15.0, requests=7, micros=10_000_000)])
    assert (of(window).requests, of(window).in_flight) == (7, 2.0)


def test_refusals_are_counted_by_deployment():
    assert between([report(10, refused=3)], [report(20, refused=8)]).refused == {"churn": 5}


def test_a_latency_lies_within_the_bucket_that_holds_it():
    tally = Tally(requests=100, buckets=(90, 10, *[0] * (len(BOUNDS) - 1)))
    assert tally.quantile(0.45) == pytest.approx(125)
    assert tally.quantile(0.95) == pytest.approx(375)
    assert Tally().quantile(0.95) is None
    assert Tally(buckets=(*[0] * len(BOUNDS), 1)).quantile(0.5) == BOUNDS[-1]


lives = st.lists(
    st.tuples(st.sampled_from("ab"), st.lists(st.tuples(counts, counts), min_size=1, max_size=6)), max_size=4
)


@st.composite
def histories(draw):
    """Reports of gateways that were started again and again, in order: counts only ever grow within a life."""
    found = []
    for number, (gateway, growth) in enumerate(draw(lives)):
        requests = micros = 0
        for tick, (more, longer) in enumerate(growth):
            requests, micros = requests + more, micros + longer
            found.append(
                report(
                    100.0 * number + tick + 1, gateway=gateway, started_at=100.0 * number,
                    requests=requests, micros=micros, refused=requests // 7,
                )
            )  # fmt: skip
    return found


@given(histories(), st.randoms(use_true_random=False))
def test_repeated_and_shuffled_reports_change_nothing(history, dice):
    again = [*history, *history[::2]]
    dice.shuffle(again)
    assert between([], again) == between([], history)


@given(histories())
def test_every_request_is_counted_once_however_the_time_is_cut(history):
    cuts = [history[:end] for end in range(len(history) + 1)]
    parts = [of(between(earlier, later)).requests for earlier, later in pairwise(cuts)]
    assert sum(parts) == of(between([], history)).requests


@given(histories(), st.data())
def test_lost_reports_only_make_windows_longer(history, data):
    kept = [one for one in history if data.draw(st.booleans())]
    last = {(one.gateway, one.started_at) for one in history}
    ends = [
        max((one for one in history if (one.gateway, one.started_at) == life), key=lambda one: one.at) for life in last
    ]
    cuts = [kept[:end] for end in range(len(kept) + 1)]
    seen = sum(of(between(earlier, later)).requests for earlier, later in pairwise([*cuts, [*kept, *ends]]))
    assert seen == of(between([], history)).requests


@given(st.lists(counts, min_size=len(BOUNDS) + 1, max_size=len(BOUNDS) + 1), st.floats(0, 1), st.floats(0, 1))
def test_a_higher_share_never_has_a_lower_latency(buckets, one, two):
    tally = dataclasses.replace(Tally(), buckets=tuple(buckets))
    if sum(buckets):
        assert tally.quantile(min(one, two)) <= tally.quantile(max(one, two)) <= BOUNDS[-1]


# --- second by second


def fed(*reports, embedded=frozenset()):
    """Demand as it is once each (second, report) has come."""
    demand = Demand()
    for second, one in reports:
        demand.take(NOW + timedelta(seconds=second), one, embedded)
    return demand


def test_samples_say_what_was_in_flight_each_second():
    demand = fed(*((n, report(100 + n, requests=10 * n, micros=3_000_000 * n)) for n in range(6)))
    demand.look(NOW + timedelta(seconds=5))
    assert [round(sample.in_flight, 3) for sample in demand.samples("churn")][1:] == [3.0] * 4


def test_what_is_asked_of_embedded_versions_is_asked_of_no_replica():
    reports = [(n, report(100 + n, requests=10 * n, micros=3_000_000 * n)) for n in range(6)]
    demand = fed(*reports, embedded={V1})
    assert {sample.in_flight for sample in demand.samples("churn")} == {0.0}
    assert demand.idle_since("churn", NOW + timedelta(seconds=5)) == NOW


def test_what_embedded_versions_send_on_to_replicas_is_seen():
    demand = fed(*((n, report(100 + n, requests=n, in_flight=2)) for n in range(3)), embedded={V1})
    assert demand.samples("churn")[-1].in_flight == 2


def test_a_refusal_is_in_one_sample_only():
    demand = fed((0, report(100)), (1, report(101, refused=4)), (2, report(102, refused=4)))
    demand.look(NOW + timedelta(seconds=4))
    assert sum(sample.refused for sample in demand.samples("churn")) == 4


def test_nothing_is_known_of_a_time_without_reports():
    demand = fed((0, report(100)))
    demand.look(NOW + SILENCE)
    later = NOW + SILENCE * 3
    demand.look(later)
    assert demand.samples("churn")[-1].at <= NOW + SILENCE
    assert demand.idle_since("churn", later) is None


def test_it_is_idle_since_the_last_request():
    demand = fed((0, report(100)), (3, report(103, requests=1)), (4, report(104, requests=1)))
    assert demand.idle_since("churn", NOW + timedelta(seconds=5)) == NOW + timedelta(seconds=3)
    assert demand.idle_since("other", NOW + timedelta(seconds=5)) == NOW


def test_of_what_a_gateway_counted_before_anybody_looked_nothing_is_said():
    demand = fed(
        (0, report(5000, requests=1_000_000, micros=10**12)), (1, report(5001, requests=1_000_000, micros=10**12))
    )
    demand.look(NOW + timedelta(seconds=2))
    assert {sample.in_flight for sample in demand.samples("churn")} == {0.0}
