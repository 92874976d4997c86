"""The data plane under load: versions swapped, gone back to, made anew; replicas and gateways killed; all counted."""

import os
import signal

import pytest

from fixtures.load import Load
from fixtures.user import User
from fixtures.waiting import wait_until

pytestmark = pytest.mark.slow

KEY = "museum-titanic"


@pytest.fixture
def two_versions(new_platform, titanic, passenger):
    """A platform with two gateways and two versions of a model, the first one published on two replicas."""
    platform = new_platform(MODELYARD_SERVER_GATEWAYS="2")
    with platform.http() as http:
        user = User(http)
        user.dataset("titanic", titanic, target="survived")
        for _ in range(2):
            assert user.build("titanic", "predict who survived", "museum/titanic")["state"] == "succeeded"
        publish(user, "v1")
        yield platform, user


def publish(user, version):
    body = {"model": f"museum/titanic/{version}", "replicas": 2}
    assert user.post("/deployments/publish", body).status_code == 202
    ready(user)


def ready(user):
    wait_until(lambda: user.get(f"/deployments/{KEY}").json()["state"] == "ready", 60, what="the deployment is ready")


def counted(user):
    """How many calls of the model the platform has on its books."""
    found = user.get("/usage?by=model&prefix=museum").json()
    return sum(row["requests"] for row in found["items"])


def test_twenty_swaps_rollbacks_and_recreates_under_sixteen_callers_lose_no_request(two_versions, passenger):
    platform, user = two_versions
    with Load(platform, "/models/museum/titanic/", passenger, callers=16) as load:
        load.wait_for(50)
        for round_ in range(5):
            publish(user, "v2" if round_ % 2 == 0 else "v1")
            for action in ("recreate", "rollback", "recreate"):
                assert user.post(f"/deployments/{KEY}/{action}", {}).status_code == 202
                ready(user)
            load.wait_for(20)
    assert load.wrong == []
    assert load.broken == []
    assert set(load.answers) == {200}
    assert load.versions == {"v1", "v2"}
    wait_until(lambda: counted(user) >= len(load.answers), 30, what="every answer is on the books")
    assert counted(user) == len(load.answers)


def test_a_replica_killed_under_load_fails_nobody_where_there_is_another(two_versions, passenger):
    platform, user = two_versions
    assert user.http.put(f"/api/v1/deployments/{KEY}/lane", json={"lane": "isolated"}).status_code in {200, 202}
    ready(user)
    with Load(platform, "/models/museum/titanic/", passenger, callers=16) as load:
        load.wait_for(50)
        for _ in range(3):
            before = set(platform.pids("replica"))
            assert len(before) == 2
            os.kill(min(before), signal.SIGKILL)
            wait_until(lambda before=before: len(set(platform.pids("replica")) - before) == 1, 30)
            ready(user)
            load.wait_for(50)
    assert load.broken == []
    assert set(load.answers) == {200}
    wait_until(lambda: counted(user) >= len(load.answers), 30)
    assert counted(user) == len(load.answers)


def test_a_gateway_killed_under_load_takes_only_its_own_connections_with_it(two_versions, passenger):
    platform, user = two_versions
    callers = 8
    with Load(platform, "/models/museum/titanic/", passenger, callers=callers) as load:
        load.wait_for(100)
        before = set(platform.pids("gateway"))
        assert len(before) == 2
        os.kill(min(before), signal.SIGKILL)
        wait_until(lambda: len(set(platform.pids("gateway")) - before) == 1, 30)
        load.wait_for(100)
    assert len(load.broken) <= callers
    assert set(load.answers) == {200}
    assert load.wrong == []
    # What was recorded but not yet sent when it died is counted too: never less, and no more than was under way.
    wait_until(lambda: counted(user) >= len(load.answers), 60, what="the dead gateway's journal is shipped")
    assert counted(user) <= len(load.answers) + len(load.broken)
