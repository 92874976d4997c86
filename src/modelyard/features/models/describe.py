"""What a version's URL says about itself: metadata, and an OpenAPI document made from its signature."""

from typing import Any

from modelyard.core.clock import iso
from modelyard.features.models.operations import name_of, signature_of
from modelyard.features.models.tables import ModelRow, VersionRow
from modelyard.protocol import answers
from modelyard.protocol.answers import Member
from modelyard.protocol.signature import Field, Signature

JSON_TYPES = {"number": "number", "integer": "integer", "boolean": "boolean"}
MEDIA_TYPES = {
    ".json": "application/json",
    ".md": "text/markdown; charset=utf-8",
    ".py": "text/x-python; charset=utf-8",
}
MOST_LISTED = 50


def media_type(path: str) -> str:
    """The media type of a version's file."""
    ending = path[path.rfind(".") :] if "." in path else ""
    return MEDIA_TYPES.get(ending, "application/octet-stream")


def metadata(model: ModelRow, version: VersionRow) -> dict[str, Any]:
    """The answer to `?get_meta=true`."""
    return {
        "model": name_of(model),
        "prefix": model.prefix,
        "name": model.name,
        "version": f"v{version.number}",
        "stage": version.stage,
        "scenario": version.artifact["scenario"],
        "algorithm": version.artifact["algorithm"],
        "format": version.artifact["format"],
        "signature": version.signature,
        "options": answers.choices(signature_of(version)),
        "answers": {member.name: member.help or member.kind for member in answers.members(signature_of(version))},
        "metrics": version.evaluation.get("metrics", []),
        "lineage": version.lineage,
        "created_at": iso(version.created_at),
    }


def openapi(model: ModelRow, version: VersionRow) -> dict[str, Any]:
    """The OpenAPI 3.1 document of one version's URL."""
    signature = signature_of(version)
    url = f"/models/{name_of(model)}/v{version.number}/"
    return {
        "openapi": "3.1.0",
        "info": {"title": name_of(model), "version": f"v{version.number}", "description": _about(signature)},
        "paths": {url: {"post": _operation(signature)}},
        "components": {
            "schemas": {"Instance": _instance(signature), "Prediction": _prediction(signature), "Error": _error()},
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "x-api-key"}},
        },
        "security": [{"key": []}],
    }


def _about(signature: Signature) -> str:
    return f"Predicts {signature.target} ({signature.scenario}) from {len(signature.inputs)} columns."


def _operation(signature: Signature) -> dict[str, Any]:
    instance, prediction = {"$ref": "#/components/schemas/Instance"}, {"$ref": "#/components/schemas/Prediction"}
    error = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}
    body = {
        "anyOf": [
            {
                "type": "object",
                **({} if signature.example_request else {"required": ["instances"]}),
                "properties": {"instances": {"type": "array", "items": instance}, **_parameters(signature)},
            },
            instance,
        ]
    }
    answer = {
        "type": "object",
        "required": ["predictions", "model", "version"],
        "properties": {
            "predictions": {"type": "array", "items": prediction},
            "model": {"type": "string"},
            "version": {"type": "string"},
        },
    }
    reasons = {
        "401": "No valid key",
        "404": "No such model",
        "413": "Too large",
        "422": "A row does not fit",
        "503": "Busy or starting",
    }
    return {
        "operationId": "predict",
        "summary": f"Predict {signature.target}",
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": body, "example": _example(signature)},
                "text/csv": {"schema": {"type": "string"}},
            },
        },
        "responses": {
            "200": {
                "description": _answered(signature),
                "content": {"application/json": {"schema": answer}, "text/csv": {"schema": {"type": "string"}}},
            },
            **{status: {"description": reason, **error} for status, reason in reasons.items()},
        },
    }


def _example(signature: Signature) -> dict[str, Any]:
    return signature.example_request or {"instances": [signature.example]}


def _answered(signature: Signature) -> str:
    if signature.example_request:
        return "What is predicted of the instances together"
    return "One prediction for each instance, in order"


def _parameters(signature: Signature) -> dict[str, Any]:
    """The member of a body with which a request chooses."""
    options = answers.choices(signature)
    if not options:
        return {}
    return {"parameters": {"type": "object", "properties": options, "additionalProperties": False}}


def _instance(signature: Signature) -> dict[str, Any]:
    return {
        "type": "object",
        "required": [field.name for field in signature.inputs if not _may_be_absent(field, signature)],
        "properties": {field.name: _field(field) for field in signature.inputs},
        **({"example": signature.example} if signature.example else {}),
    }


def _may_be_absent(field: Field, signature: Signature) -> bool:
    """The value of a series, which rows that are to be predicted do not have."""
    return field.name == signature.target and signature.scenario == "time-series-prediction"


def _field(field: Field) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": [JSON_TYPES.get(field.kind, "string"), "null"]}
    if field.kind == "date":
        schema["type"] = ["string", "number", "null"]
        schema["description"] = "ISO 8601, or seconds since 1970 in UTC"
    if field.categories:
        schema["description"] = "Seen in training: " + ", ".join(field.categories[:MOST_LISTED])
    if field.minimum is not None:
        schema["description"] = f"Seen in training: {field.minimum:g} to {field.maximum:g}"
    if field.example is not None:
        schema["examples"] = [field.example]
    return schema


def _prediction(signature: Signature) -> dict[str, Any]:
    found = answers.members(signature)
    example = signature.example_answer
    if signature.example_request:
        example = (example.get("predictions") or [{}])[0]
    return {
        "type": "object",
        "required": [member.name for member in found],
        "properties": {member.name: _member(member, signature) for member in found},
        **({"example": example} if example else {}),
    }


def _member(member: Member, signature: Signature) -> dict[str, Any]:
    told = {"description": member.help} if member.help else {}
    if member.kind == "shares":
        share = {"type": "number", "minimum": 0, "maximum": 1}
        return {"type": "object", "properties": dict.fromkeys(signature.classes, share), **told}
    if signature.classes and member.kind == "text":
        return {"type": "string", "enum": list(signature.classes), **told}
    kinds = {"text": "string", "number": "number", "single": "number", "integer": "integer", "boolean": "boolean"}
    kind = kinds.get(member.kind)
    if kind is None:
        return told
    # Where a version words its own answers, a member may be unknown.
    return {"type": [kind, "null"] if signature.example_request else kind, **told}


def _error() -> dict[str, Any]:
    error = {
        "type": "object",
        "required": ["code", "message"],
        "properties": {"code": {"type": "string"}, "message": {"type": "string"}, "fields": {"type": "array"}},
    }
    return {"type": "object", "properties": {"error": error, "request_id": {"type": "string"}}}
