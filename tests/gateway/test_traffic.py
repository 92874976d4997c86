"""Which version answers: weights, headers, sticky values, shadows; versions that are embedded, and that sleep."""

import itertools
import json
from collections import Counter
from typing import Any

import httpx
import pytest

from fixtures.gateways import KEY, GatewayProcess, request, route, table
from fixtures.serving import ROW, is_answer, publish
from fixtures.waiting import wait_until
from modelyard.protocol.routing import Column, HeaderRule, ModelRoute, Rate, Schema, Shadow, Traffic

MANY = 200


def asked(gateway: GatewayProcess, headers: dict[str, str] | None = None, path: str = "/models/sales/churn/") -> str:
    """The version that answered; its answer is its own."""
    answer = gateway.post(path, {"instances": [ROW]}, headers=headers or {})
    assert answer.status_code == 200, answer.text
    version = answer.headers["x-modelyard-version"]
    assert is_answer(answer.json()["predictions"][0], ROW, int(version[1:]))
    return version


def versions(gateway: GatewayProcess, headers: list[dict[str, str]]) -> list[str]:
    """The versions that answered these requests, on one connection."""
    with httpx.Client(headers={"x-api-key": KEY}, timeout=30) as http:
        answers = [http.post(f"{gateway.url}/models/sales/churn/", json=ROW, headers=more) for more in headers]
    assert {answer.status_code for answer in answers} == {200}
    return [answer.headers["x-modelyard-version"] for answer in answers]


@pytest.fixture
def staged(stage: Any) -> Any:
    """A stage with three versions on one replica, not routed yet: `publish(traffic, *weights)` routes them."""
    held = [publish(stage.settings, number, slot=number) for number in (1, 2, 3)]
    replica = stage.replica("r", *held)
    number = iter(range(1, 100))

    def routed(traffic: Traffic = Traffic(), weights: tuple[int, ...] = (50, 50, 0), **more: Any) -> None:
        routes = tuple(
            route(version, replica, weight=weight, **more) for version, weight in zip(held, weights, strict=True)
        )
        models = (ModelRoute(prefix="sales", name="churn", versions=routes, traffic=traffic),)
        stage.api.publish(table(next(number), models=models))
        if not stage.gateways:
            stage.gateway()
        stage.gateways[0].has_table(stage.api.table.number)

    stage.routed = routed
    return stage


def test_weights_share_out_the_requests_without_a_selector(staged: Any) -> None:
    staged.routed(weights=(20, 80, 0))
    counted = Counter(versions(staged.gateways[0], [{}] * MANY))
    assert set(counted) == {"v1", "v2"}
    # 200 throws with one in five: outside of these bounds once in ten million runs.
    assert 10 <= counted["v1"] <= 75


def test_a_header_chooses_before_the_weights_do_and_a_selector_before_all(staged: Any) -> None:
    staged.routed(Traffic(headers=(HeaderRule("x-tier", "beta", 3), HeaderRule("x-tier", "old", 1))))
    gateway = staged.gateways[0]
    assert set(versions(gateway, [{"X-Tier": "beta"}] * 20)) == {"v3"}
    assert set(versions(gateway, [{"x-tier": "old"}] * 20)) == {"v1"}
    assert set(versions(gateway, [{"x-tier": "other"}] * MANY)) == {"v1", "v2"}
    assert asked(gateway, {"x-tier": "beta"}, "/models/sales/churn/v2/") == "v2"


def test_the_same_value_gets_the_same_version_as_long_as_the_weights_stay(staged: Any) -> None:
    staged.routed(Traffic(sticky="x-user"))
    gateway = staged.gateways[0]
    users = [f"user-{number}" for number in range(40)]
    first = versions(gateway, [{"x-user": user} for user in users])
    assert set(first) == {"v1", "v2"}
    assert versions(gateway, [{"x-user": user} for user in users]) == first
    staged.routed(Traffic(sticky="x-user"))
    assert versions(gateway, [{"x-user": user} for user in users]) == first


def test_who_has_the_new_version_keeps_it_while_its_share_grows(staged: Any) -> None:
    users = [f"user-{number}" for number in range(60)]
    chosen: list[set[str]] = []
    for share in (10, 30, 60, 100):
        staged.routed(Traffic(sticky="x-user"), weights=(100 - share, share, 0))
        found = versions(staged.gateways[0], [{"x-user": user} for user in users])
        chosen.append({user for user, version in zip(users, found, strict=True) if version == "v2"})
    assert all(earlier <= later for earlier, later in itertools.pairwise(chosen))
    assert chosen[-1] == set(users)


def test_a_shadow_is_asked_too_compared_and_never_answers(staged: Any) -> None:
    staged.routed(Traffic(shadows=(Shadow(3, 100),)), weights=(100, 0, 0))
    gateway = staged.gateways[0]
    assert set(versions(gateway, [{}] * 30)) == {"v1"}

    def compared() -> int:
        reports = [shadow for load in staged.api.loads[-1:] for shadow in load.shadows]
        return sum(shadow.compared + shadow.different + shadow.failed for shadow in reports if shadow.version == 3)

    wait_until(lambda: compared() >= 30, 20, what="every answer was compared")
    # Only the answers that were given are on anybody's account.
    wait_until(lambda: len(staged.api.records()) >= 30, 20)
    assert {record.version for record in staged.api.records()} == {1}


def test_an_embedded_version_answers_without_any_replica(stage: Any) -> None:
    held = publish(stage.settings, 2)
    stage.api.publish(table(1, route(held, embedded=held)))
    gateway = stage.gateway()

    def answers() -> bool:
        return gateway.post("/models/sales/churn/", {"instances": [ROW]}).status_code == 200

    wait_until(answers, 30, what="the version is embedded")
    rows = [{**ROW, "x": float(number)} for number in range(50)]
    found = gateway.post("/models/sales/churn/v2", {"instances": rows})
    assert found.headers["x-modelyard-version"] == "v2"
    for row, got in zip(rows, found.json()["predictions"], strict=True):
        assert is_answer(got, row, 2)
    wrong = gateway.post("/models/sales/churn/", {"instances": [{**ROW, "x": "many"}]})
    assert wrong.status_code == 422
    assert wrong.json()["error"]["fields"][0]["field"] == "x"
    assert wrong.json()["request_id"] == wrong.headers["x-request-id"]


def test_pipelined_requests_to_an_embedded_version_are_answered_in_their_order(stage: Any) -> None:
    held = publish(stage.settings, 1)
    stage.api.publish(table(1, route(held, embedded=held)))
    gateway = stage.gateway()
    wait_until(lambda: gateway.post("/models/sales/churn/", ROW).status_code == 200, 30)
    rows = [{**ROW, "x": float(number)} for number in range(20)]
    wire = stage.wire().send(b"".join(request(json.dumps(row).encode()) for row in rows))
    for row in rows:
        assert is_answer(wire.answer().json()["predictions"][0], row, 1)


def test_a_version_that_leaves_the_table_while_embedded_leaves_the_gateway(stage: Any) -> None:
    held = publish(stage.settings, 1)
    stage.api.publish(table(1, route(held, embedded=held)))
    gateway = stage.gateway()
    wait_until(lambda: gateway.post("/models/sales/churn/", ROW).status_code == 200, 30)
    other = publish(stage.settings, 2)
    stage.api.publish(table(2, route(other, embedded=other)))
    wait_until(lambda: gateway.post("/models/sales/churn/", ROW).headers.get("x-modelyard-version") == "v2", 30)
    assert gateway.post("/models/sales/churn/v1", ROW).status_code == 404


def test_a_request_to_a_sleeping_deployment_wakes_it_and_waits_for_its_start(stage: Any) -> None:
    held = publish(stage.settings, 1)
    stage.api.publish(table(1, route(held, state="asleep")))
    stage.gateway()
    wire = stage.wire().send(request(json.dumps(ROW).encode()))
    wait_until(lambda: stage.api.woken, 20, what="the api is told that somebody waits")
    assert set(stage.api.woken) == {"dep"}
    replica = stage.replica("r", held)
    stage.api.publish(table(2, route(held, replica)))
    answer = wire.answer()
    assert answer.status == 200
    assert is_answer(answer.json()["predictions"][0], ROW, 1)


def test_limits_of_a_prefix_are_kept_and_say_when_to_try_again(staged: Any) -> None:
    staged.routed()
    stage = staged
    limited = table(50, models=stage.api.table.models, rates={"sales": Rate(requests=5)})
    stage.api.publish(limited)
    gateway = stage.gateways[0]
    gateway.has_table(50)
    with httpx.Client(headers={"x-api-key": KEY}, timeout=30) as http:
        answers = [http.post(f"{gateway.url}/models/sales/churn/", json=ROW) for _ in range(40)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert {answer.status_code for answer in answers} == {200, 429}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert refused[0].json()["error"]["code"] == "too_many"


def test_every_answer_leaves_one_record_that_says_what_it_was(staged: Any) -> None:
    staged.routed(weights=(100, 0, 0))
    gateway = staged.gateways[0]
    assert gateway.post("/models/sales/churn/", {"instances": [ROW] * 3}).status_code == 200
    assert gateway.post("/models/sales/churn/v2", b"{").status_code == 400
    assert gateway.post("/models/sales/nothing", {}).status_code == 404
    assert gateway.post("/models/sales/churn/", {}, key="my_00000000_wrong").status_code == 401
    wait_until(lambda: len(staged.api.records()) >= 2, 20)
    first, second = staged.api.records()
    assert (first.caller, first.prefix, first.model, first.version, first.status, first.rows) == (
        KEY, "sales", "churn", 1, 200, 3,
    )  # fmt: skip
    assert first.bytes_in > 100
    assert first.bytes_out > 100
    assert 0 < first.micros < 30_000_000
    assert (second.version, second.status, second.rows) == (2, 400, 0)


SCHEMA = Schema(
    inputs=(Column("x", "number"), Column("n", "integer"), Column("flag", "boolean"), Column("plan", "category")),
    classes=("No", "Yes"),
)


def get(gateway: GatewayProcess, path: str, key: str | None = KEY) -> httpx.Response:
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    return httpx.get(f"{gateway.url}{path}", headers=headers, timeout=20)


def test_models_describe_themselves_without_an_api(staged: Any) -> None:
    staged.routed(schema=SCHEMA)
    staged.api.stop()
    gateway = staged.gateways[0]
    assert get(gateway, "/v2/health/live", None).json() == {"live": True}
    assert get(gateway, "/v2/health/ready", None).status_code == 200
    assert get(gateway, "/v2", None).json()["name"] == "modelyard"
    assert get(gateway, "/ping", None).status_code == 200
    told = get(gateway, "/v2/models/sales.churn").json()
    assert (told["name"], told["versions"]) == ("sales.churn", ["1", "2", "3"])
    assert [entry["name"] for entry in told["inputs"]] == ["x", "n", "flag", "plan"]
    assert [entry["datatype"] for entry in told["inputs"]] == ["FP64", "INT64", "BOOL", "BYTES"]
    assert {entry["name"] for entry in told["outputs"]} == {"prediction", "probability", "probabilities"}
    assert get(gateway, "/v2/models/sales.churn/versions/2/ready").json()["ready"] is True
    assert get(gateway, "/v1/models").json() == {"models": ["sales.churn"]}
    assert get(gateway, "/v1/models/sales.churn").json() == {"name": "sales.churn", "ready": True}
    assert get(gateway, "/models/sales/churn/ping").status_code == 200
    assert get(gateway, "/models/sales/churn/api/v1.0/health/status/").json()["status"] == "ok"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v2/models/sales.churn/versions/9", 404),
        ("/v2/models/sales.nothing", 404),
        ("/v1/models/other.thing", 404),
        ("/models/sales/nothing/ping", 404),
    ],
)
def test_what_is_not_there_is_not_described(gateway: GatewayProcess, path: str, status: int) -> None:
    answer = get(gateway, path)
    assert answer.status_code == status
    if path.startswith("/v2"):
        assert isinstance(answer.json()["error"], str)


def test_only_what_a_key_reaches_is_described(gateway: GatewayProcess) -> None:
    assert get(gateway, "/v2/models/sales.churn", None).status_code == 401
    assert get(gateway, "/v2/models/sales.churn", "my_00000000_other").status_code == 404
    assert get(gateway, "/v1/models", "my_00000000_other").json() == {"models": []}
    assert get(gateway, "/metrics", None).status_code == 401
    assert "sales/churn" not in get(gateway, "/metrics", "my_00000000_other").text
