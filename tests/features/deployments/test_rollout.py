from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from modelyard.features.deployments.rollout import PATIENCE, Seen, Wanted, back_off, decide, state_of

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LONG_AGO = NOW - timedelta(hours=1)


def wanted(**changes):
    usual = {
        "running": True,
        "revision": 2,
        "replicas": 1,
        "empty": False,
        "not_before": None,
        "start_limit": timedelta(seconds=60),
    }
    return Wanted(**(usual | changes))


def seen(replica_id, *, revision=2, state="ready", alive=True, known=True, since=NOW):
    return Seen(id=replica_id, revision=revision, state=state, alive=alive, known=known, since=since)


def test_the_old_replica_serves_until_the_new_one_is_ready():
    starting = decide(wanted(), [seen("old", revision=1), seen("new", state="starting")], NOW)
    assert (starting.start, starting.drain, starting.end) == (0, (), ())
    ready = decide(wanted(), [seen("old", revision=1), seen("new")], NOW)
    assert ready.drain == ("old",)


def test_the_old_replica_serves_until_every_gateway_knows_the_new_one():
    assert decide(wanted(), [seen("old", revision=1), seen("new", known=False)], NOW).drain == ()


def test_a_draining_replica_ends_only_when_every_gateway_knows_that_it_drains():
    def old(**changes):
        return seen("old", revision=1, state="draining", **changes)

    assert decide(wanted(), [seen("new"), old(known=False)], NOW).end == ()
    assert decide(wanted(), [seen("new"), old()], NOW).end == ("old",)


def test_a_gateway_that_says_nothing_is_not_waited_for_for_ever():
    silent = seen("old", revision=1, state="draining", known=False)
    assert decide(wanted(), [seen("new"), silent], NOW + PATIENCE).end == ("old",)


def test_a_deployment_is_ready_only_when_every_gateway_answers_with_it():
    assert state_of(wanted(), [seen("new", known=False)], failures=0) == "pending"


def test_a_new_revision_that_never_becomes_ready_leaves_the_old_one_serving():
    replicas = [seen("old", revision=1), seen("new", state="starting", since=LONG_AGO)]
    steps = decide(wanted(), replicas, NOW)
    assert steps.late == ("new",)
    assert steps.drain == ()
    assert steps.start == 1


def test_a_dead_replica_is_lost_and_another_is_started():
    steps = decide(wanted(), [seen("dead", alive=False)], NOW)
    assert (steps.lost, steps.start) == (("dead",), 1)


def test_nothing_is_started_before_the_back_off_is_over():
    assert decide(wanted(not_before=NOW + timedelta(seconds=1)), [], NOW).start == 0
    assert decide(wanted(not_before=NOW), [], NOW).start == 1


def test_a_stopped_deployment_drains_everything_and_starts_nothing():
    steps = decide(wanted(running=False), [seen("a"), seen("b", state="starting")], NOW)
    assert steps.drain == ("a", "b")
    assert steps.start == 0


def test_scaling_down_drains_the_youngest():
    replicas = [seen("old", since=LONG_AGO), seen("young", since=NOW)]
    assert decide(wanted(replicas=1), replicas, NOW).drain == ("young",)


def test_the_back_off_doubles_up_to_half_a_minute():
    assert [back_off(n).total_seconds() for n in (0, 1, 2, 20)] == [0.2, 0.4, 0.8, 30.0]


def test_a_deployment_is_degraded_while_its_old_revision_serves_and_the_new_one_fails():
    assert state_of(wanted(), [seen("old", revision=1)], failures=1) == "degraded"
    assert state_of(wanted(), [], failures=1) == "failed"
    assert state_of(wanted(), [seen("new")], failures=0) == "ready"
    assert state_of(wanted(), [], failures=0) == "pending"


replicas = st.lists(
    st.builds(
        Seen,
        id=st.uuids().map(str),
        revision=st.integers(1, 3),
        state=st.sampled_from(["starting", "ready", "draining"]),
        alive=st.booleans(),
        known=st.booleans(),
        since=st.sampled_from([NOW, LONG_AGO]),
    ),
    max_size=6,
    unique_by=lambda replica: replica.id,
)


@given(replicas, st.integers(1, 3), st.booleans())
def test_whatever_is_there_a_serving_deployment_is_never_left_without_a_ready_replica(there, count, running):
    steps = decide(wanted(replicas=count, running=running, revision=3), there, NOW)
    ready = {replica.id for replica in there if replica.state == "ready" and replica.alive and replica.known}
    if running and ready:
        assert ready - set(steps.drain) - set(steps.end)


@given(replicas, st.integers(1, 3))
def test_it_settles_at_exactly_the_wanted_replicas_from_wherever_it_begins(there, count):
    now, number = NOW, 0
    for _ in range(12):
        steps = decide(wanted(replicas=count, revision=3), there, now)
        gone = {*steps.lost, *steps.late, *steps.end}
        there = [
            Seen(
                id=replica.id,
                revision=replica.revision,
                state="draining"
                if replica.id in steps.drain
                else "ready"
                if replica.state == "starting"
                else replica.state,
                alive=replica.alive,
                known=True,
                since=now if replica.id in steps.drain else replica.since,
            )
            for replica in there
            if replica.id not in gone
        ]
        there += [seen(f"new-{number + n}", revision=3, state="starting", since=now) for n in range(steps.start)]
        number += steps.start
        now += PATIENCE
    assert [(replica.revision, replica.state) for replica in there] == [(3, "ready")] * count
