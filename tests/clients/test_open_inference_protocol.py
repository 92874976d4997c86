"""The gateway against the OpenAPI description of the Open Inference Protocol, by schemathesis.

The description is the one that MLServer ships, the protocol's first implementation; it comes with the clients.
"""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from fixtures.clients import ENVIRONMENT
from fixtures.gateways import KEY, GatewayProcess
from fixtures.schemathesis import Report, run
from fixtures.tensors import DATATYPES, ROWS, columns

# MLServer's own, for language models.
NOT_OF_THE_PROTOCOL = ("/generate", "/generate_stream", "/infer_stream")
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
)
# The protocol's text: "a failed request must be indicated by an HTTP error status (typically 400)", with this body.
REFUSED = {
    "description": "A refusal",
    "content": {
        "application/json": {
            "schema": {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
        }
    },
}

pytestmark = pytest.mark.parametrize("gateway", ["isolated"], indirect=True)


@pytest.fixture(scope="module")
def description(installed: None) -> dict[str, Any]:
    """The paths of the protocol, with requests that our model answers among the examples."""
    file = next(ENVIRONMENT.glob("lib/python*/site-packages/mlserver/rest/openapi/dataplane.json"))
    found: dict[str, Any] = json.loads(file.read_text())
    found["paths"] = {path: item for path, item in found["paths"].items() if not path.endswith(NOT_OF_THE_PROTOCOL)}
    schemas = found["components"]["schemas"]
    schemas = found["components"]["schemas"]
    # In the description "bytes" are meant as well, which is no type of JSON, and parameters of MLServer's own.
    schemas["TensorData"] = {"type": "array"}
    schemas["Parameters"] = {"type": "object", "nullable": True}
    # We take null for what is not there, as MLServer's own client sends it, and numbers as ids.
    for part in ("InferenceRequest", "InferenceResponse"):
        schemas[part]["properties"]["id"] = {"anyOf": [{"type": "string"}, {"type": "integer"}], "nullable": True}
    schemas["InferenceRequest"]["properties"]["outputs"]["nullable"] = True
    for path, item in found["paths"].items():
        for verb in item.keys() & {"get", "post"}:
            item[verb]["responses"] = {"200": item[verb]["responses"]["200"], "4XX": REFUSED}
        if path.endswith("/infer"):
            item["post"]["requestBody"]["required"] = True
            item["post"]["requestBody"]["content"]["application/json"]["examples"] = requests()
    return found


def requests() -> dict[str, Any]:
    """Requests that are to be answered."""
    flat = [
        {"name": name, "shape": [len(ROWS)], "datatype": DATATYPES[name], "data": data}
        for name, data in columns(ROWS).items()
    ]
    nested = [{**one, "shape": [len(ROWS), 1], "data": [[value] for value in one["data"]]} for one in flat]
    values = {
        "flat": {"inputs": flat},
        "nested": {"inputs": nested, "id": "n-1"},
        "one output": {"inputs": flat, "outputs": [{"name": "probability"}], "parameters": {"mine": 1}},
    }
    return {name: {"value": value} for name, value in values.items()}


def ask(folder: Path, description: dict[str, Any], gateway: GatewayProcess, **more: Any) -> Report:
    arguments = {"phases": ("examples", "coverage", "fuzzing"), "checks": CHECKS, **more}
    return run(folder, description, gateway.url, header=f"authorization: Bearer {KEY}", **arguments)


def test_a_model_s_routes_do_what_the_description_says(
    gateway: GatewayProcess, description: dict[str, Any], tmp_path: Path
) -> None:
    parameters = {"path.model_name": "sales.churn", "path.model_version": "2"}
    report = ask(tmp_path, description, gateway, parameters=parameters)
    assert report.failed == [], report.text
    assert len(report.accepted) == 9
    assert all(report.accepted.values()), report.accepted
    infer = [count for operation, count in report.accepted.items() if operation.endswith("/infer")]
    assert all(count >= len(requests()) for count in infer), report.accepted


def test_names_that_nobody_has_are_refused_as_the_description_says(
    gateway: GatewayProcess, description: dict[str, Any], tmp_path: Path
) -> None:
    named = {**description, "paths": {path: item for path, item in description["paths"].items() if "{" in path}}
    report = ask(tmp_path, named, gateway, phases=("coverage", "fuzzing"))
    assert report.failed == [], report.text
    assert not any(report.accepted.values()), report.accepted


def test_an_answer_unlike_its_description_is_noticed(
    gateway: GatewayProcess, description: dict[str, Any], tmp_path: Path
) -> None:
    wrong = copy.deepcopy({**description, "paths": {"/v2": description["paths"]["/v2"]}})
    wrong["components"]["schemas"]["MetadataServerResponse"]["required"].append("colour")
    report = ask(tmp_path, wrong, gateway, phases=("coverage",))
    assert report.failed == ["GET /v2"]
