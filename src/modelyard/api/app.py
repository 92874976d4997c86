"""The api's application: every feature's routes on one FastAPI app."""

import importlib
import pkgutil
import re
import time
from collections.abc import Callable
from typing import Any

from anyio import CapacityLimiter
from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi

import modelyard
from modelyard import features
from modelyard.core.settings import Settings
from modelyard.features.auth.passwords import Passwords
from modelyard.features.deployments import observed
from modelyard.protocol.routing import RoutingTable
from modelyard.web import errors
from modelyard.web.idempotency import Idempotency
from modelyard.web.platform import Platform, open_platform
from modelyard.web.requests import BodyLimit, RequestId

UPLOADS = re.compile(r"/datasets/[^/]+/(samples|uploads/[^/]+)$|/batch-predictions/files$")
TELL_SECONDS, TELL_EVERY = 1.0, 0.03


def create_app(settings: Settings, *, platform: Platform | None = None) -> FastAPI:
    """The app over an open platform; opens one where none is given."""
    platform = platform or open_platform(settings)
    app = FastAPI(title="Modelyard", version=modelyard.__version__, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.platform = platform
    app.state.stopping = lambda: False
    app.state.tell = lambda test: tell_gateways(platform, test)
    app.state.importing = CapacityLimiter(settings.jobs.at_once)
    app.state.passwords = Passwords(settings.auth.logins_at_once)
    errors.install(app)
    for router in routers():
        app.include_router(router)
    # The last one added is the first to see a request.
    app.add_middleware(Idempotency, platform=platform)
    app.add_middleware(BodyLimit, limit=settings.limits.body, free=UPLOADS)
    app.add_middleware(RequestId)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]
    return app


def tell_gateways(platform: Platform, test: Callable[[RoutingTable], bool]) -> bool:
    """Wait until every gateway serves by a table for which `test` holds; false where that takes over a second."""
    until = time.monotonic() + TELL_SECONDS
    while time.monotonic() < until:
        with platform.database.session(read_only=True) as session:
            if observed.told(session, test):
                return True
        time.sleep(TELL_EVERY)
    return False


def routers() -> list[APIRouter]:
    """Every `router` in a feature's `routes.py` or `internal.py`, and the api's own.

    A new feature is mounted by being there.
    """
    from modelyard.api import routes

    found = [routes.router]
    for feature in pkgutil.iter_modules(features.__path__):
        for name in ("routes", "internal"):
            module = f"{features.__name__}.{feature.name}.{name}"
            if importlib.util.find_spec(module) is not None:
                found.append(importlib.import_module(module).router)
    return found


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, made once: with credentials, and with the one error body on every route."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, routes=app.routes, description=modelyard.__doc__)
        _add_credentials(document)
        _add_summaries(document)
        _add_errors(document)
        app.openapi_schema = document
    return app.openapi_schema


def _add_credentials(document: dict[str, Any]) -> None:
    schemes = document.setdefault("components", {}).setdefault("securitySchemes", {})
    schemes["key"] = {"type": "apiKey", "in": "header", "name": "x-api-key"}
    schemes["bearer"] = {"type": "http", "scheme": "bearer", "description": "A login's token or an API key."}
    document["security"] = [{"key": []}, {"bearer": []}]


def _add_summaries(document: dict[str, Any]) -> None:
    """A route is called what its docstring's first sentence says, not what its function is called."""
    for path in document["paths"].values():
        for operation in path.values():
            first, _, _ = operation.get("description", operation["summary"]).partition(". ")
            operation["summary"] = first.partition("\n")[0].rstrip(".")


def _add_errors(document: dict[str, Any]) -> None:
    schemas = document["components"].setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Error"] = {
        "type": "object",
        "required": ["error", "request_id"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["code", "message", "detail", "fields"],
                "properties": {
                    "code": {"type": "string"},
                    "message": {"type": "string"},
                    "detail": {"type": "object"},
                    "fields": {"type": "array", "items": {"type": "object"}},
                },
            },
            "request_id": {"type": "string"},
        },
    }
    answer = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}
    told = {"401": "No valid credential", "403": "Not allowed", "404": "Not there", "422": "Not valid"}
    for path in document["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
            for status, description in told.items():
                operation["responses"].setdefault(status, {"description": description, **answer})
