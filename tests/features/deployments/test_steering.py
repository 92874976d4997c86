"""What the load decides about rows: replicas and canaries, with events that say why."""

import re
from datetime import timedelta

import msgspec
import pytest

from features.deployments.conftest import weights
from modelyard.core.errors import Malformed
from modelyard.features.deployments import canaries, load_queries, loads, operations, queries, schemas
from modelyard.features.deployments.demand import Demand
from modelyard.features.deployments.snapshot import Photographer
from modelyard.features.deployments.steering import FAILURES, Steering
from modelyard.features.deployments.tables import CanaryRow, DeploymentRow, LoadRow, ReplicaRow
from modelyard.protocol.load import BOUNDS, DeploymentLoad, LoadReport, VersionLoad
from modelyard.protocol.processes import HeldVersion
from modelyard.protocol.routing import ModelRoute, RoutingTable, VersionRoute
from modelyard.storage.db.engine import now as db_now

AUTOMATIC = schemas.Autoscale(minimum=0, maximum=8, target=4, idle_seconds=60)


class Gateway:
    """A gateway that has counted since long ago; what it counts is told when it reports."""

    def __init__(self, database, name="g"):
        self.database, self.name = database, name
        with database.session(read_only=True) as session:
            self.begun = db_now(session) - timedelta(hours=1)
        self.counted = {}
        self.waiting = 0

    def answers(self, version, requests, *, errors=0, micros=1000):
        """So many more answers of sales/churn's version, each so long."""
        before = self.counted.get(version, VersionLoad(
            model="sales/churn", version=version, deployment="churn",
            requests=0, errors=0, rows=0, micros=0, buckets=(0,) * (len(BOUNDS) + 1),
        ))  # fmt: skip
        place = next((n for n, bound in enumerate(BOUNDS) if micros <= bound), len(BOUNDS))
        buckets = tuple(count + requests * (n == place) for n, count in enumerate(before.buckets))
        self.counted[version] = msgspec.structs.replace(
            before, requests=before.requests + requests, errors=before.errors + errors,
            rows=before.rows + requests, micros=before.micros + requests * micros, buckets=buckets,
        )  # fmt: skip

    def reports(self, seconds_ago=0.0):
        """A report that came so long ago."""
        with self.database.session() as session:
            at = db_now(session) - timedelta(seconds=seconds_ago)
            report = LoadReport(
                gateway=self.name, started_at=self.begun.timestamp(), at=at.timestamp(),
                versions=tuple(self.counted.values()),
                deployments=(DeploymentLoad(key="churn", in_flight=0, waiting=self.waiting, refused=0),),
            )  # fmt: skip
            loads.take(session, msgspec.json.encode(report))
            session.flush()
            session.query(LoadRow).order_by(LoadRow.id.desc()).first().at = at


@pytest.fixture
def gateway(database):
    return Gateway(database)


@pytest.fixture
def steer(database):
    """Let a controller look and act once; one that has just begun, unless another is given."""

    def once(steering=None, table=RoutingTable(number=1)):
        steering = steering or Steering()
        with database.session(read_only=True) as session:
            findings = steering.look(session, Photographer().take(session), table)
        with database.session() as session:
            steering.act(session, findings)
        return findings

    return once


@pytest.fixture
def change(database):
    def values(table=DeploymentRow, **changed):
        with database.session() as session:
            for row in session.query(table):
                for name, value in changed.items():
                    setattr(row, name, value)

    return values


@pytest.fixture
def add_replicas(database):
    def some(count, state="ready", message=""):
        with database.session() as session:
            row = session.query(DeploymentRow).one()
            content = queries.revision(session, row.id, row.revision).content
            now = db_now(session)
            for number in range(count):
                session.add(ReplicaRow(
                    id=f"rep_{number}_{state}", deployment=row.id, revision=content, state=state, address="",
                    message=message, since=now, told_in=1, micros={}, started_at=now,
                ))  # fmt: skip

    return some


# --- replicas


@pytest.fixture
def scaled(world):
    world.create("churn", v1=100)
    world.do(operations.set_autoscale, "churn", AUTOMATIC.model_copy(update={"minimum": 1}))
    return world


def busy(gateway, seconds, in_flight):
    """So many requests in flight on average, for so long until now."""
    for ago in reversed(range(seconds)):
        gateway.answers(1, 100, micros=in_flight * 10_000)
        gateway.reports(ago)


def test_load_brings_replicas_and_says_why(scaled, gateway, steer, add_replicas):
    add_replicas(1)
    busy(gateway, 15, in_flight=8)
    steer()
    assert scaled.see("churn").replicas == 2
    event = scaled.events("churn")[0]
    assert event.kind == "autoscaled"
    assert re.fullmatch(
        r"1 → 2: [678]\.\d requests in flight on average over 10 s, 4 per replica wanted", event.message
    )


def test_the_same_load_brings_no_more(scaled, gateway, steer, add_replicas):
    add_replicas(2)
    busy(gateway, 15, in_flight=7)
    for _ in range(3):
        steer()
    assert scaled.see("churn").replicas == 2


def test_load_that_gateways_answer_themselves_brings_none(scaled, gateway, steer, add_replicas):
    add_replicas(1)
    busy(gateway, 15, in_flight=8)
    held = HeldVersion(slot=0, prefix="sales", model="churn", number=1, folder="f", checksum="c")
    route = VersionRoute(number=1, deployment="churn", embedded=held)
    steer(table=RoutingTable(number=1, models=(ModelRoute(prefix="sales", name="churn", versions=(route,)),)))
    assert scaled.see("churn").replicas == 1


def test_a_fixed_number_stays(world, gateway, steer, add_replicas):
    world.create("churn", v1=100)
    add_replicas(1)
    busy(gateway, 15, in_flight=100)
    assert not steer().scale
    assert world.see("churn").replicas == 1


def test_a_number_that_was_changed_meanwhile_is_left_alone(scaled, database, gateway, add_replicas):
    add_replicas(1)
    busy(gateway, 15, in_flight=8)
    steering = Steering()
    with database.session(read_only=True) as session:
        findings = steering.look(session, Photographer().take(session), RoutingTable(number=1))
    scaled.do(operations.set_autoscale, "churn", AUTOMATIC.model_copy(update={"minimum": 5}))
    with database.session() as session:
        steering.act(session, findings)
    assert scaled.see("churn").replicas == 5


def test_a_sleeping_one_is_woken_once(world, database, steer, change):
    world.create("churn", v1=100)
    world.do(operations.set_autoscale, "churn", AUTOMATIC)
    change(replicas=0, failures=3, state="ready")
    for _ in range(3):
        with database.session() as session:
            loads.wake(session, "churn")
    found = world.see("churn")
    assert found.replicas == 1
    assert [event.message for event in world.events("churn") if event.kind == "autoscaled"] == [
        "0 → 1: a request waits"
    ]
    with database.session(read_only=True) as session:
        assert session.query(DeploymentRow).one().failures == 0


def test_waiting_requests_in_a_report_wake_it_too(world, gateway, steer, change):
    world.create("churn", v1=100)
    world.do(operations.set_autoscale, "churn", AUTOMATIC)
    change(replicas=0)
    gateway.waiting = 2
    gateway.reports(1)
    steer()
    assert world.see("churn").replicas == 1


@pytest.mark.parametrize("wanted", ["stopped", "deleted"])
def test_what_is_not_to_run_is_not_woken(world, database, change, wanted):
    world.create("churn", v1=100)
    world.do(operations.set_autoscale, "churn", AUTOMATIC)
    change(replicas=0, wanted=wanted)
    with database.session() as session:
        loads.wake(session, "churn")
        assert session.query(DeploymentRow).one().replicas == 0


def test_a_fixed_deployment_is_not_woken(world, database):
    world.create("churn", v1=100)
    with database.session() as session:
        assert not loads.anyone_asleep(session, "churn")
        loads.wake(session, "nobody")
        loads.wake(session, "churn")
    assert world.see("churn").replicas == 1


# --- canaries


RULE = {"step_seconds": 60, "least_requests": 50, "error_rate": 0.02, "latency_ratio": 2}


@pytest.fixture
def canary(world, change, gateway, steer):
    """v2 has 10 % of v1's traffic, and its step has begun to count."""
    world.create("churn", v1=100)
    wanted = schemas.CanaryCreate(model="sales/churn/v2", steps=[10, 50], **RULE)
    world.do(canaries.start_canary, "churn", wanted)
    change(state="ready")
    gateway.answers(1, 10_000)
    gateway.answers(2, 100, errors=100)
    gateway.reports(5)
    steering = Steering()
    steer(steering)
    change(CanaryRow, since=gateway.begun)
    return steering


def shown(world):
    return world.see("churn").canaries[0]


def test_a_good_step_is_followed_by_the_next(world, gateway, steer, canary, change):
    gateway.answers(1, 900)
    gateway.answers(2, 100)
    gateway.reports()
    steer(canary)
    assert (shown(world).state, shown(world).step, weights(world.see("churn"))) == ("running", 1, {"v1": 50, "v2": 50})
    change(state="ready")
    steer(canary)
    assert shown(world).step == 1, "the next step counts from its own beginning"


def test_errors_take_it_back_at_once(world, gateway, steer, canary):
    gateway.answers(2, 100, errors=10)
    gateway.reports()
    steer(canary)
    assert (shown(world).state, weights(world.see("churn"))) == ("rolled_back", {"v1": 100, "v2": 0})
    assert shown(world).reason == "10 of 100 requests failed: 10.0%, where 2.0% are allowed"


def test_slow_answers_take_it_back(world, gateway, steer, canary):
    gateway.answers(1, 100, micros=1000)
    gateway.answers(2, 100, micros=20_000)
    gateway.reports()
    steer(canary)
    assert shown(world).state == "rolled_back"


def test_a_new_controller_judges_by_the_same_counts(world, gateway, steer, canary):
    gateway.answers(2, 100, errors=10)
    gateway.reports()
    steer(Steering())
    assert shown(world).reason == "10 of 100 requests failed: 10.0%, where 2.0% are allowed"


def test_it_does_not_go_on_while_replicas_are_missing(world, gateway, steer, canary, change):
    change(state="updating")
    gateway.answers(2, 100)
    gateway.reports()
    steer(canary)
    assert shown(world).step == 0


def test_a_replica_that_dies_now_and_then_is_no_reason(world, steer, canary, add_replicas):
    add_replicas(FAILURES - 1, state="ended", message="it died")
    steer(canary)
    assert shown(world).state == "running"


def test_replicas_that_keep_dying_take_it_back(world, steer, canary, add_replicas):
    add_replicas(FAILURES, state="ended", message="it died")
    steer(canary)
    assert shown(world).state == "rolled_back"
    assert shown(world).reason == "3 replicas failed since the step began, the last one: it died"


# --- reports


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b'{"gateway": "g", "started_at": 1, "at": "soon"}', b"\xff"])
def test_what_is_no_report_is_refused(database, body):
    with pytest.raises(Malformed), database.session() as session:
        loads.take(session, body)


def test_old_reports_are_thinned_and_then_forgotten(database, gateway):
    for ago in (1, 2, 3, 400, 401, 402, 403, 404, 2000, 2001):
        gateway.reports(ago)
    with database.session() as session:
        loads.thin(session)
        now = db_now(session)
        ages = sorted(round((now - row.at).total_seconds()) for row in session.query(LoadRow))
    assert ages[:3] == [1, 2, 3]
    assert 1 <= len([age for age in ages if 390 < age < 410]) <= 2
    assert max(ages) < 1000


def test_the_newest_report_of_a_silent_gateway_is_known_to_a_new_controller(database, gateway):
    gateway.answers(1, 5)
    gateway.reports(600)
    with database.session(read_only=True) as session:
        (row,) = load_queries.newest_reports(session)
        demand = Demand()
        demand.take(row.at, loads.read(row.report))
    assert demand.reports()[0].versions[0].requests == 5
