"""Paths and errors in the words of the protocols that are spoken."""

import msgspec
import pytest

from modelyard.core.errors import Invalid, Malformed
from modelyard.gateway.answers import error_body
from modelyard.gateway.dialects import Asked, Dialect, body_of, model_of, name_of, read_path, split_binary, translated
from modelyard.protocol.frames import Content


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/models/sales/churn", [Asked(Dialect.OURS, "sales/churn")]),
        ("/models/sales/churn/v2", [Asked(Dialect.OURS, "sales/churn/v2")]),
        (
            "/models/sales/churn/invocations",
            [Asked(Dialect.OURS, "sales/churn/invocations"), Asked(Dialect.MLFLOW, "sales/churn")],
        ),
        (
            "/models/sales/churn/v2/invocations",
            [Asked(Dialect.OURS, "sales/churn/v2/invocations"), Asked(Dialect.MLFLOW, "sales/churn/v2")],
        ),
        (
            "/models/sales/churn/api/v1.0/predict",
            [Asked(Dialect.OURS, "sales/churn/api/v1.0/predict"), Asked(Dialect.OURS, "sales/churn")],
        ),
        ("/v1/models/sales.churn:predict", [Asked(Dialect.OURS, "sales/churn", "")]),
        ("/v1/models/sales.churn", []),
        ("/v1/models/sales.churn:explain", []),
        ("/v1/models/a/b:predict", []),
        ("/v2/models/sales.eu.churn/infer", [Asked(Dialect.V2, "sales/eu/churn", "")]),
        ("/v2/models/sales.churn/versions/3/infer", [Asked(Dialect.V2, "sales/churn", "3")]),
        ("/v2/models/sales.churn/generate", []),
        ("/v2/models/sales/churn/infer", []),
    ],
)
def test_a_path_says_which_protocol_and_which_model(path, asked):
    assert read_path(path) == asked


def test_the_name_of_a_model_goes_there_and_back():
    assert name_of("sales/eu/churn") == "sales.eu.churn"
    assert model_of(name_of("sales/eu/churn")) == "sales/eu/churn"


def test_a_binary_request_carries_the_length_of_its_json_in_front():
    headers = {b"inference-header-content-length": b"2"}
    assert body_of(Dialect.V2, headers, b"{}abc") == (Content.V2_BINARY | Content.V2 << 4, b"\x02\0\0\0{}abc")
    assert body_of(Dialect.V2, {}, b"{}") == (Content.V2 | Content.V2 << 4, b"{}")


@pytest.mark.parametrize("length", [b"6", b"-1", b"x", b""])
def test_a_length_beyond_the_body_is_malformed(length):
    with pytest.raises(Malformed):
        body_of(Dialect.V2, {b"inference-header-content-length": length}, b"{}abc")


def test_mlflow_takes_csv_and_answers_in_its_own_words():
    assert body_of(Dialect.MLFLOW, {b"content-type": b"text/csv"}, b"") == (Content.CSV | Content.MLFLOW << 4, b"")
    content, _ = body_of(Dialect.MLFLOW, {b"content-type": b"application/json"}, b"")
    assert content == Content.MLFLOW | Content.MLFLOW << 4


def test_a_binary_answer_tells_the_length_of_its_json_in_a_header():
    assert split_binary(b"\x02\0\0\0{}abc") == (b"inference-header-content-length: 2\r\n", b"{}abc")


def test_errors_are_said_as_each_protocol_says_them_with_the_place_in_the_message():
    error = Invalid("1 value does not fit.", fields=[{"field": "x", "row": 3, "message": "must be a number"}])
    body = error_body(error, "req_1")
    assert translated(Dialect.OURS, 422, body) == body
    said = "1 value does not fit. x, row 3: must be a number"
    assert msgspec.json.decode(translated(Dialect.V2, 422, body)) == {"error": said}
    assert msgspec.json.decode(translated(Dialect.MLFLOW, 422, body)) == {"error_code": "BAD_REQUEST", "message": said}
    assert msgspec.json.decode(translated(Dialect.MLFLOW, 500, body))["error_code"] == "INTERNAL_ERROR"
