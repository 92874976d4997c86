"""A version on trial: what users start and end, and what the controller does in between."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from features.conftest import NOW
from features.deployments.conftest import ALL, weights
from modelyard.core.errors import Invalid, NotFound
from modelyard.features.deployments import canaries, operations, queries, schemas, shown, traffic
from modelyard.features.deployments.errors import CanaryRunning, CannotStartCanary, NoCanary
from modelyard.features.deployments.tables import CanaryRow

LATER = NOW + timedelta(minutes=1)


def trial(version="v3", **changes):
    return schemas.CanaryCreate(model=f"sales/churn/{version}", **changes)


def end(*, promote):
    return schemas.CanaryEnd(model="sales/churn", promote=promote)


@pytest.fixture
def begun(world):
    """v1 60 %, v2 40 %, and a canary of v3 at 5 %."""
    world.create("churn", v1=60, v2=40)
    return world.do(canaries.start_canary, "churn", trial())


def by_controller(world, step, *arguments):
    with world.database.session() as session:
        (canary,) = canaries.running(session)
        step(session, canary, *arguments, LATER)
    return world.see("churn")


def test_a_canary_begins_with_the_first_step_in_one_revision(world, begun):
    assert weights(begun) == {"v1": 57, "v2": 38, "v3": 5}
    assert (begun.revision, world.content("churn")) == (2, 2)  # v3 was not held before
    (canary,) = begun.canaries
    assert (canary.model, canary.version, canary.state, canary.share) == ("sales/churn", "v3", "running", 5)
    assert world.revisions("churn")[0].note == "canary: 5 % to v3"
    with world.database.session(read_only=True) as session:
        (row,) = canaries.running(session)
        assert [entry["weight"] for entry in row.before] == [60, 40, 0]
        assert (row.step, row.baseline) == (0, {})


def test_a_version_that_is_held_already_is_tried_without_new_replicas(world):
    world.create("churn", v1=60, v2=40, v3=0)
    world.do(canaries.start_canary, "churn", trial())
    assert world.content("churn") == 1


def test_the_controller_goes_on_step_by_step_to_the_whole(world, begun, running):
    assert weights(by_controller(world, canaries.advance)) == {"v1": 45, "v2": 30, "v3": 25}
    (row,) = running()
    assert (row.step, row.since, row.baseline) == (1, LATER, {})
    assert weights(by_controller(world, canaries.advance)) == {"v1": 30, "v2": 20, "v3": 50}
    found = by_controller(world, canaries.advance)
    assert weights(found) == {"v1": 0, "v2": 0, "v3": 100}
    assert (found.canaries[0].state, found.canaries[0].share) == ("succeeded", 100)
    assert {row.content for row in world.revisions("churn")[:4]} == {2}  # weights alone restart nothing
    assert world.revisions("churn")[0].created_by == "controller"
    assert [event.kind for event in world.events("churn")][:2] == ["revision", "canary"]
    assert running() == []


def test_the_controller_gives_up_at_once_and_says_why(world, begun, running):
    by_controller(world, canaries.advance)
    found = by_controller(world, canaries.roll_back, "12 of 100 requests failed")
    assert weights(found) == {"v1": 60, "v2": 40, "v3": 0}
    (canary,) = found.canaries
    assert (canary.state, canary.reason, canary.share) == ("rolled_back", "12 of 100 requests failed", 0)
    assert world.content("churn") == 2
    assert "12 of 100 requests failed" in world.events("churn")[0].message
    assert running() == []


def test_a_user_promotes_or_cancels(world, begun):
    assert weights(world.do(canaries.end_canary, "churn", end(promote=False))) == {"v1": 60, "v2": 40, "v3": 0}
    world.do(canaries.start_canary, "churn", trial())
    found = world.do(canaries.end_canary, "churn", end(promote=True))
    assert weights(found) == {"v1": 0, "v2": 0, "v3": 100}
    assert found.canaries[0].reason == "promoted by admin"
    with pytest.raises(NoCanary):
        world.do(canaries.end_canary, "churn", end(promote=True))
    with world.database.session(read_only=True) as session:
        rows = canaries.list_all(session, world.principal, "churn", ALL).rows
        assert [shown.canary(session, row).state for row in rows] == ["succeeded", "cancelled"]


def test_what_a_user_ended_the_controller_does_not_touch(world, begun):
    with world.database.session(read_only=True) as session:
        (seen,) = canaries.running(session)
    world.do(canaries.end_canary, "churn", end(promote=False))
    for step, arguments in ((canaries.advance, ()), (canaries.roll_back, ("slow",))):
        with world.database.session() as session:
            step(session, session.get_one(CanaryRow, seen.id), *arguments, LATER)
    found = world.see("churn")
    assert (found.canaries[0].state, weights(found)["v3"], found.revision) == ("cancelled", 0, 3)


def test_while_a_canary_runs_nobody_else_shares_out_its_model(world, begun):
    world.model("sales/price", 2)
    refusals = [
        (traffic.set_traffic, ("churn", schemas.TrafficSet(model="sales/churn", weights={"v1": 100}))),
        (operations.add, ("churn", schemas.DeployedCreate(model="sales/churn/v4"))),
        (operations.remove, ("churn", "sales/churn/v3")),
        (operations.remove, ("churn", "sales/churn")),
        (operations.rollback, ("churn", None)),
        (operations.publish, (schemas.Publish(model="sales/churn/v4", key="churn"),)),
        (canaries.start_canary, ("churn", trial("v4"))),
    ]
    for operation, arguments in refusals:
        with pytest.raises(CanaryRunning, match=r"sales/churn/v3 is running in churn \(5 %\).*canary-end churn"):
            world.do(operation, *arguments)
    assert world.see("churn").revision == 2
    world.do(operations.add, "churn", schemas.DeployedCreate(model="sales/price/v1"))
    world.do(operations.recreate, "churn")
    assert weights(world.do(operations.scale, "churn", 2)) == {"v1": 57, "v2": 38, "v3": 5}


def test_canaries_of_two_models_go_side_by_side(world, begun):
    world.model("sales/price", 2)
    world.do(operations.add, "churn", schemas.DeployedCreate(model="sales/price/v1"))
    found = world.do(canaries.start_canary, "churn", schemas.CanaryCreate(model="sales/price/v2", steps=[50]))
    assert [canary.model for canary in found.canaries] == ["sales/churn", "sales/price"]
    found = world.do(canaries.end_canary, "churn", end(promote=False))
    assert (weights(found), weights(found, "sales/price")) == ({"v1": 60, "v2": 40, "v3": 0}, {"v1": 50, "v2": 50})


def test_a_canary_rests_while_its_deployment_is_stopped_and_goes_with_it(world, begun, running):
    world.do(operations.stop, "churn")
    assert running() == []
    world.do(operations.start, "churn")
    assert len(running()) == 1
    with world.database.session() as session:
        operations.delete(session, world.principal, "churn", NOW)
        assert canaries.running(session) == []
        queries.drop_deployment(session, begun.id)
        assert session.query(CanaryRow).count() == 0


def test_a_canary_needs_something_to_be_compared_with(world):
    world.create("churn", v1=100, v2=0)
    with pytest.raises(CannotStartCanary, match="compare v1 with"):
        world.do(canaries.start_canary, "churn", trial("v1"))
    world.do(traffic.set_traffic, "churn", schemas.TrafficSet(model="sales/churn", shadows=[{"version": "v2"}]))
    with pytest.raises(CannotStartCanary, match="is a shadow"):
        world.do(canaries.start_canary, "churn", trial("v2"))
    world.do(operations.add, "churn", schemas.DeployedCreate(model="sales/churn/v3", weight=10))
    with pytest.raises(CannotStartCanary, match="has 10 % of the traffic already"):
        world.do(canaries.start_canary, "churn", trial("v3"))
    with pytest.raises(NotFound, match="v9"):
        world.do(canaries.start_canary, "churn", trial("v9"))
    for steps in ([50, 25], [5, 5]):
        with pytest.raises(Invalid, match="must rise"):
            world.do(canaries.start_canary, "churn", trial("v4", steps=steps))
    world.do(operations.stop, "churn")
    with pytest.raises(CannotStartCanary, match="is stopped"):
        world.do(canaries.start_canary, "churn", trial("v4"))
    assert world.see("churn").canaries == []


@pytest.mark.parametrize(
    "wanted",
    [
        {"steps": []}, {"steps": [0]}, {"steps": [100]},
        {"steps": list(range(1, 22))}, {"step_seconds": 0}, {"least_requests": 0}, {"error_rate": 1.1},
        {"latency_ratio": 0.5}, {"step_seconds": float("inf")}, {"step_seconds": float("nan")},
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(wanted):
    with pytest.raises(ValidationError):
        trial(**wanted)
