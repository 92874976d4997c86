"""What users want of deployments: add, remove, roll back, recreate, scale."""

import dataclasses

import pytest

from features.conftest import NOW
from features.deployments.conftest import weights
from modelyard.core.errors import Forbidden, InUse, Invalid, NotFound
from modelyard.features.auth.permissions import Principal
from modelyard.features.deployments import canaries, operations, schemas, shown, traffic
from modelyard.features.deployments.errors import (
    Autoscaled,
    BadTraffic,
    CannotRollBack,
    KeyTaken,
    NeedsTraffic,
    NotDeployed,
)
from modelyard.features.deployments.tables import DeploymentRow
from modelyard.features.models import operations as models


def entry(version, weight=100):
    return schemas.DeployedCreate(model=f"sales/churn/{version}", weight=weight)


def publish(version, **options):
    return schemas.Publish(model=f"sales/churn/{version}", **options)


def share(**changes):
    return schemas.TrafficSet(model="sales/churn", **changes)


def forget(world, *names):
    with world.database.session() as session:
        for name in names:
            models.delete_version(session, world.principal, models.parse(name))


# --- adding and removing


def test_an_added_version_gets_its_share_and_the_others_the_rest_in_proportion(world):
    world.create("churn", v1=60, v2=40)
    assert weights(world.do(operations.add, "churn", entry("v3", 50))) == {"v1": 30, "v2": 20, "v3": 50}


def test_adding_a_version_again_changes_its_share_and_restarts_nothing(world):
    world.create("churn", v1=60, v2=40)
    assert weights(world.do(operations.add, "churn", entry("v1", 20))) == {"v1": 20, "v2": 80}
    assert world.content("churn") == 1


def test_a_removed_version_leaves_its_share_to_its_siblings_in_proportion(world):
    world.create("churn", v1=60, v2=20, v3=20)
    assert weights(world.do(operations.remove, "churn", "sales/churn/v3")) == {"v1": 75, "v2": 25}
    assert world.revisions("churn")[0].note == "removed sales/churn/v3"


def test_a_removed_version_takes_its_rules_with_it_and_the_event_says_so(world):
    world.create("churn", v1=100, v2=0, v3=0)
    rules = share(
        headers=[{"header": "x-tier", "value": "beta", "version": "v2"}], sticky="x-user", shadows=[{"version": "v3"}]
    )
    world.do(traffic.set_traffic, "churn", rules)
    (left,) = world.do(operations.remove, "churn", "sales/churn/v2").traffic
    assert (left.headers, left.sticky, [shadow.version for shadow in left.shadows]) == ([], "x-user", ["v3"])
    assert "x-tier=beta → v2" in world.events("churn")[0].message


def test_the_only_version_with_traffic_cannot_be_removed_before_another_has_it(world):
    world.create("churn", v1=100, v2=0)
    with pytest.raises(NeedsTraffic, match="--weight vN=100"):
        world.do(operations.remove, "churn", "sales/churn/v1")
    assert weights(world.see("churn")) == {"v1": 100, "v2": 0}


def test_a_whole_model_can_be_removed_and_the_others_stay(world):
    world.model("sales/price", 1)
    world.create("shop", v1=50, v2=50)
    world.do(operations.add, "shop", schemas.DeployedCreate(model="sales/price"))
    found = world.do(operations.remove, "shop", "sales/churn")
    assert [(held.model, held.weight) for held in found.models] == [("sales/price", 100)]
    forget(world, "sales/churn/v1")  # nobody holds it any more
    with pytest.raises(InUse, match="deployment shop"):
        forget(world, "sales/price/v1")


def test_what_is_not_held_cannot_be_removed(world):
    world.create("churn", v1=100)
    for model, error in (("sales/churn/v2", NotDeployed), ("sales/none", NotDeployed), ("sales/churn/v9", NotFound)):
        with pytest.raises(error):
            world.do(operations.remove, "churn", model)


def test_one_model_may_be_in_several_deployments_and_one_deployment_hold_several_models(world):
    world.model("sales/price", 1)
    world.create("one", v1=100)
    world.create("two", v1=50, v2=50)
    assert world.do(operations.publish, publish("v2", key="three")).key == "three"
    found = world.do(operations.add, "two", schemas.DeployedCreate(model="sales/price"))
    assert [(held.model, held.version, held.weight) for held in found.models] == [
        ("sales/churn", "v1", 50),
        ("sales/churn", "v2", 50),
        ("sales/price", "v1", 100),
    ]


def test_weights_that_do_not_make_100_are_refused(world):
    with pytest.raises(BadTraffic, match="make 90, not 100"):
        world.create("churn", v1=60, v2=30)


# --- publishing


def test_publishing_replaces_what_answered_and_drops_its_rules(world):
    world.do(operations.publish, publish("v1"))
    world.do(traffic.set_traffic, "sales-churn", share(headers=[{"header": "x-a", "value": "b", "version": "v1"}]))
    found = world.do(operations.publish, publish("v2", lane="isolated"))
    assert (weights(found), found.traffic, found.lane) == ({"v2": 100}, [], "isolated")
    assert world.do(operations.publish, publish("v2")).revision == found.revision
    assert world.see("sales-churn").lane == "isolated"


def test_publishing_over_other_models_is_refused(world):
    world.model("sales/price", 1)
    world.create("shop", v1=100)
    world.do(operations.add, "shop", schemas.DeployedCreate(model="sales/price"))
    with pytest.raises(KeyTaken, match="sales/price"):
        world.do(operations.publish, publish("v2", key="shop"))


# --- rolling back and recreating


def test_a_rollback_brings_versions_weights_and_rules_of_the_revision_before(world):
    world.create("churn", v1=90, v2=10)
    before = world.do(traffic.set_traffic, "churn", share(sticky="x-user"))
    world.do(operations.publish, publish("v3", key="churn"))
    found = world.do(operations.rollback, "churn", None)
    assert (weights(found), found.traffic) == (weights(before), before.traffic)
    assert world.revisions("churn")[0].note == "rolled back to revision 2"
    assert world.content("churn") == 4  # other versions: other replicas


def test_a_rollback_of_weights_restarts_nothing(world):
    world.create("churn", v1=90, v2=10)
    world.do(traffic.set_traffic, "churn", share(weights={"v2": 100}))
    assert weights(world.do(operations.rollback, "churn", None)) == {"v1": 90, "v2": 10}
    assert world.content("churn") == 1


def test_a_rollback_to_a_named_revision(world):
    world.create("churn", v1=100)
    for version in ("v2", "v3"):
        world.do(operations.publish, publish(version, key="churn"))
    assert weights(world.do(operations.rollback, "churn", 1)) == {"v1": 100}
    assert weights(world.do(operations.rollback, "churn", None)) == {"v3": 100}


def test_a_rollback_skips_revisions_that_hold_the_same(world):
    world.create("churn", v1=100)
    world.do(operations.publish, publish("v2", key="churn"))
    world.do(operations.recreate, "churn")
    assert weights(world.do(operations.rollback, "churn", None)) == {"v1": 100}


def test_there_is_no_way_back_to_nothing(world):
    world.create("empty")
    with pytest.raises(CannotRollBack, match="No earlier"):
        world.do(operations.rollback, "empty", None)
    world.do(operations.add, "empty", entry("v1"))
    with pytest.raises(CannotRollBack, match="No earlier"):
        world.do(operations.rollback, "empty", None)
    with pytest.raises(CannotRollBack, match="held no version"):
        world.do(operations.rollback, "empty", 1)
    with pytest.raises(CannotRollBack, match="present one"):
        world.do(operations.rollback, "empty", 2)
    with pytest.raises(NotFound, match="no revision 9"):
        world.do(operations.rollback, "empty", 9)


def test_versions_that_were_deleted_do_not_come_back(world):
    world.create("churn", v1=50, v2=50)
    world.do(operations.publish, publish("v3", key="churn"))
    forget(world, "sales/churn/v1")
    with pytest.raises(CannotRollBack, match="1 of the 2 versions of revision 1 of churn was deleted"):
        world.do(operations.rollback, "churn", 1)
    with world.database.session(read_only=True) as session:
        old = shown.revision(session, world.revisions("churn")[-1])
    assert ([held.version for held in old.models], old.deleted) == (["v2"], 1)


def test_recreating_replaces_the_replicas_of_the_same_content(world):
    before = world.create("churn", v1=90, v2=10)
    found = world.do(operations.recreate, "churn")
    assert (found.models, found.revision, world.content("churn")) == (before.models, 2, 2)
    assert world.events("churn")[0].message == "revision 2 by admin: recreated"


# --- scaling


def test_autoscaling_decides_the_replicas_from_then_on(world):
    world.create("churn", v1=100)
    found = world.do(operations.set_autoscale, "churn", schemas.Autoscale(minimum=2, maximum=4))
    assert (found.replicas, found.autoscale) == (2, schemas.Autoscale(minimum=2, maximum=4, target=4, idle_seconds=300))
    with pytest.raises(Autoscaled, match="--off"):
        world.do(operations.scale, "churn", 3)
    found = world.do(operations.set_autoscale, "churn", None)
    assert (found.replicas, found.autoscale) == (2, None)
    assert world.do(operations.scale, "churn", 3).replicas == 3
    assert [event.kind for event in world.events("churn")] == ["scaled", "autoscale", "autoscale", "revision"]


def test_autoscaling_within_bounds_that_cross_is_refused(world):
    world.create("churn", v1=100)
    with pytest.raises(Invalid, match="at most 2") as caught:
        world.do(operations.set_autoscale, "churn", schemas.Autoscale(minimum=3, maximum=2))
    assert caught.value.fields[0]["field"] == "minimum"
    assert world.see("churn").autoscale is None


def test_a_deployment_that_slept_wakes_when_autoscaling_ends(world):
    world.create("churn", v1=100)
    world.do(operations.set_autoscale, "churn", schemas.Autoscale(minimum=0, maximum=1))
    with world.database.session() as session:
        session.query(DeploymentRow).one().replicas = 0
    assert world.see("churn").replicas == 0
    assert world.do(operations.set_autoscale, "churn", None).replicas == 1


def test_the_lane_changes_without_a_new_revision(world):
    assert world.create("churn", v1=100).lane == "auto"
    found = world.do(operations.set_lane, "churn", "isolated")
    assert (found.lane, found.revision) == ("isolated", 1)
    assert "isolated" in world.events("churn")[0].message


# --- who may


def every_change():
    """(operation, its arguments): all that changes a deployment."""
    return [
        (operations.add, (entry("v2"),)),
        (operations.remove, ("sales/churn/v1",)),
        (operations.rollback, (None,)),
        (operations.recreate, ()),
        (operations.scale, (2,)),
        (operations.set_autoscale, (schemas.Autoscale(maximum=2),)),
        (operations.set_lane, ("isolated",)),
        (operations.stop, ()),
        (operations.start, ()),
        (traffic.set_traffic, (share(weights={"v1": 100}),)),
        (canaries.start_canary, (schemas.CanaryCreate(model="sales/churn/v2"),)),
        (canaries.end_canary, (schemas.CanaryEnd(model="sales/churn", promote=True),)),
    ]  # fmt: skip


def refused(world, key, error, match=None, *, by=None):
    """That every change is refused, and changes nothing."""
    before = world.see(key) if by else None
    for operation, arguments in every_change():
        with pytest.raises(error, match=match):
            world.do(operation, key, *arguments, by=by)
    assert before is None or world.see(key) == before


def test_another_organisation_sees_nothing_and_changes_nothing(world):
    world.create("churn", v1=100)
    stranger = Principal(user="user_x", username="x", organisation="org_other", role="administrator")
    refused(world, "churn", NotFound, by=stranger)


def test_a_key_for_another_prefix_sees_nothing_and_changes_nothing(world):
    world.create("churn", v1=100)
    refused(world, "churn", NotFound, by=dataclasses.replace(world.principal, prefixes=("other",)))


def test_a_key_for_one_of_its_prefixes_does_not_change_what_others_hold_there(world):
    world.model("other/price", 1)
    world.create("shop", v1=100)
    world.do(operations.add, "shop", schemas.DeployedCreate(model="other/price"))
    refused(world, "shop", NotFound, "other", by=dataclasses.replace(world.principal, prefixes=("sales",)))


def test_who_may_only_read_changes_nothing(world):
    world.create("churn", v1=100)
    refused(world, "churn", Forbidden, by=dataclasses.replace(world.principal, read_only=True))
    refused(world, "churn", Forbidden, by=dataclasses.replace(world.principal, role="viewer"))


def test_a_rollback_to_another_prefix_s_models_is_not_for_everybody(world):
    world.model("other/price", 1)
    world.create("shop", v1=100)
    world.do(operations.add, "shop", schemas.DeployedCreate(model="other/price"))
    world.do(operations.remove, "shop", "other/price")
    with pytest.raises(NotFound, match="other"):
        world.do(operations.rollback, "shop", None, by=dataclasses.replace(world.principal, prefixes=("sales",)))


def test_a_key_for_another_prefix_learns_no_names_by_publishing_over_a_deployment(world):
    world.model("other/price", 1)
    world.create("shop", v1=100)
    narrow = dataclasses.replace(world.principal, prefixes=("other",))
    with pytest.raises(KeyTaken) as caught:
        world.do(operations.publish, schemas.Publish(model="other/price", key="shop"), by=narrow)
    assert "churn" not in f"{caught.value.message} {caught.value.detail}"


def test_a_deployment_that_is_being_deleted_is_not_there(world):
    world.create("churn", v1=100)
    with world.database.session() as session:
        operations.delete(session, world.principal, "churn", NOW)
    refused(world, "churn", NotFound)
