"""Predictions through a real gateway and real replicas: who may, what is found, what is answered."""

import gzip
import json
import time
import zlib
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest

from fixtures.gateways import EXPIRED_KEY, KEY, OTHER_KEY, SALES_KEY, GatewayProcess, route, table
from fixtures.serving import ROW, is_answer, publish
from modelyard.credentials import jwt
from modelyard.protocol.routing import Caller, ModelRoute


@pytest.mark.parametrize(
    ("path", "version"),
    [
        ("/models/sales/churn", 2),
        ("/models/sales/churn/", 2),
        ("/models/sales/churn/?x=1", 2),
        ("/models/sales/churn/v1", 1),
        ("/models/sales/churn/1/", 1),
        ("/models/sales/churn/latest/", 2),
        ("/models/sales/churn/production", 2),
        ("/models/sales/churn/staging/", 1),
        ("/models/sale%73/churn/v1?a=b", 1),
    ],
)
def test_a_selector_names_the_version_that_answers(gateway: GatewayProcess, path: str, version: int) -> None:
    answer = gateway.post(path, {"instances": [ROW, {**ROW, "plan": "basic"}]})
    assert answer.status_code == 200
    assert answer.headers["x-modelyard-model"] == "sales/churn"
    assert answer.headers["x-modelyard-version"] == f"v{version}"
    assert answer.headers["content-type"] == "application/json"
    assert "date" in answer.headers
    found = answer.json()
    assert (found["model"], found["version"]) == ("sales/churn", f"v{version}")
    assert is_answer(found["predictions"][0], ROW, version)
    assert is_answer(found["predictions"][1], {**ROW, "plan": "basic"}, version)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"authorization": f"Bearer {KEY}"}, 200),
        ({"authorization": f"bearer  {KEY}"}, 200),
        ({"x-api-key": KEY}, 200),
        ({"x-api-key": SALES_KEY}, 200),
        ({}, 401),
        ({"authorization": "Bearer my_00000000_wrong"}, 401),
        ({"x-api-key": "wrong"}, 401),
        ({"authorization": f"Basic {KEY}"}, 401),
        ({"authorization": f"Bearer {EXPIRED_KEY}"}, 401),
        ({"authorization": f"Bearer {OTHER_KEY}"}, 404),
        ({"authorization": "Bearer a.b.c"}, 401),
    ],
)
def test_who_may_call(gateway: GatewayProcess, headers: dict[str, str], status: int) -> None:
    for _ in range(2):  # the second time from memory
        answer = httpx.post(f"{gateway.url}/models/sales/churn/", json=ROW, headers=headers)
        assert answer.status_code == status
    if status == 401:
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["error"]["code"] == "unauthenticated"
        assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_a_login_token_is_a_credential_until_it_expires(gateway: GatewayProcess, shared: Any) -> None:
    secret = shared.settings.secret.encode()
    now = time.time()
    for token, status in (
        (jwt.sign("usr_1", secret, now=now, seconds=60), 200),
        (jwt.sign("usr_gone", secret, now=now, seconds=60), 401),
        (jwt.sign("usr_1", secret, now=now - 100, seconds=60), 401),
        (jwt.sign("usr_1", b"1" * 64, now=now, seconds=60), 401),
    ):
        assert gateway.post("/models/sales/churn/", ROW, key=token).status_code == status
    short = jwt.sign("usr_1", secret, now=now, seconds=2)
    assert gateway.post("/models/sales/churn/", ROW, key=short).status_code == 200
    while time.time() < int(now) + 3:
        time.sleep(0.05)
    assert gateway.post("/models/sales/churn/", ROW, key=short).status_code == 401


def test_a_model_that_is_not_ones_own_looks_like_one_that_does_not_exist(gateway: GatewayProcess) -> None:
    for selector in ("", "/v2", "/v9", "/nonsense"):
        gateway.post(f"/models/sales/churn{selector}", ROW)  # somebody else has asked before
        foreign = gateway.post(f"/models/sales/churn{selector}", ROW, key=OTHER_KEY)
        missing = gateway.post(f"/models/sales/chuck{selector}", ROW, key=OTHER_KEY)
        assert foreign.status_code == missing.status_code == 404
        assert foreign.json()["error"]["message"].replace("churn", "chuck") == missing.json()["error"]["message"]
        assert "x-modelyard-model" not in foreign.headers


def test_an_undeployed_version_is_404_and_names_the_deployed_ones(gateway: GatewayProcess) -> None:
    answer = gateway.post("/models/sales/churn/v9/", ROW)
    assert answer.status_code == 404
    assert "Deployed: v3, v2, v1" in answer.json()["error"]["message"]


def test_a_version_that_loads_is_503_with_retry_after(gateway: GatewayProcess) -> None:
    answer = gateway.post("/models/sales/churn/v3/", ROW)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "still loading" in answer.json()["error"]["message"]


def test_a_row_that_does_not_fit_is_422_with_field_and_row_and_the_requests_id(gateway: GatewayProcess) -> None:
    answer = gateway.post("/models/sales/churn/", [ROW, {**ROW, "x": "1.5"}], headers={"x-request-id": "mine-1"})
    assert answer.status_code == 422
    assert answer.headers["x-request-id"] == "mine-1"
    found = answer.json()
    assert found["request_id"] == "mine-1"
    assert found["error"]["fields"][0]["field"] == "x"
    assert found["error"]["fields"][0]["row"] == 1
    assert answer.headers["x-modelyard-version"] == "v2"


def test_a_request_id_that_is_not_sane_is_replaced(gateway: GatewayProcess) -> None:
    for sent in ("a" * 200, 'x"y', "ä"):
        answer = gateway.post("/models/sales/churn/", ROW, headers={"x-request-id": sent.encode("latin-1")})
        assert answer.status_code == 200
        assert answer.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/xml", "application/x-www-form-urlencoded", "application/json; charset=latin-1"]
)
def test_other_kinds_of_content_are_415(gateway: GatewayProcess, kind: str) -> None:
    answer = gateway.post("/models/sales/churn/", b"{}", headers={"content-type": kind})
    assert answer.status_code == 415
    assert answer.json()["error"]["code"] == "unsupported"


def test_csv_is_answered_with_csv_unless_json_is_asked_for(gateway: GatewayProcess) -> None:
    text = b"plan,flag,n,x\npro,true,2,1.5\n"
    kind = {"content-type": "text/csv; charset=UTF-8"}
    answer = gateway.post("/models/sales/churn/", text, headers=kind)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.text.startswith("prediction,probability,")
    answer = gateway.post("/models/sales/churn/", text, headers={**kind, "accept": "application/json"})
    assert is_answer(answer.json()["predictions"][0], ROW, 2)


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize(
    ("name", "pack"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", raw_deflate), ("identity", bytes)],
)
def test_compressed_bodies_are_unpacked(gateway: GatewayProcess, name: str, pack: Callable[[bytes], bytes]) -> None:
    body = json.dumps({"instances": [ROW] * 50}).encode()
    headers = {"content-encoding": name, "content-type": "application/json"}
    answer = gateway.post("/models/sales/churn/", pack(body), headers=headers)
    assert len(answer.json()["predictions"]) == 50
    assert is_answer(answer.json()["predictions"][49], ROW, 2)


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("gzip", gzip.compress(b" " * 100_000_000), 413),
        ("gzip", gzip.compress(b"{}")[:-4], 400),
        ("gzip", gzip.compress(b"{}") + b"x", 400),
        ("gzip", b"plain", 400),
        ("br", b"x", 415),
    ],
    ids=["bomb", "cut off", "followed by more", "not packed", "unknown packing"],
)
def test_what_cannot_be_unpacked_is_refused_and_a_bomb_never_unpacked(
    gateway: GatewayProcess, name: str, body: bytes, status: int
) -> None:
    before = gateway.memory()
    answer = gateway.post(
        "/models/sales/churn/", body, headers={"content-encoding": name, "content-type": "application/json"}
    )
    assert answer.status_code == status
    assert gateway.memory() - before < 60_000_000


def test_nested_prefixes_are_resolved_and_cover_what_lies_below(stage: Any) -> None:
    versions = publish(stage.settings, 4, prefix="sales/eu"), publish(stage.settings, 5, slot=1, prefix="salesforce")
    replica = stage.replica("r", *versions)
    models = tuple(
        ModelRoute(prefix=version.prefix, name=version.model, versions=(route(version, replica),))
        for version in versions
    )
    stage.api.publish(table(1, models=models))
    gateway = stage.gateway()
    answer = gateway.post("/models/sales/eu/churn/v4/", ROW, key=SALES_KEY)
    assert is_answer(answer.json()["predictions"][0], ROW, 4)
    assert gateway.post("/models/salesforce/churn/", ROW, key=SALES_KEY).status_code == 404
    assert gateway.post("/models/salesforce/churn/", ROW).status_code == 200


def test_weights_share_the_traffic(stage: Any) -> None:
    versions = publish(stage.settings, 1), publish(stage.settings, 2, slot=1)
    replica = stage.replica("r", *versions)
    stage.api.publish(table(1, route(versions[0], replica, weight=75), route(versions[1], replica, weight=25)))
    gateway = stage.gateway()
    with httpx.Client(headers={"x-api-key": KEY}) as client:
        answers = [client.post(f"{gateway.url}/models/sales/churn/", json=ROW).headers for _ in range(400)]
    first = sum(headers["x-modelyard-version"] == "v1" for headers in answers)
    assert 250 < first < 350


def test_open_access_asks_for_no_credential(stage: Any) -> None:
    version = publish(stage.settings, 1)
    stage.api.publish(table(1, route(version, stage.replica("r", version)), open_access=True))
    gateway = stage.gateway()
    assert httpx.post(f"{gateway.url}/models/sales/churn/", json=ROW).status_code == 200


def test_a_revoked_key_stops_working_at_once(stage: Any) -> None:
    version = publish(stage.settings, 1)
    stage.api.publish(table(7, route(version, stage.replica("r", version))))
    gateway = stage.gateway()
    assert gateway.post("/models/sales/churn/", ROW).status_code == 200
    began = time.monotonic()
    stage.api.publish(msgspec.structs.replace(stage.api.table, number=8, keys={}))
    while gateway.post("/models/sales/churn/", ROW).status_code == 200:
        assert time.monotonic() - began < 1
    assert gateway.post("/models/sales/churn/", ROW).status_code == 401


def test_a_replica_that_holds_another_version_is_never_asked(stage: Any) -> None:
    held, wanted = publish(stage.settings, 1), publish(stage.settings, 2)
    replica = stage.replica("r", held)
    stage.api.publish(table(1, route(wanted, replica)))
    gateway = stage.gateway()
    assert gateway.post("/models/sales/churn/", ROW).status_code == 503


def test_a_login_is_narrowed_by_prefixes_too(stage: Any) -> None:
    version = publish(stage.settings, 1)
    narrow = {"usr_1": Caller(id="usr_1", user="usr_1", prefixes=("x",))}
    stage.api.publish(table(1, route(version, stage.replica("r", version)), users=narrow))
    token = jwt.sign("usr_1", stage.settings.secret.encode(), now=time.time(), seconds=60)
    assert stage.gateway().post("/models/sales/churn/", ROW, key=token).status_code == 404
