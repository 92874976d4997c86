"""What the protocols ask about models besides predictions: are you there, is it ready, what does it take and answer.

Answered from the routing table, as predictions are: api, controller and database may be away.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from modelyard import __version__
from modelyard.core.errors import NotFound
from modelyard.credentials.scope import covers
from modelyard.gateway.dialects import Asked, Dialect, model_of, name_of
from modelyard.gateway.routes import ROUTABLE, Model, Pool, Routes, Version
from modelyard.protocol.answers import CLASSIFICATION, REGRESSION
from modelyard.protocol.routing import Caller, Column, Schema

V2_EXTENSIONS = ("binary_tensor_data", "model_repository")
_V2_MODEL = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?(/ready)?")
_V1_MODEL = re.compile(r"/v1/models/([^/:]+)")
_BELOW = re.compile(r"/models/(.+)/(ping|health|version|api/v1\.0/health/status)")
_V2_TYPES = {
    "number": "FP64",
    "integer": "INT64",
    "boolean": "BOOL",
    "category": "BYTES",
    "text": "BYTES",
    "date": "BYTES",
    "single": "FP32",
}


class Described(NamedTuple):
    """An answer: status, JSON-ready body or text."""

    status: int
    body: Any


class Question(NamedTuple):
    """A request that is answered here: whose words it is in, and what it asks; `public` needs no credential."""

    dialect: Dialect
    kind: str
    model: str = ""
    selector: str = ""
    public: bool = False


def read(method: str, path: str) -> Question | None:
    """What a request asks, None where it is the api's."""
    path = path.rstrip("/")
    if method == "POST" and path == "/v2/repository/index":
        return Question(Dialect.V2, "index")
    if method not in {"GET", "HEAD"}:
        return _nothing(path)
    if path == "/ping":
        return Question(Dialect.MLFLOW, "alive", public=True)
    if path in {"/v2", "/v2/health/live", "/v2/health/ready"}:
        return Question(Dialect.V2, {"/v2": "server"}.get(path, path.rpartition("/")[2]), public=True)
    if path == "/v1/models":
        return Question(Dialect.OURS, "list")
    if found := _V2_MODEL.fullmatch(path):
        return Question(Dialect.V2, "ready" if found[3] else "metadata", model_of(found[1]), found[2] or "")
    if found := _V1_MODEL.fullmatch(path):
        return Question(Dialect.OURS, "v1", model_of(found[1]))
    if found := _BELOW.fullmatch(path):
        kind = "version" if found[2] == "version" else "status" if "api" in found[2] else "ping"
        return Question(Dialect.MLFLOW if kind == "ping" else Dialect.OURS, kind, found[1])
    return _nothing(path)


def _nothing(path: str) -> Question | None:
    """All of /v2/ is answered here, in words that its clients can read."""
    return Question(Dialect.V2, "nothing", path, public=True) if path.startswith("/v2/") else None


def answer(question: Question, routes: Routes, caller: Caller | None) -> Described:
    """The answer. `caller` is None for what is public. Raises NotFound."""
    if question.kind == "nothing":
        raise NotFound(f"There is nothing at {question.model[:200]} for this method.")
    if question.public or caller is None:
        return _SERVER[question.kind](routes)
    if question.kind == "list":
        return Described(200, {"models": [name_of(model.path) for model in _reached(routes, caller)]})
    if question.kind == "index":
        return Described(200, [entry for model in _reached(routes, caller) for entry in _index(model)])
    model, pool = routes.find(Asked(question.dialect, question.model, question.selector or None), caller)
    ready = any(version.state in ROUTABLE for version in pool.versions)
    return _MODEL[question.kind](model, pool, ready)


def _reached(routes: Routes, caller: Caller) -> Sequence[Model]:
    return [model for model in routes.models.values() if covers(caller.prefixes, model.prefix)]


def _index(model: Model) -> list[dict[str, str]]:
    states = {f"{version.number}": version.state for version in model.versions}
    name = name_of(model.path)
    return [
        {"name": name, "version": number, "state": "READY" if state in ROUTABLE else "UNAVAILABLE"}
        for number, state in states.items()
    ]


def _server(routes: Routes) -> Described:  # noqa: ARG001
    return Described(200, {"name": "modelyard", "version": __version__, "extensions": list(V2_EXTENSIONS)})


def _live(routes: Routes) -> Described:  # noqa: ARG001
    return Described(200, {"live": True})


def _ready(routes: Routes) -> Described:
    """Ready is who has a routing table: one that has none yet can answer for no model."""
    ready = routes.table.number > 0
    return Described(200 if ready else 503, {"ready": ready})


def _alive(routes: Routes) -> Described:  # noqa: ARG001
    return Described(200, "\n")


def _metadata(model: Model, pool: Pool, ready: bool) -> Described:  # noqa: ARG001
    numbers = sorted({version.number for version in model.versions})
    schema = _shown(pool).schema
    inputs, outputs, options = [], [], {}
    if schema is not None:
        inputs = [
            {"name": column.name, "datatype": _V2_TYPES.get(column.kind, "BYTES"), "shape": [-1, 1]}
            for column in schema.inputs
        ]
        outputs = _outputs(schema)
        options = schema.options
    return Described(
        200,
        {
            "name": name_of(model.path),
            "versions": [f"{number}" for number in numbers],
            "platform": "modelyard",
            "inputs": inputs,
            "outputs": outputs,
            # What a request may choose in its own `parameters`, as JSON schemas.
            "parameters": options,
        },
    )


def _outputs(schema: Schema) -> list[dict[str, object]]:
    # A table that an older controller made does not name them.
    outputs = schema.outputs or _USUAL[bool(schema.classes)]
    return [
        {
            "name": column.name,
            "datatype": "FP64" if column.kind == "shares" else _V2_TYPES.get(column.kind, "BYTES"),
            "shape": [-1, len(schema.classes) if column.kind == "shares" else 1],
        }
        for column in outputs
    ]


def _v2_ready(model: Model, pool: Pool, ready: bool) -> Described:
    return Described(200 if ready else 503, {"name": name_of(model.path), "ready": ready, "version": _label(pool)})


def _v1(model: Model, pool: Pool, ready: bool) -> Described:  # noqa: ARG001
    return Described(200 if ready else 503, {"name": name_of(model.path), "ready": ready})


def _ping(model: Model, pool: Pool, ready: bool) -> Described:  # noqa: ARG001
    return Described(200 if ready else 503, "\n")


def _status(model: Model, pool: Pool, ready: bool) -> Described:
    told = {"status": "ok" if ready else "unavailable", "model": model.path, "version": f"v{_label(pool)}"}
    return Described(200 if ready else 503, told)


def _version(model: Model, pool: Pool, ready: bool) -> Described:  # noqa: ARG001
    return Described(200, f"v{_label(pool)}\n")


def _shown(pool: Pool) -> Version:
    if not pool.versions:
        raise NotFound("The model has no deployed version.")
    return next((version for version in pool.versions if version.state in ROUTABLE), pool.versions[0])


def _label(pool: Pool) -> str:
    return f"{_shown(pool).number}"


_SERVER = {"server": _server, "live": _live, "ready": _ready, "alive": _alive}
_USUAL = {
    True: tuple(Column(member.name, member.kind) for member in CLASSIFICATION),
    False: tuple(Column(member.name, member.kind) for member in REGRESSION),
}
_MODEL = {
    "metadata": _metadata,
    "ready": _v2_ready,
    "v1": _v1,
    "ping": _ping,
    "status": _status,
    "version": _version,
}


def encoded(body: Any) -> tuple[bytes, bytes]:
    """The bytes of an answer and their content type."""
    if isinstance(body, str):
        return body.encode(), b"text/plain; charset=utf-8"
    return msgspec.json.encode(body), b"application/json"


def credentials_of(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    """Headers as the credentials are judged by."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}
