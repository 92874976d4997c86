"""The protocols that predictions are asked in: which path is whose, and how each says what is wrong.

The body stays unread here. What it holds is said by the frame's content (protocol/frames.py), which `serving/forms`
reads and writes; what differs besides is the path, and the shape of an error.

Sources: KServe V1 and V2 (the Open Inference Protocol), MLflow's scoring server, Allonia's model services.
"""

import re
from collections.abc import Mapping
from enum import IntEnum
from typing import Any, NamedTuple

import msgspec

from modelyard.core.errors import Malformed
from modelyard.gateway.bodies import content_of
from modelyard.protocol.frames import Content, exchange

BASES = ("/models/", "/v1/models/", "/v2/models/")
"""What the paths of predictions begin with."""

INFERENCE_LENGTH = b"inference-header-content-length"
_HEAD = b'{"error":'
_OURS, _V1, _V2 = BASES
_MLFLOW = "/invocations"
_ALLONIA = "/api/v1.0/predict"
_V2_PATH = re.compile(r"([^/]+)(?:/versions/([^/]+))?/infer")
_V2_EXCHANGE = exchange(Content.V2, Content.V2)
_V2_BINARY_EXCHANGE = exchange(Content.V2_BINARY, Content.V2)
_MLFLOW_CODES = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    429: "REQUEST_LIMIT_EXCEEDED",
    503: "TEMPORARILY_UNAVAILABLE",
}


class Dialect(IntEnum):
    """Whose words a request is in."""

    OURS = 0
    V2 = 1
    MLFLOW = 2


class Asked(NamedTuple):
    """What a path asks for. `path` is `prefix/model`, or that with a selector where `selector` is None."""

    dialect: Dialect
    path: str
    selector: str | None = None


def read_path(path: str) -> list[Asked]:
    """The meanings that a decoded path may have, in the order in which they are to be tried; none: no prediction."""
    if path.startswith(_V2):
        found = _V2_PATH.fullmatch(path[len(_V2) :].rstrip("/"))
        return [Asked(Dialect.V2, model_of(found[1]), found[2] or "")] if found else []
    if path.startswith(_V1):
        name, verb, rest = path[len(_V1) :].rstrip("/").partition(":predict")
        return [Asked(Dialect.OURS, model_of(name), "")] if verb and not rest and "/" not in name else []
    rest = path[len(_OURS) :].rstrip("/")
    asked = [Asked(Dialect.OURS, rest)]
    if rest.endswith(_MLFLOW):
        asked.append(Asked(Dialect.MLFLOW, rest.removesuffix(_MLFLOW)))
    elif rest.endswith(_ALLONIA):
        asked.append(Asked(Dialect.OURS, rest.removesuffix(_ALLONIA)))
    return asked


def model_of(name: str) -> str:
    """`prefix/model` from the one name that KServe's protocols have for it: dots in place of slashes."""
    return name.replace(".", "/")


def name_of(path: str) -> str:
    """The opposite of `model_of`; no part of a path has dots."""
    return path.replace("/", ".")


def body_of(dialect: Dialect, headers: Mapping[bytes, bytes], body: bytes) -> tuple[int, bytes]:
    """The frame's content and body for a request's body. Raises Unsupported, Malformed."""
    if dialect is Dialect.OURS:
        return content_of(headers), body
    if dialect is Dialect.MLFLOW:
        kind = content_of(headers) & 15
        return exchange(Content.MLFLOW if kind == Content.JSON else Content(kind), Content.MLFLOW), body
    length = headers.get(INFERENCE_LENGTH)
    if length is None:
        return _V2_EXCHANGE, body
    if not length.isdigit() or int(length) > len(body):
        raise Malformed("Inference-Header-Content-Length must be the length of the JSON at the beginning of the body.")
    return _V2_BINARY_EXCHANGE, int(length).to_bytes(4, "little") + body


def split_binary(body: bytes) -> tuple[bytes, bytes]:
    """The header line that tells the length of a binary answer's JSON part, and the answer without it in front."""
    return b"%b: %d\r\n" % (INFERENCE_LENGTH, int.from_bytes(body[:4], "little")), body[4:]


def dialect_of(target: bytes) -> Dialect:
    """Whose words an error is said in where what the target names was not found, or not looked for."""
    path = target.partition(b"?")[0].rstrip(b"/")
    if path.startswith(b"/v2/"):
        return Dialect.V2
    return Dialect.MLFLOW if path.endswith(b"/invocations") else Dialect.OURS


def translated(dialect: Dialect, status: int, body: bytes) -> bytes:
    """An error body of ours in the words of another protocol."""
    if dialect is Dialect.OURS or not body.startswith(_HEAD):
        return body
    error = msgspec.json.decode(body)["error"]
    message = _message(error)
    if dialect is Dialect.V2:
        return msgspec.json.encode({"error": message})
    code = _MLFLOW_CODES.get(status, "BAD_REQUEST" if status < 500 else "INTERNAL_ERROR")
    return msgspec.json.encode({"error_code": code, "message": message})


def _message(error: Mapping[str, Any]) -> str:
    """The message with the places that it speaks of, which the other protocols have no members for."""
    places = []
    for number, field in enumerate(error["fields"]):
        # Mostly the message is about the first of them.
        if not number and field["message"] in error["message"]:
            continue
        row = f", row {field['row']}" if field.get("row") is not None else ""
        places.append(f"{field['field']}{row}: {field['message']}")
    return " ".join([error["message"], *places[:5]])
