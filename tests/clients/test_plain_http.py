"""What no client asks, by plain HTTP: Allonia's two endpoints, lists, and refusals in each protocol's words."""

from typing import Any

import httpx
import pytest

from fixtures.gateways import KEY, OTHER_KEY, GatewayProcess
from fixtures.serving import is_answer
from fixtures.tensors import ROWS, many, tensors

SECRET = {"x-api-key": KEY}
PREDICT = "/models/sales/churn/api/v1.0/predict/"
STATUS = "/models/sales/churn/api/v1.0/health/status/"


def get(gateway: GatewayProcess, path: str, headers: dict[str, str] = SECRET) -> httpx.Response:
    return httpx.get(f"{gateway.url}{path}", headers=headers, timeout=30)


def post(gateway: GatewayProcess, path: str, value: Any, headers: dict[str, str] = SECRET) -> httpx.Response:
    return httpx.post(f"{gateway.url}{path}", json=value, headers=headers, timeout=30)


# --- Allonia's model services


@pytest.mark.parametrize(
    ("path", "version"),
    [
        (PREDICT, 2),
        (PREDICT.rstrip("/"), 2),
        ("/models/sales/churn/v1/api/v1.0/predict/", 1),
        ("/models/sales/churn/staging/api/v1.0/predict", 1),
    ],
)
@pytest.mark.parametrize("count", [1, 100])
def test_predict_answers_every_row_rightly(gateway: GatewayProcess, path: str, version: int, count: int) -> None:
    rows = many(count)
    answer = post(gateway, path, {"instances": rows})
    assert answer.status_code == 200
    predictions = answer.json()["predictions"]
    assert all(is_answer(got, row, version) for got, row in zip(predictions, rows, strict=True))


def test_status_says_which_version_is_well(gateway: GatewayProcess) -> None:
    for path in (STATUS, STATUS.rstrip("/")):
        answer = get(gateway, path)
        assert answer.status_code == 200
        assert answer.json() == {"status": "ok", "model": "sales/churn", "version": "v2"}
    answer = get(gateway, "/models/sales/churn/v3/api/v1.0/health/status/")
    assert answer.status_code == 503
    assert answer.json()["status"] == "unavailable"


@pytest.mark.parametrize("headers", [{}, {"x-api-key": "wrong"}, {"x-api-key": OTHER_KEY}])
def test_both_are_only_for_who_may_call_the_model(gateway: GatewayProcess, headers: dict[str, str]) -> None:
    status = 404 if headers.get("x-api-key") == OTHER_KEY else 401
    for answer in (post(gateway, PREDICT, {"instances": ROWS}, headers), get(gateway, STATUS, headers)):
        assert answer.status_code == status
        assert answer.json()["error"]["message"]


def test_predict_refuses_what_does_not_fit_naming_row_and_column(gateway: GatewayProcess) -> None:
    answer = post(gateway, PREDICT, {"instances": [ROWS[0], {**ROWS[1], "n": 0.5}]})
    assert answer.status_code == 422
    assert answer.json()["error"]["fields"] == [
        {"field": "n", "row": 1, "message": "expected a whole number, got the number 0.5."}
    ]


# --- what is there


def test_the_list_of_v1_holds_what_the_key_may_call(gateway: GatewayProcess) -> None:
    assert get(gateway, "/v1/models").json() == {"models": ["sales.churn"]}
    assert get(gateway, "/v1/models", {"x-api-key": OTHER_KEY}).json() == {"models": []}
    assert get(gateway, "/v1/models", {}).status_code == 401


def test_the_gateway_itself_answers_the_ping_of_mlflow_to_anyone(gateway: GatewayProcess) -> None:
    assert get(gateway, "/ping", {}).status_code == 200


# --- refusals


@pytest.mark.parametrize("headers", [{}, SECRET])
@pytest.mark.parametrize(
    "path", ["/v2/models/sales.nothing/infer", "/v2/models/sales.churn/generate", "/v2/models/%FF/infer"]
)
def test_whatever_is_wrong_below_v2_is_said_in_one_sentence(
    gateway: GatewayProcess, path: str, headers: dict[str, str]
) -> None:
    answer = post(gateway, path, {"inputs": tensors(ROWS)}, headers)
    assert answer.status_code in ({400, 404} if headers else {401})
    assert list(answer.json()) == ["error"]
    assert isinstance(answer.json()["error"], str)


@pytest.mark.parametrize("headers", [{}, SECRET])
def test_whatever_is_wrong_with_an_invocation_is_said_as_mlflow_does(
    gateway: GatewayProcess, headers: dict[str, str]
) -> None:
    answer = post(gateway, "/models/sales/nothing/invocations", {"inputs": ROWS}, headers)
    code = "RESOURCE_DOES_NOT_EXIST" if headers else "UNAUTHENTICATED"
    assert answer.json()["error_code"] == code
    assert isinstance(answer.json()["message"], str)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
def test_all_of_v2_is_answered_by_the_gateway(gateway: GatewayProcess, method: str) -> None:
    answer = httpx.request(method, f"{gateway.url}/v2/logging", headers=SECRET)
    assert answer.status_code == 404
    assert answer.json() == {"error": "There is nothing at /v2/logging for this method."}
