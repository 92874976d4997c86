import dataclasses
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from modelyard.features.deployments.rollout import PATIENCE, Seen, Steps, Wanted, back_off, decide, state_of

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LONG_AGO = NOW - timedelta(hours=1)


def wanted(**changes):
    usual = {
        "running": True,
        "content": 2,
        "replicas": 1,
        "empty": False,
        "not_before": None,
        "start_limit": timedelta(seconds=60),
    }
    return Wanted(**(usual | changes))


def seen(replica_id, *, content=2, state="ready", alive=True, known=True, since=NOW, hung=False):
    return Seen(id=replica_id, content=content, state=state, alive=alive, known=known, since=since, hung=hung)


def test_the_old_replica_serves_until_the_new_one_is_ready():
    starting = decide(wanted(), [seen("old", content=1), seen("new", state="starting")], NOW)
    assert (starting.start, starting.drain, starting.end) == (0, (), ())
    ready = decide(wanted(), [seen("old", content=1), seen("new")], NOW)
    assert ready.drain == ("old",)


def test_the_old_replica_serves_until_every_gateway_knows_the_new_one():
    assert decide(wanted(), [seen("old", content=1), seen("new", known=False)], NOW).drain == ()


def test_a_draining_replica_ends_only_when_every_gateway_knows_that_it_drains():
    def old(**changes):
        return seen("old", content=1, state="draining", **changes)

    assert decide(wanted(), [seen("new"), old(known=False)], NOW).end == ()
    assert decide(wanted(), [seen("new"), old()], NOW).end == ("old",)


def test_a_gateway_that_says_nothing_is_not_waited_for_for_ever():
    silent = seen("old", content=1, state="draining", known=False)
    assert decide(wanted(), [seen("new"), silent], NOW + PATIENCE).end == ("old",)


def test_a_deployment_is_ready_only_when_every_gateway_answers_with_it():
    assert state_of(wanted(), [seen("new", known=False)], failures=0) == "pending"


def test_a_new_revision_that_never_becomes_ready_leaves_the_old_one_serving():
    replicas = [seen("old", content=1), seen("new", state="starting", since=LONG_AGO)]
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
    assert state_of(wanted(), [seen("old", content=1)], failures=1) == "degraded"
    assert state_of(wanted(), [], failures=1) == "failed"
    assert state_of(wanted(), [seen("new")], failures=0) == "ready"
    assert state_of(wanted(), [], failures=0) == "pending"


replicas = st.lists(
    st.builds(
        Seen,
        id=st.uuids().map(str),
        content=st.integers(1, 3),
        state=st.sampled_from(["starting", "ready", "draining"]),
        alive=st.booleans(),
        known=st.booleans(),
        hung=st.booleans(),
        since=st.sampled_from([NOW, LONG_AGO]),
        # Only one that answered once can cease to.
    ).map(lambda one: dataclasses.replace(one, hung=one.hung and one.state == "ready")),
    max_size=6,
    unique_by=lambda replica: replica.id,
)


@given(replicas, st.integers(1, 3), st.booleans())
def test_whatever_is_there_a_serving_deployment_is_never_left_without_a_ready_replica(there, count, running):
    steps = decide(wanted(replicas=count, running=running, content=3), there, NOW)
    ready = {one.id for one in there if one.state == "ready" and one.alive and one.known and not one.hung}
    if running and ready:
        assert ready - set(steps.drain) - set(steps.end)


def test_a_replica_that_hangs_is_ended_and_another_is_started():
    steps = decide(wanted(), [seen("stuck", hung=True)], NOW)
    assert (steps.hung, steps.lost, steps.start) == (("stuck",), (), 1)


def test_one_that_starts_is_not_taken_to_hang():
    assert decide(wanted(), [seen("new", state="starting", hung=True)], NOW) == Steps()


def test_other_weights_and_rules_touch_no_replica():
    assert decide(wanted(content=2), [seen("a", content=2)], NOW) == Steps()


def test_scaled_to_zero_everything_drains_and_the_deployment_is_as_it_is_to_be():
    asleep = wanted(replicas=0)
    steps = decide(asleep, [seen("a"), seen("old", content=1), seen("b", state="starting")], NOW)
    assert (set(steps.drain), steps.start) == ({"a", "old", "b"}, 0)
    assert asleep.asleep
    assert state_of(asleep, [], failures=0) == "ready"


def test_scaling_down_keeps_those_that_every_gateway_knows():
    replicas = [seen("unknown", since=LONG_AGO, known=False), seen("known", since=NOW)]
    assert decide(wanted(replicas=1), replicas, NOW).drain == ("unknown",)


class World:
    """Replicas that do as they are told, and a gateway that learns one turn later. Every start has its own number."""

    def __init__(self, there):
        self.now, self.there, self.started = NOW, there, 0

    def turn(self, goal, answers=True):
        """One step; `answers`: those that start become ready."""
        steps = decide(goal, self.there, self.now)
        gone = {*steps.lost, *steps.hung, *steps.late, *steps.end}
        moved = []
        for replica in self.there:
            if replica.id in gone:
                continue
            state = replica.state
            if replica.id in steps.drain:
                state = "draining"
            elif state == "starting" and replica.alive and answers:
                state = "ready"
            changed = state != replica.state
            moved.append(
                dataclasses.replace(
                    replica, state=state, known=not changed, since=self.now if changed else replica.since
                )
            )
        made = [
            seen(f"new-{self.started + number}", content=goal.content, state="starting", since=self.now, known=False)
            for number in range(steps.start)
        ]
        self.started += len(made)
        self.there = [*moved, *made]
        self.now += timedelta(seconds=1)
        return steps

    def ready(self):
        return [one for one in self.there if one.state == "ready" and one.alive and not one.hung]


@given(replicas, st.integers(0, 3), st.booleans())
def test_it_settles_at_exactly_what_is_wanted_from_wherever_it_begins(there, count, running):
    goal, world = wanted(replicas=count, content=3, running=running), World(there)
    for _ in range(12):
        world.turn(goal)
    assert [(one.content, one.state) for one in world.there] == [(3, "ready")] * (count if running else 0)
    assert decide(goal, world.there, world.now) == Steps()


@given(replicas, st.integers(0, 3), st.lists(st.booleans(), max_size=12))
def test_a_change_never_leaves_fewer_than_are_wanted_or_were_there(there, count, answers):
    goal, world = wanted(replicas=count, content=3), World(there)
    before = min(count, len(world.ready()))
    for new_ones_answer in [*answers, True, True, True]:
        world.turn(goal, new_ones_answer)
        assert len(world.ready()) >= before


@given(replicas, st.integers(0, 3), st.lists(st.booleans(), max_size=12))
def test_nothing_is_started_twice(there, count, answers):
    goal, world = wanted(replicas=count, content=3), World(there)
    fit = [
        one for one in there if one.content == 3 and one.alive and one.state != "draining"
        and not one.hung and not (one.state == "starting" and one.since == LONG_AGO)
    ]  # fmt: skip
    for new_ones_answer in [*answers, True]:
        world.turn(goal, new_ones_answer)
    assert world.started == max(0, count - len(fit))
