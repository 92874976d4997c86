"""The arithmetic of shares."""

from hypothesis import given
from hypothesis import strategies as st

from modelyard.features.deployments.shares import described, fitting, share_out
from modelyard.protocol.routing import HeaderRule, Shadow, Traffic

parts = st.lists(st.integers(0, 100), min_size=1, max_size=8)


def shared(weights, total):
    entries = [{"version": str(place), "weight": weight} for place, weight in enumerate(weights)]
    share_out(entries, total)
    return [entry["weight"] for entry in entries]


@given(parts, st.integers(0, 100))
def test_shares_make_the_total_and_are_within_one_of_the_exact_ones(weights, total):
    found = shared(weights, total)
    exact = [total * weight / (sum(weights) or 1) for weight in weights] if sum(weights) else [total / len(weights)]
    assert sum(found) == total
    assert min(found) >= 0
    assert all(abs(share - true) < 1 for share, true in zip(found, exact * len(weights), strict=False))


@given(parts)
def test_what_makes_the_total_already_stays(weights):
    assert shared(weights, sum(weights)) == weights or not sum(weights)


def test_who_has_nothing_gets_nothing_unless_all_have_nothing():
    assert shared([0, 50, 50], 90) == [0, 45, 45]
    assert shared([0, 0, 0], 100) == [34, 33, 33]
    assert shared([3, 3, 3, 1], 2) == [1, 1, 0, 0]
    assert shared([], 100) == []


RULES = Traffic(
    headers=(HeaderRule("x-tier", "beta", 2), HeaderRule("x-tier", "gold", 1)),
    sticky="x-user",
    shadows=(Shadow(3, 50),),
)
HELD = {1: {"version": "a", "weight": 100}, 2: {"version": "b", "weight": 0}, 3: {"version": "c", "weight": 0}}


def test_rules_that_fit_are_kept_whole():
    assert fitting({"sales/churn": RULES}, {"sales/churn": HELD}) == ({"sales/churn": RULES}, [])


def test_rules_of_versions_that_left_are_dropped_and_said():
    kept, dropped = fitting({"sales/churn": RULES}, {"sales/churn": {1: HELD[1]}})
    assert kept == {"sales/churn": Traffic(headers=(HeaderRule("x-tier", "gold", 1),), sticky="x-user")}
    assert dropped == ["sales/churn: x-tier=beta → v2; shadow v3 50 %"]


def test_a_shadow_that_gets_traffic_is_a_shadow_no_longer():
    kept, dropped = fitting({"sales/churn": RULES}, {"sales/churn": HELD | {3: {"version": "c", "weight": 1}}})
    assert kept["sales/churn"].shadows == ()
    assert dropped == ["sales/churn: shadow v3 50 %"]


def test_the_rules_of_a_model_that_left_go_with_it():
    assert fitting({"sales/churn": RULES}, {}) == ({}, [f"sales/churn: {described(RULES)}"])
    assert described(RULES) == "x-tier=beta → v2; x-tier=gold → v1; sticky by x-user; shadow v3 50 %"
