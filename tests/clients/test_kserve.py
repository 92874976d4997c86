"""KServe's own client, `kserve.InferenceRESTClient`, in its first and in its second protocol."""

from collections.abc import Callable
from typing import Any

import pytest

from fixtures.clients import Client, Raised
from fixtures.gateways import KEY, OTHER_KEY, GatewayProcess
from fixtures.serving import is_answer
from fixtures.tensors import OUTPUTS, ROWS, assert_right, many, tensors

MODEL = "sales.churn"
SECRET = {"authorization": f"Bearer {KEY}"}


class KServe:
    """The client, on one gateway."""

    def __init__(self, client: Client, gateway: GatewayProcess) -> None:
        self._client = client
        self._url = gateway.url

    def ask(self, protocol: str, method: str, headers: dict[str, str] = SECRET, **arguments: Any) -> Any:
        return self._client(
            "ask", protocol=protocol, method=method, base_url=self._url, headers=dict(headers), **arguments
        )

    def infer(self, sent: list[dict[str, Any]], *, binary: bool, headers: dict[str, str] = SECRET, **more: Any) -> Any:
        arguments = {"model": MODEL, "binary": binary, **more}
        return self._client("infer", url=self._url, headers=headers, tensors=sent, **arguments)

    def predict(self, data: Any, **arguments: Any) -> Any:
        return self.ask("v1", "infer", data=data, **{"model_name": MODEL, **arguments})


@pytest.fixture(scope="module")
def client(client_of: Callable[[str], Client]) -> Client:
    return client_of("kserve_rest")


@pytest.fixture
def kserve(client: Client, gateway: GatewayProcess) -> KServe:
    return KServe(client, gateway)


# --- version 1


def test_v1_says_whether_a_model_is_ready(kserve: KServe) -> None:
    assert kserve.ask("v1", "is_model_ready", model_name=MODEL) is True
    with pytest.raises(Raised) as raised:
        kserve.ask("v1", "is_model_ready", model_name="sales.nothing")
    assert raised.value.name == "HTTPStatusError"
    assert "404" in raised.value.message


@pytest.mark.parametrize("count", [1, 3, 500])
def test_v1_predicts_every_row_rightly(kserve: KServe, count: int) -> None:
    rows = many(count)
    answers = kserve.predict({"instances": rows})["predictions"]
    assert len(answers) == count
    assert all(is_answer(answer, row, 2) for answer, row in zip(answers, rows, strict=True))


@pytest.mark.parametrize(
    ("data", "arguments", "status", "said"),
    [
        ({"instances": [{**ROWS[0], "n": "two"}]}, {}, 422, "n"),
        ({"instances": []}, {}, 422, ""),
        ({"instances": ROWS}, {"model_name": "sales.nothing"}, 404, "nothing"),
        ({"instances": ROWS}, {"headers": {}}, 401, ""),
        ({"instances": ROWS}, {"headers": {"authorization": f"Bearer {OTHER_KEY}"}}, 404, "churn"),
    ],
)
def test_v1_is_told_what_is_wrong(kserve: KServe, data: Any, arguments: dict[str, Any], status: int, said: str) -> None:
    with pytest.raises(Raised) as raised:
        kserve.predict(data, **arguments)
    assert raised.value.name == "HTTPStatusError"
    assert f"'{status} " in raised.value.message
    assert said in raised.value.message


# --- version 2


def test_v2_says_whether_server_and_models_are_ready(kserve: KServe) -> None:
    assert kserve.ask("v2", "is_server_live", headers={}) is True
    assert kserve.ask("v2", "is_server_ready", headers={}) is True
    assert kserve.ask("v2", "is_model_ready", model_name=MODEL) is True
    assert kserve.ask("v2", "is_model_ready", model_name=f"{MODEL}/versions/1") is True
    assert kserve.ask("v2", "is_model_ready", model_name=f"{MODEL}/versions/3") is False
    assert kserve.ask("v2", "is_model_ready", model_name="sales.nothing") is False


@pytest.mark.parametrize("whole", [None, False, True])
@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("count", [1, 3, 500])
def test_v2_answers_every_row_rightly_as_json_and_as_binary_data(
    kserve: KServe, count: int, binary: bool, whole: bool | None
) -> None:
    rows = many(count)
    found = kserve.infer(tensors(rows), binary=binary, whole=whole)
    assert (found["id"], found["model"]) == ("req-7", MODEL)
    assert tuple(found["outputs"]) == OUTPUTS
    assert_right(found["outputs"], rows, 2)


@pytest.mark.parametrize("binary", [True, False])
def test_v2_answers_the_outputs_that_are_asked_for(kserve: KServe, binary: bool) -> None:
    found = kserve.infer(tensors(ROWS), binary=binary, outputs={"prediction": binary, "probabilities": not binary})
    assert tuple(found["outputs"]) == ("prediction", "probabilities")
    assert_right(found["outputs"], ROWS, 2)


def test_v2_takes_half_precision_as_binary_data(kserve: KServe) -> None:
    sent = tensors(ROWS, x={"datatype": "FP16"})
    assert_right(kserve.infer(sent, binary=True)["outputs"], ROWS, 2)


def test_v2_asks_the_version_that_is_named(kserve: KServe) -> None:
    assert_right(kserve.infer(tensors(ROWS), binary=False, model=f"{MODEL}/versions/1")["outputs"], ROWS, 1)


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize(
    ("changes", "arguments", "status", "said"),
    [
        ({"plan": {"name": "plam"}}, {}, 422, '"plam"'),
        ({"n": {"datatype": "FP64", "data": [0.5, 1, 1]}}, {}, 422, 'Row 0, column "n": expected a whole number'),
        ({"x": {"data": [1.0, 2.0]}}, {}, 422, 'Tensor "n": it has 3 rows, others have 2.'),
        ({}, {"outputs": {"logits": True}}, 422, 'Output "logits"'),
        ({}, {"model": "sales.nothing"}, 404, "nothing"),
        ({}, {"model": f"{MODEL}/versions/9"}, 404, "'9'"),
        ({}, {"model": f"{MODEL}/versions/3"}, 503, "v3"),
        ({}, {"headers": {}}, 401, ""),
        ({}, {"headers": {"authorization": f"Bearer {OTHER_KEY}"}}, 404, "churn"),
    ],
)
def test_v2_is_told_what_is_wrong(
    kserve: KServe, changes: dict[str, Any], arguments: dict[str, Any], status: int, said: str, binary: bool
) -> None:
    with pytest.raises(Raised) as raised:
        kserve.infer(tensors(ROWS, **changes), binary=binary, **arguments)
    assert raised.value.name == "HTTPStatusError"
    assert f"'{status} " in raised.value.message
    assert said in raised.value.message
