"""What the controller does about replicas, with real processes."""

import signal

from fixtures.waiting import wait_until
from modelyard.features.deployments import loads, operations, schemas, traffic


def test_a_deployment_becomes_ready_and_its_replica_is_measured(world):
    world.create("churn", v1=100)
    (process,) = world.see("churn").processes
    (micros,) = world.replica(process.id).micros.values()
    assert micros > 0
    (model,) = world.table().models
    assert model.versions[0].state == "ready"
    assert (model.versions[0].embedded is not None) == (micros <= 200)
    assert [column.name for column in model.versions[0].schema.inputs] == ["x", "n", "flag", "plan"]


def test_a_replica_that_hangs_is_replaced(world):
    world.create("churn", v1=100)
    (stuck,) = world.replicas()
    world.send(stuck, signal.SIGSTOP)
    wait_until(lambda: stuck not in world.replicas(), 40, what="the stopped process is killed")
    found = world.becomes("churn", "ready")
    assert [process.id for process in found.processes] != [stuck]
    assert len(world.replicas()) == 1
    assert world.replica(stuck).message == "it did not answer for 10 s"
    assert f"replica: {stuck} ended: it did not answer for 10 s" in world.events("churn")


def test_one_that_was_stopped_for_a_moment_stays(world):
    world.create("churn", v1=100)
    (paused,) = world.replicas()
    world.send(paused, signal.SIGSTOP)
    number = world.table().number
    # Some turns later:
    world.do(operations.set_lane, "churn", "isolated")
    wait_until(lambda: world.table().number > number)
    world.send(paused, signal.SIGCONT)
    world.do(operations.scale, "churn", 2)
    wait_until(lambda: world.see("churn").ready_replicas == 2, 40)
    assert paused in world.replicas()


def test_new_weights_and_rules_start_no_process(world):
    world.create("churn", v1=100, v2=0)
    before = world.replicas()
    rules = schemas.TrafficSet(model="sales/churn", weights={"v1": 60, "v2": 40}, sticky="x-user")
    world.do(traffic.set_traffic, "churn", rules)
    wait_until(lambda: world.table().models[0].traffic.sticky == "x-user", what="the rules are published")
    assert {version.number: version.weight for version in world.table().models[0].versions} == {1: 60, 2: 40}
    assert world.becomes("churn", "ready").revision == 2
    assert world.replicas() == before


def test_one_that_is_scaled_to_zero_sleeps_until_somebody_asks(world):
    world.create("churn", v1=100)
    world.wish("churn", autoscale={"minimum": 0, "maximum": 2, "target": 4, "idle_seconds": 600}, replicas=0)
    wait_until(lambda: not world.replicas(), 40, what="the replica leaves")
    found = world.becomes("churn", "ready")
    assert found.message == "asleep: wakes on the first request"
    assert world.table().models[0].versions[0].state == "asleep"
    with world.platform.database.session() as session:
        loads.wake(session, "churn")
    wait_until(lambda: world.table().models[0].versions[0].state == "ready", 40, what="it is awake")
    assert world.becomes("churn", "ready").message == ""
    assert "autoscaled: 0 → 1: a request waits" in world.events("churn")


def test_scaling_down_ends_replicas_without_hurry(world):
    world.create("churn", 2, v1=100)
    world.do(operations.scale, "churn", 1)
    wait_until(lambda: len(world.replicas()) == 1, 40)
    assert not [event for event in world.events("churn") if "ended:" in event]


def test_a_new_content_replaces_the_replica_only_once_it_is_ready(world):
    world.create("churn", v1=100)
    (old,) = world.replicas()
    seen = []
    world.do(operations.publish, schemas.Publish(model="sales/churn/v2", key="churn"))

    def replaced():
        routes = world.table().models[0].versions
        seen.append([route.number for route in routes if route.state == "ready"])
        return seen[-1] == [2] and old not in world.replicas()

    wait_until(replaced, 40)
    assert [] not in seen
