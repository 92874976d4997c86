"""The Open Inference Protocol through Triton's own client, `tritonclient[http]`."""

from collections.abc import Callable
from typing import Any

import pytest

from fixtures.clients import Client, Raised
from fixtures.gateways import KEY, OTHER_KEY, SALES_KEY, GatewayProcess
from fixtures.tensors import OUTPUTS, ROWS, assert_right, many, tensors

MODEL = "sales.churn"
SECRET = {"authorization": f"Bearer {KEY}"}
MISSING = float("nan")


class Triton:
    """The client, on one gateway."""

    def __init__(self, client: Client, gateway: GatewayProcess) -> None:
        self._client = client
        self._address = "{}:{}".format(*gateway.address)

    def ask(self, method: str, headers: dict[str, str] = SECRET, **arguments: Any) -> Any:
        return self._client("ask", address=self._address, headers=headers, method=method, **arguments)

    def infer(self, sent: list[dict[str, Any]], headers: dict[str, str] = SECRET, **arguments: Any) -> Any:
        arguments = {"model_name": MODEL, **arguments}
        return self._client("infer", address=self._address, headers=headers, tensors=sent, **arguments)

    def infer_at_once(self, requests: list[list[dict[str, Any]]]) -> Any:
        arguments = {"headers": SECRET, "model_name": MODEL}
        return self._client("infer_at_once", address=self._address, requests=requests, **arguments)

    def refused(self, sent: list[dict[str, Any]], **arguments: Any) -> str:
        """What it says when it is not answered."""
        with pytest.raises(Raised) as raised:
            self.infer(sent, **arguments)
        assert raised.value.name == "InferenceServerException"
        return raised.value.message


@pytest.fixture(scope="module")
def client(client_of: Callable[[str], Client]) -> Client:
    return client_of("triton")


@pytest.fixture
def triton(client: Client, gateway: GatewayProcess) -> Triton:
    return Triton(client, gateway)


def all_binary(sent: list[dict[str, Any]], binary: bool) -> list[dict[str, Any]]:
    return [{**tensor, "binary": binary} for tensor in sent]


# --- what is there


def test_server_and_models_say_whether_they_are_ready(triton: Triton) -> None:
    assert triton.ask("is_server_live", headers={}) is True
    assert triton.ask("is_server_ready", headers={}) is True
    assert triton.ask("is_model_ready", model_name=MODEL) is True
    assert triton.ask("is_model_ready", model_name=MODEL, model_version="1") is True
    assert triton.ask("is_model_ready", model_name=MODEL, model_version="3") is False
    assert triton.ask("is_model_ready", model_name=MODEL, model_version="9") is False
    assert triton.ask("is_model_ready", model_name="sales.nothing") is False


def test_the_server_s_metadata_name_its_extensions(triton: Triton) -> None:
    found = triton.ask("get_server_metadata", headers={})
    assert found["name"] == "modelyard"
    assert "binary_tensor_data" in found["extensions"]


@pytest.mark.parametrize("version", ["", "1", "2"])
def test_a_model_s_metadata_name_every_tensor_that_infer_takes_and_answers(triton: Triton, version: str) -> None:
    found = triton.ask("get_model_metadata", model_name=MODEL, model_version=version)
    assert (found["name"], found["versions"]) == (MODEL, ["1", "2", "3"])
    assert [(one["name"], one["datatype"]) for one in found["inputs"]] == [
        ("x", "FP64"),
        ("n", "INT64"),
        ("flag", "BOOL"),
        ("plan", "BYTES"),
    ]
    answered = triton.infer(tensors(ROWS), model_version=version)["said"]["outputs"]
    assert [(one["name"], one["datatype"]) for one in found["outputs"]] == [
        (one["name"], one["datatype"]) for one in answered
    ]
    assert [one["shape"][1:] for one in found["outputs"]] == [one["shape"][1:] for one in answered]


def test_the_index_lists_what_the_key_may_call(triton: Triton) -> None:
    states = [("1", "READY"), ("2", "READY"), ("3", "UNAVAILABLE")]
    index = triton.ask("get_model_repository_index")
    assert sorted((one["name"], one["version"], one["state"]) for one in index) == [(MODEL, *state) for state in states]
    assert triton.ask("get_model_repository_index", headers={"authorization": f"Bearer {OTHER_KEY}"}) == []


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("get_model_config", {"model_name": MODEL}),
        ("get_inference_statistics", {"model_name": MODEL}),
        ("load_model", {"model_name": MODEL}),
        ("get_system_shared_memory_status", {}),
    ],
)
def test_an_extension_that_is_not_served_is_refused_in_words_the_client_can_show(
    triton: Triton, method: str, arguments: dict[str, str]
) -> None:
    with pytest.raises(Raised) as raised:
        triton.ask(method, **arguments)
    assert raised.value.name == "InferenceServerException"
    assert raised.value.message.startswith("[404] There is nothing at /v2/")


# --- predictions


@pytest.mark.parametrize("answered_binary", [True, False])
@pytest.mark.parametrize("sent_binary", [True, False])
@pytest.mark.parametrize("count", [1, 3, 500])
def test_every_row_is_answered_rightly_as_json_and_as_binary_data(
    triton: Triton, count: int, sent_binary: bool, answered_binary: bool
) -> None:
    rows = many(count)
    wanted = dict.fromkeys(OUTPUTS, answered_binary)
    found = triton.infer(all_binary(tensors(rows), sent_binary), outputs=wanted, request_id="a-1")
    assert_right(found["outputs"], rows, 2)
    said = found["said"]
    assert (said["model_name"], said["model_version"], said["id"]) == (MODEL, "2", "a-1")
    assert all(("data" in output) is not answered_binary for output in said["outputs"])


def test_without_a_word_on_outputs_all_come_as_binary_data(triton: Triton) -> None:
    found = triton.infer(tensors(ROWS))
    assert tuple(found["outputs"]) == OUTPUTS
    assert_right(found["outputs"], ROWS, 2)
    assert "id" not in found["said"]
    assert not any("data" in output for output in found["said"]["outputs"])


def test_json_and_binary_tensors_go_together_both_ways(triton: Triton) -> None:
    sent = tensors(ROWS, n={"binary": False}, plan={"binary": False})
    found = triton.infer(sent, outputs={"probabilities": False, "prediction": True})
    assert tuple(found["outputs"]) == ("probabilities", "prediction")
    assert_right(found["outputs"], ROWS, 2)


def test_one_output_can_be_asked_for_alone(triton: Triton) -> None:
    found = triton.infer(tensors(ROWS), outputs={"probability": True})
    assert tuple(found["outputs"]) == ("probability",)
    assert_right(found["outputs"], ROWS, 2)


@pytest.mark.parametrize(("version", "answers"), [("1", 1), ("2", 2), ("staging", 1), ("production", 2), ("v1", 1)])
def test_the_version_that_is_named_answers(triton: Triton, version: str, answers: int) -> None:
    found = triton.infer(tensors(ROWS), model_version=version)
    assert_right(found["outputs"], ROWS, answers)
    assert found["said"]["model_version"] == str(answers)


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("answer", [None, "gzip", "deflate"])
@pytest.mark.parametrize("request_", [None, "gzip", "deflate"])
def test_both_ways_may_be_compressed(triton: Triton, request_: str | None, answer: str | None, binary: bool) -> None:
    rows = many(300)
    compression = {"request_compression_algorithm": request_, "response_compression_algorithm": answer}
    found = triton.infer(all_binary(tensors(rows), binary), outputs=dict.fromkeys(OUTPUTS, binary), **compression)
    assert_right(found["outputs"], rows, 2)


def test_requests_at_once_get_each_its_own_answer(triton: Triton) -> None:
    rows = many(200)
    parts = [rows[start : start + 5] for start in range(0, 200, 5)]
    found = triton.infer_at_once([all_binary(tensors(part), number % 2 == 0) for number, part in enumerate(parts)])
    for number, (part, one) in enumerate(zip(parts, found, strict=True)):
        assert one["said"]["id"] == str(number)
        assert_right(one["outputs"], part, 2)


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize(
    ("column", "datatype"),
    [
        *[("x", datatype) for datatype in ("FP16", "FP32", "FP64", "INT8", "INT32", "UINT8", "UINT64")],
        *[("n", f"{sign}INT{bits}") for sign in ("", "U") for bits in (8, 16, 32, 64)],
        *[("n", datatype) for datatype in ("FP32", "FP64")],
        *[("flag", datatype) for datatype in ("BOOL", "UINT8", "INT64")],
    ],
)
def test_a_column_may_be_of_any_datatype_that_fits(triton: Triton, column: str, datatype: str, binary: bool) -> None:
    rows = [{**row, "x": abs(round(row["x"])) if "INT" in datatype and column == "x" else row["x"]} for row in ROWS]
    found = triton.infer(all_binary(tensors(rows, **{column: {"datatype": datatype}}), binary))
    assert_right(found["outputs"], rows, 2)


@pytest.mark.parametrize("binary", [True, False])
def test_tensors_may_have_one_dimension_only(triton: Triton, binary: bool) -> None:
    flat = {name: {"shape": [len(ROWS)]} for name in ("x", "n", "flag", "plan")}
    assert_right(triton.infer(all_binary(tensors(ROWS, **flat), binary))["outputs"], ROWS, 2)


@pytest.mark.parametrize("binary", [True, False])
def test_nan_is_a_missing_value(triton: Triton, binary: bool) -> None:
    rows = [{**ROWS[0], "x": MISSING}, ROWS[1]]
    found = triton.infer(all_binary(tensors(rows), binary))
    assert_right(found["outputs"], [{**ROWS[0], "x": None}, ROWS[1]], 2)


def test_the_order_of_the_tensors_does_not_matter(triton: Triton) -> None:
    assert_right(triton.infer(tensors(ROWS)[::-1])["outputs"], ROWS, 2)


# --- what is wrong


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"plan": {"name": "plam"}}, '"plam"'),
        ({"n": {"name": "x"}}, '"x"'),
        ({"n": {"datatype": "FP64", "data": [2.5, 0, 1]}}, 'Row 0, column "n": expected'),
        ({"flag": {"datatype": "BYTES", "data": ["yes", "no", "no"]}}, 'Row 0, column "flag": expected'),
        ({"plan": {"datatype": "INT64", "data": [1, 2, 3]}}, 'Row 0, column "plan": expected'),
        ({"x": {"data": [1.0, 2.0]}}, 'Tensor "n": it has 3 rows, others have 2.'),
        ({"x": {"data": [1.0] * 6, "shape": [3, 2]}}, 'Tensor "x": its shape is [3, 2].'),
        ({"x": {"data": [1.0] * 3, "shape": [1, 3]}}, 'Tensor "x": its shape is [1, 3].'),
        ({name: {"data": []} for name in ("x", "n", "flag", "plan")}, "There are no rows."),
    ],
)
def test_what_does_not_fit_is_refused_naming_the_tensor(
    triton: Triton, changes: dict[str, dict[str, Any]], said: str, binary: bool
) -> None:
    message = triton.refused(all_binary(tensors(ROWS, **changes), binary))
    assert message.startswith("[422] ")
    assert said in message


@pytest.mark.parametrize(
    ("binary", "said"),
    [
        (True, '[422] Row 1, column "x": the number is too large'),
        (False, "[400] The body is no JSON: Infinity is no JSON value."),
    ],
)
def test_infinity_is_no_number(triton: Triton, binary: bool, said: str) -> None:
    message = triton.refused(all_binary(tensors(ROWS, x={"data": [0, float("inf"), 0]}), binary))
    assert message.startswith(said)


def test_wrong_values_in_several_rows_are_all_told(triton: Triton) -> None:
    message = triton.refused(tensors(ROWS, n={"datatype": "FP64", "data": [0.5, 1, 0.5]}))
    assert message == (
        '[422] Row 0, column "n": expected a whole number, got the number 0.5.'
        " n, row 2: expected a whole number, got the number 0.5."
    )


def test_a_missing_tensor_is_named(triton: Triton) -> None:
    message = triton.refused(tensors(ROWS)[:-1])
    assert message.startswith("[422] ")
    assert "plan" in message


def test_bytes_that_are_no_text_and_datatypes_that_nobody_reads_are_refused(triton: Triton) -> None:
    message = triton.refused(tensors(ROWS[:1], plan={"data": [[0xFF, 0xFE]]}))
    assert message.startswith("[422] ")
    assert "plan" in message
    message = triton.refused(tensors(ROWS, x={"datatype": "BF16"}))
    assert message.startswith("[422] Tensor \"x\": its datatype 'BF16' is not known.")


def test_an_output_that_there_is_not_is_refused(triton: Triton) -> None:
    message = triton.refused(tensors(ROWS), outputs={"logits": True})
    assert message.startswith('[422] Output "logits": there is no such output.')


def test_a_refusal_is_readable_where_the_answer_may_be_compressed(triton: Triton) -> None:
    message = triton.refused(tensors(ROWS), outputs={"logits": True}, response_compression_algorithm="gzip")
    assert message.startswith('[422] Output "logits": there is no such output.')


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ({"model_name": "sales.nothing"}, 404, "nothing"),
        ({"model_version": "9"}, 404, "'9'"),
        ({"model_version": "3"}, 503, "v3"),
        ({"headers": {}}, 401, ""),
        ({"headers": {"authorization": "Bearer my_00000000_wrong"}}, 401, ""),
        ({"headers": {"authorization": f"Bearer {OTHER_KEY}"}}, 404, "churn"),
    ],
)
def test_who_may_not_and_what_is_not_there_is_told_in_the_protocol_s_words(
    triton: Triton, arguments: dict[str, Any], status: int, said: str
) -> None:
    message = triton.refused(tensors(ROWS), **arguments)
    assert message.startswith(f"[{status}] ")
    assert said in message


def test_metadata_are_only_for_who_may_call_the_model(triton: Triton) -> None:
    for headers, status in (({}, 401), ({"authorization": f"Bearer {OTHER_KEY}"}, 404)):
        with pytest.raises(Raised) as raised:
            triton.ask("get_model_metadata", headers=headers, model_name=MODEL)
        assert raised.value.message.startswith(f"[{status}] ")


@pytest.mark.parametrize("header", [{"authorization": f"Bearer {SALES_KEY}"}, {"x-api-key": SALES_KEY}])
def test_a_key_for_the_prefix_is_enough(triton: Triton, header: dict[str, str]) -> None:
    assert_right(triton.infer(tensors(ROWS), headers=header)["outputs"], ROWS, 2)
