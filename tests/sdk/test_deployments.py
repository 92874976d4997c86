"""Deployments that change while they answer, against a whole platform."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from fixtures.platform import DATA, RunningPlatform
from fixtures.waiting import wait_until
from modelyard.core.errors import NotFound
from modelyard.features.deployments.errors import Autoscaled, BadTraffic, CanaryRunning, NoCanary, NotDeployed
from modelyard.sdk.client import AsyncClient, Client

MODEL = "shipping/titanic"
V1, V2 = f"{MODEL}/v1", f"{MODEL}/v2"


@pytest.fixture
def client(platform: RunningPlatform) -> Iterator[Client]:
    with Client(platform.url, platform.key) as opened:
        yield opened


@pytest.fixture(scope="module")
def example(platform: RunningPlatform) -> dict[str, Any]:
    """A row for the model, which has two versions."""
    with Client(platform.url, platform.key) as client:
        client.builds.create("predict who survived", DATA / "titanic" / "train.csv", MODEL).wait()
        client.train("shipping-titanic", "tabular-classification/linear", MODEL, target="survived").wait()
        row: dict[str, Any] = client.models.version(V2).signature["example"]
        return row


@pytest.fixture
def both(client: Client, example: dict[str, Any], fresh: Any) -> Iterator[Any]:
    """A deployment that holds both versions, with all of the traffic on the first; the only one of the model."""
    key = fresh("ship")
    yield client.deployments.create(key, models={V1: 100, V2: 0}).wait()
    client.deployments.delete(key)
    wait_until(lambda: not answered(client, example), 30)


def answered(client, example):
    """Which version answers, "" for none."""
    try:
        return client.predict(MODEL, example).version
    except NotFound:
        return ""


def processes(deployment):
    return sorted(process.id for process in deployment.refresh().processes)


def test_traffic_moves_to_another_version_without_a_new_replica(both, client, example):
    before = processes(both)
    assert both.predict(example).version == "v1"
    assert both.set_traffic(weights={"v2": 100}).wait().models[1].weight == 100
    wait_until(lambda: both.predict(example).version == "v2", 10)
    assert processes(both) == before


def test_rules_send_some_requests_elsewhere(both, client, platform, example):
    both.set_traffic(headers=[("X-Tier", "beta", "v2")], sticky="x-user", shadows={}).wait()
    (rules,) = client.deployments.get(both.key).data.traffic
    assert (rules.headers[0].header, rules.sticky, rules.shadows) == ("x-tier", "x-user", [])

    def version(headers):
        with platform.http() as http:
            answer = http.post(f"/models/{MODEL}/", json={"instances": [example]}, headers=headers)
            return answer.raise_for_status().json()["version"]

    wait_until(lambda: version({"x-tier": "beta"}) == "v2", 10)
    assert version({"x-tier": "gold"}) == version({}) == "v1"
    with pytest.raises(BadTraffic):
        both.set_traffic(shadows=["v1"])
    with pytest.raises(NotDeployed):
        both.set_traffic(weights={"v7": 100})
    assert both.set_traffic(headers=(), sticky="").data.traffic == []


def test_a_rollback_brings_back_what_answered_before(both, client, example):
    both.set_traffic(weights={"v2": 100}).wait()
    both.remove(V1).wait()
    wait_until(lambda: both.predict(example).version == "v2", 10)
    found = both.rollback(1).wait()
    assert [(held.version, held.weight) for held in found.models] == [("v1", 100), ("v2", 0)]
    wait_until(lambda: both.predict(example).version == "v1", 10)
    notes = [revision.note for revision in client.deployments.revisions(both.key)]
    assert notes[:2] == ["rolled back to revision 1", f"removed {V1}"]
    assert client.deployments.rollback(both.key).data.models[0].version == "v2"


def test_all_replicas_are_replaced_and_no_request_is_lost(both, client, example):
    before, over, lost, count = processes(both), threading.Event(), [], 0

    def ask():
        nonlocal count
        while not over.is_set():
            try:
                both.predict(example)
                count += 1
            except Exception as error:
                lost.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        both_again = client.deployments.recreate(both.key).wait()
        wait_until(lambda: not set(processes(both_again)) & set(before), 30)
    finally:
        over.set()
        asking.join()
    assert lost == []
    assert count


def test_a_canary_is_cancelled_or_promoted(both, client, example):
    begun = client.deployments.start_canary(both.key, V2, steps=[10, 50], step_seconds=3600)
    assert [held.weight for held in begun.models] == [90, 10]
    (canary,) = client.deployments.canaries(both.key)
    assert (canary.version, canary.state, canary.share, canary.steps) == ("v2", "running", 10, [10, 50])
    with pytest.raises(CanaryRunning, match="canary-end"):
        both.set_traffic(weights={"v1": 100})
    with pytest.raises(CanaryRunning):
        client.deployments.publish(V1, key=both.key)
    assert [held.weight for held in both.end_canary(promote=False).models] == [100, 0]
    with pytest.raises(NoCanary):
        both.end_canary(promote=True)
    both.start_canary(V2, steps=[10], step_seconds=3600)
    client.deployments.end_canary(both.key, MODEL, promote=True).wait()
    wait_until(lambda: both.predict(example).version == "v2", 10)
    assert [one.state for one in client.deployments.canaries(both.key)] == ["succeeded", "cancelled"]


def test_a_canary_that_does_well_gets_all_of_the_traffic(both, client, example):
    # The two are different algorithms: how fast they are compared to each other is not what is tried here.
    both.start_canary(V2, steps=[50], step_seconds=1, least_requests=5, latency_ratio=1000)
    over = threading.Event()

    def ask():
        while not over.is_set():
            both.predict(example)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        ended = client.deployments.wait_canary(both.key, MODEL, timeout=60)
    finally:
        over.set()
        asking.join()
    assert (ended.state, ended.share) == ("succeeded", 100), ended.reason
    wait_until(lambda: both.predict(example).version == "v2", 10)
    assert client.deployments.revisions(both.key)[0].created_by == "controller"


def test_the_number_of_replicas_is_left_to_the_load_and_taken_back(both, client):
    found = both.set_autoscale({"minimum": 1, "maximum": 3, "target": 8})
    assert found.autoscale.model_dump() == {"minimum": 1, "maximum": 3, "target": 8.0, "idle_seconds": 300.0}
    with pytest.raises(Autoscaled):
        both.scale(2)
    assert client.deployments.set_autoscale(both.key, found.autoscale).data.autoscale == found.autoscale
    assert both.set_autoscale(None).autoscale is None
    assert client.deployments.set_lane(both.key, "isolated").lane == "isolated"


def test_the_asynchronous_client_does_the_same(both, platform, example):
    async def go():
        async with AsyncClient(platform.url, platform.key) as client:
            place = await client.deployments.get(both.key)
            await place.set_traffic(weights={"v1": 60, "v2": 40})
            await client.deployments.start_canary(both.key, V2, steps=[80])
            await client.deployments.end_canary(both.key, MODEL, promote=True)
            await place.rollback(1)
            await place.set_lane("isolated")
            await (await client.deployments.recreate(both.key)).wait()
            await client.deployments.set_autoscale(both.key, {"maximum": 2})
            await place.set_autoscale(None)
            await place.remove(V2)
            assert [held.version for held in (await place.wait()).models] == ["v1"]
            assert len(await client.deployments.canaries(both.key)) == 1

    asyncio.run(go())
