"""What users see of the controller's care for replicas, on a whole platform."""

import os
import signal

import pytest

from fixtures.user import User
from fixtures.waiting import wait_until

pytestmark = pytest.mark.slow
KEY = "/deployments/museum-titanic"


@pytest.fixture
def served(new_platform, titanic):
    """A platform of its own with a published model: (platform, user, path)."""
    platform = new_platform()
    with platform.http() as http:
        user = User(http)
        user.dataset("titanic", titanic, target="survived")
        assert user.build("titanic", "predict who survived", "museum/titanic")["state"] == "succeeded"
        yield platform, user, user.published("museum/titanic")


def messages(user):
    return [event["message"] for event in user.get(f"{KEY}/events").json()["items"]]


def is_ready(user):
    return user.get(KEY).json()["state"] == "ready"


def test_a_hung_replica_is_replaced(served, passenger):
    platform, user, path = served
    (stuck,) = platform.pids("replica")
    os.kill(stuck, signal.SIGSTOP)
    wait_until(lambda: platform.pids("replica") not in ([stuck], []), 40, what="another replica")
    wait_until(lambda: is_ready(user), 30)
    assert any("it did not answer for 10 s" in message for message in messages(user))
    assert user.predict(path, passenger).status_code == 200


def test_new_weights_start_no_process(served, passenger):
    platform, user, path = served
    assert user.build("titanic", "predict who survived", "museum/titanic")["state"] == "succeeded"
    assert user.post(f"{KEY}/models", {"model": "museum/titanic/v2", "weight": 0}).status_code == 202
    wait_until(lambda: is_ready(user) and len(platform.pids("replica")) == 1, 30)
    before = platform.pids("replica")
    answer = user.http.put(f"/api/v1{KEY}/traffic", json={"model": "museum/titanic", "weights": {"v2": 100}})
    assert answer.status_code == 202, answer.text
    wait_until(lambda: user.predict(path, passenger).json()["version"] == "v2", what="the new weights count")
    assert platform.pids("replica") == before


def test_one_that_nobody_asks_falls_asleep_and_the_next_request_is_answered(served, passenger):
    platform, user, path = served
    assert user.http.put(f"/api/v1{KEY}/lane", json={"lane": "isolated"}).status_code == 202
    rule = {"minimum": 0, "maximum": 2, "target": 4, "idle_seconds": 1}
    assert user.http.put(f"/api/v1{KEY}/autoscale", json=rule).status_code == 202
    wait_until(lambda: not platform.pids("replica"), 60, what="it is asleep")
    assert user.get(KEY).json()["message"] == "asleep: wakes on the first request"
    assert user.predict(path, passenger).status_code == 200
    assert any(message.startswith("0 → 1: ") for message in messages(user))
