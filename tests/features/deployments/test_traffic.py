"""How users share out a model's traffic."""

import contextlib
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy.orm import Session

from features.conftest import NOW
from features.deployments.conftest import add_versions, weights
from modelyard.core.errors import Invalid, ModelyardError, NotFound
from modelyard.features.deployments import canaries, operations, queries, revisions, schemas, traffic
from modelyard.features.deployments.errors import BadTraffic, NotDeployed
from modelyard.features.deployments.shares import fitting
from modelyard.features.deployments.tables import DeploymentRow


def share(**changes):
    return schemas.TrafficSet(model="sales/churn", **changes)


def rule(header="x-tier", value="beta", version="v2"):
    return {"header": header, "value": value, "version": version}


def test_weights_are_set_and_versions_that_are_not_named_get_none(world):
    world.create("churn", v1=50, v2=30, v3=20)
    found = world.do(traffic.set_traffic, "churn", share(weights={"v1": 90, "v2": 10}))
    assert weights(found) == {"v1": 90, "v2": 10, "v3": 0}
    assert world.content("churn") == 1  # the replicas stay
    assert world.events("churn")[0].message == "revision 2 by admin: traffic of sales/churn: v1 90 %, v2 10 %, v3 0 %"


def test_rules_are_kept_as_gateways_read_them(world):
    world.create("churn", v1=100, v2=0, v3=0)
    found = world.do(
        traffic.set_traffic,
        "churn",
        share(headers=[rule(header="X-Tier")], sticky="X-User", shadows=[{"version": "v3", "share": 50}]),
    )
    (rules,) = found.traffic
    assert rules.model_dump() == {
        "model": "sales/churn",
        "headers": [{"header": "x-tier", "value": "beta", "version": "v2"}],
        "sticky": "x-user",
        "shadows": [{"version": "v3", "share": 50}],
    }
    assert world.revisions("churn")[0].traffic == {
        "sales/churn": {
            "headers": [{"header": "x-tier", "value": "beta", "version": 2}],
            "sticky": "x-user",
            "shadows": [{"version": 3, "share": 50}],
        }
    }
    assert world.content("churn") == 1


def test_what_is_left_out_stays_and_what_is_empty_goes(world):
    world.create("churn", v1=100, v2=0, v3=0)
    whole = share(headers=[rule()], sticky="x-user", shadows=[{"version": "v3"}])
    world.do(traffic.set_traffic, "churn", whole)
    (kept,) = world.do(traffic.set_traffic, "churn", share(weights={"v1": 80, "v2": 20})).traffic
    assert (len(kept.headers), kept.sticky, len(kept.shadows)) == (1, "x-user", 1)
    (kept,) = world.do(traffic.set_traffic, "churn", share(headers=[], sticky="")).traffic
    assert (kept.headers, kept.sticky, len(kept.shadows)) == ([], None, 1)
    assert world.do(traffic.set_traffic, "churn", share(shadows=[])).traffic == []


def test_saying_the_same_again_makes_no_revision(world):
    world.create("churn", v1=100, v2=0)
    wanted = share(weights={"v1": 100}, headers=[rule()])
    assert world.do(traffic.set_traffic, "churn", wanted).revision == 2
    assert world.do(traffic.set_traffic, "churn", wanted).revision == 2


CONTRADICTIONS = [
    ({"weights": {"v1": 90, "v2": 20}}, BadTraffic, "weights"),
    ({"weights": {}}, BadTraffic, "weights"),
    ({"weights": {"v1": 90, "v9": 10}}, NotDeployed, "weights.v9"),
    ({"weights": {"v1": 90, "v4": 10}}, NotDeployed, "weights.v4"),
    ({"headers": [rule(), rule(version="v4")]}, NotDeployed, "headers.1.version"),
    ({"headers": [rule(), rule(version="v1")]}, BadTraffic, "headers.1"),
    ({"shadows": [{"version": "v4"}]}, NotDeployed, "shadows.0.version"),
    ({"shadows": [{"version": "v3"}, {"version": "v3"}]}, BadTraffic, "shadows.1"),
    ({"shadows": [{"version": "v1"}]}, BadTraffic, "shadows.0.version"),
    ({"shadows": [{"version": "v2"}], "weights": {"v1": 99, "v2": 1}}, BadTraffic, "shadows.0.version"),
]


def test_what_contradicts_itself_is_refused_with_its_place(world):
    world.create("churn", v1=100, v2=0, v3=0)
    for wanted, error, field in CONTRADICTIONS:
        with pytest.raises(error) as caught:
            world.do(traffic.set_traffic, "churn", share(**wanted))
        assert caught.value.fields[0]["field"] == field
    assert world.see("churn").revision == 1


def test_a_shadow_gets_no_weight_by_the_way(world):
    world.create("churn", v1=100, v2=0)
    world.do(traffic.set_traffic, "churn", share(shadows=[{"version": "v2"}]))
    with pytest.raises(BadTraffic, match="take the shadow away") as caught:
        world.do(traffic.set_traffic, "churn", share(weights={"v1": 50, "v2": 50}))
    assert caught.value.fields[0]["field"] == "weights.v2"
    assert weights(world.do(traffic.set_traffic, "churn", share(weights={"v2": 100}, shadows=[]))) == {
        "v1": 0,
        "v2": 100,
    }


def test_a_model_that_is_not_here_or_a_version_is_no_model_to_share_out(world):
    world.create("churn", v1=100)
    with pytest.raises(NotDeployed, match="deployment add"):
        world.do(traffic.set_traffic, "churn", schemas.TrafficSet(model="sales/price", weights={"v1": 100}))
    with pytest.raises(Invalid, match="sales/churn"):
        world.do(traffic.set_traffic, "churn", schemas.TrafficSet(model="sales/churn/v1", weights={"v1": 100}))
    with pytest.raises(NotFound):
        world.do(traffic.set_traffic, "none", share(weights={"v1": 100}))


REFUSED = [
    "Authorization", "x-api-key", "Cookie", "set-cookie", "Content-Type", "content-encoding", "Transfer-Encoding",
    "host", "Connection", "proxy-authorization", "te", "a b", "a:b", "ä", "a\nb", " x",
]  # fmt: skip


def test_headers_that_say_who_asks_or_how_choose_no_version(world):
    world.create("churn", v1=100, v2=0)
    for name in REFUSED:
        for wanted, field in (({"headers": [rule(header=name)]}, "headers.0.header"), ({"sticky": name}, "sticky")):
            with pytest.raises(BadTraffic) as caught:
                world.do(traffic.set_traffic, "churn", share(**wanted))
            assert caught.value.fields[0]["field"] == field
    assert world.see("churn").traffic == []


@pytest.mark.parametrize(
    "wanted",
    [
        {"headers": [rule(value=value)]} for value in ("", " a", "a ", "a\nb", "ä", "x" * 201)
    ] + [
        {"headers": [rule(value=str(number)) for number in range(21)]}, {"headers": [rule(header="x" * 101)]},
        {"sticky": "x" * 101},
        {"headers": [rule(version="latest")]}, {"headers": [rule(version="2")]}, {"headers": [rule(version="v0")]},
        {"shadows": [{"version": "v2", "share": 0}]}, {"shadows": [{"version": "v2", "share": 101}]},
        {"weights": {"v1": 101}}, {"weights": {"v1": -1}}, {"weights": {"one": 100}}, {"weights": {"v1": 0.5}},
    ],
)  # fmt: skip
def test_rules_that_no_gateway_could_follow_are_refused(wanted):
    with pytest.raises(ValidationError):
        share(**wanted)


def test_two_changes_at_once_both_count(world):
    world.create("churn", v1=100)
    ready, failed = threading.Barrier(6), []

    def change(place):
        ready.wait()
        try:
            if place % 2:
                world.do(
                    operations.add, "churn", schemas.DeployedCreate(model=f"sales/churn/v{place % 4 + 1}", weight=9)
                )
            else:
                world.do(operations.recreate, "churn")
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=change, args=(place,)) for place in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert [row.number for row in world.revisions("churn")] == [7, 6, 5, 4, 3, 2, 1]


# --- whatever is done, in whatever order

labels = st.sampled_from(["v1", "v2", "v3"])
versions = st.sampled_from([f"sales/churn/v{number}" for number in range(1, 5)] + ["sales/price/v1", "sales/price/v2"])
shares = st.integers(0, 100)
traffics = st.builds(
    schemas.TrafficSet,
    model=st.just("sales/churn"),
    weights=st.none()
    | st.builds(lambda one, other, part: {one: part, other: 100 - part} if one != other else {one: 100},
                labels, labels, shares),
    headers=st.none() | st.lists(st.builds(lambda label: rule(value=label, version=label), labels), max_size=2),
    sticky=st.sampled_from([None, "", "x-user"]),
    shadows=st.none() | st.lists(st.builds(lambda label: {"version": label}, labels), max_size=2),
)  # fmt: skip
actions = st.one_of(
    st.tuples(st.just(operations.add), st.builds(schemas.DeployedCreate, model=versions, weight=shares)),
    st.tuples(st.just(operations.remove), versions | st.just("sales/price")),
    st.tuples(st.just(operations.rollback), st.none() | st.integers(1, 6)),
    st.tuples(st.just(operations.recreate)),
    st.tuples(st.just(operations.publish), st.builds(schemas.Publish, model=versions, key=st.just("all"))),
    st.tuples(st.just(traffic.set_traffic), traffics),
    st.tuples(
        st.just(canaries.start_canary),
        st.builds(schemas.CanaryCreate, model=versions, steps=st.sampled_from([[5, 25], [1], [50, 99]])),
    ),
    st.tuples(
        st.just(canaries.end_canary),
        st.builds(schemas.CanaryEnd, model=st.just("sales/churn"), promote=st.booleans()),
    ),
    st.tuples(st.just(canaries.advance)),
    st.tuples(st.just(canaries.roll_back)),
)


def act(session, principal, action):
    """One action of a user, or of the controller."""
    operation, *arguments = action
    if operation in {canaries.advance, canaries.roll_back}:
        for canary in canaries.running(session):
            operation(session, canary, *(["too slow"] if operation is canaries.roll_back else []), NOW)
    elif operation is operations.publish:
        operation(session, principal, *arguments, NOW)
    else:
        operation(session, principal, "all", *arguments, NOW)


def newest(session):
    row = session.query(DeploymentRow).one()
    return queries.revision(session, row.id, row.revision)


def ids(revision):
    return [entry["version"] for entry in revision.versions]


BEGINNING = [
    schemas.DeployedCreate(model=model, weight=weight)
    for model, weight in {
        "sales/churn/v1": 50,
        "sales/churn/v2": 30,
        "sales/churn/v3": 20,
        "sales/price/v1": 100,
    }.items()
]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=st.lists(actions, min_size=4, max_size=16))
def test_whatever_is_done_weights_make_100_rules_fit_and_only_other_versions_need_other_replicas(world, actions):
    # Each example begins with an empty database but for the models, and is rolled back.
    with world.database.engine.connect() as connection, connection.begin() as transaction:
        with Session(connection, join_transaction_mode="create_savepoint", expire_on_commit=False) as session:
            add_versions(session, world.principal, "sales/price", 2)
            operations.create(session, world.principal, schemas.DeploymentCreate(key="all", models=BEGINNING), NOW)
            for action in actions:
                before = newest(session)
                with contextlib.suppress(ModelyardError), session.begin_nested():
                    act(session, world.principal, action)
                after = newest(session)
                check(session, before, after, anew=action[0] is operations.recreate)
        transaction.rollback()


def check(session, before, after, *, anew):
    """What holds after every change, and after every refusal."""
    content = revisions.content_of(after)
    held = revisions.by_model(session, content.versions)
    shares = [[entry["weight"] for entry in mine.values()] for mine in held.values()]
    assert all(sum(mine) == 100 and min(mine) >= 0 for mine in shares)
    assert fitting(content.traffic, held) == (content.traffic, [])
    if after.number != before.number:
        other = set(ids(after)) != set(ids(before))
        assert after.content == (after.number if other or anew else before.content)
        assert other or ids(after) == ids(before)
