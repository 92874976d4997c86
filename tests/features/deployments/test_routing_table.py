"""The routing table that the controller makes of the rows."""

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.conftest import NOW
from modelyard.core import ids
from modelyard.core.settings import MIB, load
from modelyard.features.auth import operations as auth
from modelyard.features.auth.schemas import ApiKeyCreate
from modelyard.features.deployments import observed, operations, queries, schemas, traffic
from modelyard.features.deployments.snapshot import Photographer
from modelyard.features.deployments.table import TableMaker, merged
from modelyard.features.deployments.tables import DeploymentRow, ReplicaRow
from modelyard.features.models import operations as models
from modelyard.protocol.processes import HeldVersion
from modelyard.protocol.routing import Column, HeaderRule, Shadow, Target, Traffic
from modelyard.protocol.signature import Field, Signature

SIGNATURE = Signature(
    scenario="tabular-classification",
    target="churn",
    inputs=(Field(name="x", kind="number"), Field(name="plan", kind="category")),
    classes=("No", "Yes"),
)


class World:
    """Models, deployments and replicas as rows, and the tables made of them one after the other."""

    def __init__(self, database, principal, tmp_path):
        self.database, self.principal = database, principal
        self.settings = load({}, data=tmp_path)
        self.photographer, self.tables = Photographer(), TableMaker(self.settings)

    def version(self, path="sales/churn", size=1000, **artifact):
        """One more version of a model; its id."""
        with self.database.session() as session:
            model = models.ensure_model(session, self.principal, models.parse(path), NOW)
            result = {
                "folder": f"versions/{ids.new('f')}",
                "checksum": "0" * 64,
                "files": [{"path": "model.onnx", "size": size, "sha256": ""}],
                "signature": msgspec.to_builtins(SIGNATURE),
                "artifact": {"format": "onnx", **artifact},
                "evaluation": {},
            }
            row = models.add_version(
                session, model, job=ids.new("job"), created_by="x", result=result, lineage={}, now=NOW
            )
            return row.id

    def deploy(self, key, **weights):
        """A deployment of sales/churn's versions."""
        held = [schemas.DeployedCreate(model=f"sales/churn/{name}", weight=share) for name, share in weights.items()]
        return self.do(operations.create, schemas.DeploymentCreate(key=key, models=held))

    def do(self, operation, *arguments):
        with self.database.session() as session:
            return operation(session, self.principal, *arguments, NOW).id

    def replica(self, key, *, state="ready", micros=(), revision=None):
        """A replica of a deployment's newest content, or of another; its address."""
        with self.database.session() as session:
            row = queries.deployment(session, self.principal.organisation, key)
            content = queries.revision(session, row.id, revision or row.revision).content
            replica = ReplicaRow(
                id=ids.new("rep"), deployment=row.id, revision=content, state=state, address=f"unix:/{ids.new('x')}",
                message="", since=NOW, told_in=None, micros=dict(micros), started_at=NOW,
            )  # fmt: skip
            session.add(replica)
            return replica.address

    def change(self, key, **values):
        with self.database.session() as session:
            row = queries.deployment(session, self.principal.organisation, key)
            for name, value in values.items():
                setattr(row, name, value)

    def table(self):
        with self.database.session(read_only=True) as session:
            return self.tables.make(session, self.photographer.take(session))

    def routes(self):
        """The only model's versions by number."""
        (model,) = self.table().models
        return {version.number: version for version in model.versions}


@pytest.fixture
def world(database, administrator, tmp_path):
    made = World(database, administrator, tmp_path)
    made.version()
    made.version()
    return made


def test_a_version_without_a_ready_replica_is_loading_and_gets_nothing(world):
    world.deploy("churn", v1=100)
    route = world.routes()[1]
    assert (route.state, route.weight, route.targets) == ("loading", 0, ())


def test_ready_replicas_are_named_with_the_slot_of_each_version(world):
    world.deploy("churn", v1=30, v2=70)
    one, two = world.replica("churn"), world.replica("churn")
    world.replica("churn", state="draining")
    routes = world.routes()
    assert {number: (route.state, route.weight) for number, route in routes.items()} == {
        1: ("ready", 30),
        2: ("ready", 70),
    }
    assert routes[2].targets == (Target(one, 1), Target(two, 1))


def test_new_weights_count_for_the_replicas_that_are_there(world):
    world.deploy("churn", v1=50, v2=50)
    address = world.replica("churn")
    world.do(traffic.set_traffic, "churn", schemas.TrafficSet(model="sales/churn", weights={"v1": 90, "v2": 10}))
    routes = world.routes()
    assert {number: route.weight for number, route in routes.items()} == {1: 90, 2: 10}
    assert routes[1].targets == (Target(address, 0),)


def test_the_old_content_serves_until_the_new_one_is_ready(world):
    world.deploy("churn", v1=100)
    old = world.replica("churn")
    world.do(operations.publish, schemas.Publish(model="sales/churn/v2", key="churn"))
    before = world.routes()
    assert (before[1].targets, before[1].weight) == ((Target(old, 0),), 100)
    assert (before[2].state, before[2].weight) == ("loading", 0)
    new = world.replica("churn")
    after = world.routes()
    assert list(after) == [2]
    assert (after[2].targets, after[2].weight) == ((Target(new, 0),), 100)


def test_the_versions_of_a_model_come_from_all_deployments(world):
    world.deploy("one", v1=100)
    world.deploy("two", v2=100)
    world.replica("one")
    world.replica("two")
    assert {number: route.deployment for number, route in world.routes().items()} == {1: "one", 2: "two"}


def test_a_version_is_described(world):
    world.deploy("churn", v1=100)
    schema = world.routes()[1].schema
    assert schema.inputs == (Column("x", "number"), Column("plan", "category"))
    assert schema.classes == ("No", "Yes")


def test_a_stage_is_told_at_once(world):
    world.deploy("churn", v1=100)
    assert world.routes()[1].stage is None
    with world.database.session() as session:
        models.set_stage(session, world.principal, models.parse("sales/churn/v1"), "production")
    assert world.routes()[1].stage == "production"


# --- rules


def test_rules_come_from_the_revision_that_serves(world):
    world.deploy("churn", v1=100, v2=0)
    world.replica("churn")
    rules = schemas.TrafficSet(
        model="sales/churn",
        headers=[{"header": "x-tier", "value": "beta", "version": "v2"}],
        sticky="x-user",
        shadows=[{"version": "v2", "share": 20}],
    )
    world.do(traffic.set_traffic, "churn", rules)
    assert world.table().models[0].traffic == Traffic(
        headers=(HeaderRule("x-tier", "beta", 2),), sticky="x-user", shadows=(Shadow(2, 20),)
    )


rules = st.builds(
    lambda headers, sticky, shadows: Traffic(headers=tuple(headers), sticky=sticky, shadows=tuple(shadows)),
    st.lists(st.builds(HeaderRule, st.sampled_from("ab"), st.sampled_from("xy"), st.integers(1, 4)), max_size=4),
    st.sampled_from([None, "u", "w"]),
    st.lists(st.builds(Shadow, st.integers(1, 4), st.integers(1, 100)), max_size=3),
)


@given(st.lists(rules, max_size=4), st.sets(st.integers(1, 4)))
def test_of_contradicting_rules_the_first_counts_and_none_names_what_is_not_there(found, deployed):
    one = merged(found, deployed)
    assert {rule.version for rule in one.headers} | {shadow.version for shadow in one.shadows} <= deployed
    for rule in one.headers:
        first = next(
            other
            for traffic in found
            for other in traffic.headers
            if (other.header, other.value) == (rule.header, rule.value) and other.version in deployed
        )
        assert rule == first
    assert len({(rule.header, rule.value) for rule in one.headers}) == len(one.headers)
    assert len({shadow.version for shadow in one.shadows}) == len(one.shadows)
    assert one.sticky == next((traffic.sticky for traffic in found if traffic.sticky), None)


# --- asleep


TO_ZERO = {"minimum": 0, "maximum": 2, "target": 4, "idle_seconds": 60}


def test_one_that_is_scaled_to_zero_is_asleep_and_keeps_its_share(world):
    world.deploy("churn", v1=100)
    world.change("churn", autoscale=TO_ZERO, replicas=0, state="ready")
    assert (world.routes()[1].state, world.routes()[1].weight) == ("asleep", 100)
    world.change("churn", replicas=1, state="pending")
    assert world.routes()[1].state == "asleep"
    world.replica("churn")
    assert world.routes()[1].state == "ready"


def test_nobody_waits_for_one_that_fails(world):
    world.deploy("churn", v1=100)
    world.change("churn", autoscale=TO_ZERO, replicas=1, state="failed")
    assert world.routes()[1].state == "failed"


def test_a_stopped_one_is_not_asleep(world):
    world.deploy("churn", v1=100)
    world.change("churn", autoscale=TO_ZERO, replicas=0, wanted="stopped")
    assert world.table().models == ()


# --- the embedded lane


def test_a_quick_version_may_be_held_by_gateways(world):
    world.deploy("churn", v1=100)
    version = world.version()
    world.do(operations.publish, schemas.Publish(model="sales/churn/v3", key="churn"))
    world.replica("churn", micros={version: 150.0})
    with world.database.session(read_only=True) as session:
        row = models.versions_by_id(session, [version])[version].version
    assert world.routes()[3].embedded == HeldVersion(
        slot=0, prefix="sales", model="churn", number=3, folder=row.folder, checksum=row.checksum
    )


def embedded(world, version, micros, **changes):
    """Whether v3 may be held by gateways, after these measurements, the newest last."""
    world.do(operations.create, schemas.DeploymentCreate(key="one", models=[{"model": "sales/churn/v3"}]))
    for one in micros:
        world.replica("one", micros={version: one}, state="ended")
    world.replica("one")
    world.change("one", **changes)
    return world.routes()[3].embedded is not None


def test_the_newest_measurement_counts(world):
    assert embedded(world, world.version(), [900.0, 150.0])


@pytest.mark.parametrize("micros", [[], [0.0], [201.0], [150.0, 900.0]])
def test_one_that_is_slow_or_was_never_measured_stays_with_its_replicas(world, micros):
    assert not embedded(world, world.version(), micros)


def test_code_stays_with_its_replicas(world):
    version = world.version(isolated=True, format="python")
    assert not embedded(world, version, [10.0])


def test_a_large_version_stays_with_its_replicas(world):
    assert not embedded(world, world.version(size=65 * MIB), [10.0])


def test_an_isolated_deployment_keeps_its_versions(world):
    assert not embedded(world, world.version(), [10.0], lane="isolated")


def test_an_administrator_can_forbid_it(world):
    world.tables = TableMaker(load({}, data=world.settings.data, replicas_embedded_micros=0))
    assert not embedded(world, world.version(), [10.0])


# --- made anew only where something changed


def test_nothing_is_built_twice(world):
    world.deploy("churn", v1=100)
    assert world.table() is world.table()
    world.replica("churn")
    assert world.routes()[1].state == "ready"


def test_a_new_and_a_revoked_key_are_told_at_once(world):
    before = world.table()
    with world.database.session() as session:
        row, _ = auth.create_key(session, world.principal, ApiKeyCreate(name="mine"), NOW)
    assert row.digest in world.table().keys
    with world.database.session() as session:
        auth.revoke_key(session, world.principal, row.id, NOW)
    assert world.table() == before


def test_a_key_that_expires_leaves_the_table(world):
    with world.database.session() as session:
        row, _ = auth.create_key(
            session, world.principal, ApiKeyCreate(name="x", expires_at=NOW + timedelta(days=1)), NOW
        )
    with world.database.session(read_only=True) as session:
        snapshot = world.photographer.take(session)
        before = world.tables.make(session, snapshot._replace(now=NOW))
        after = world.tables.make(session, snapshot._replace(now=NOW + timedelta(days=2)))
    assert row.digest in before.keys
    assert row.digest not in after.keys


def test_a_table_that_says_nothing_new_keeps_its_number(world):
    world.deploy("churn", v1=100)
    with world.database.session() as session:
        assert observed.publish(session, world.table()) == 1
        assert observed.publish(session, world.table()) == 1
    world.replica("churn")
    with world.database.session() as session:
        assert observed.publish(session, world.table()) == 2
        assert session.query(DeploymentRow).count() == 1
