"""The api's own routes: whether it lives, its OpenAPI document, its documentation page."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from modelyard.api.docs import page
from modelyard.features.auth.dependencies import Public

router = APIRouter(include_in_schema=False)


@router.get("/internal/health", dependencies=[Public])
def health() -> dict[str, str]:
    """Answers once the schema is up to date and the stores are open."""
    return {"status": "ok"}


@router.get("/", dependencies=[Public])
def start() -> RedirectResponse:
    """Where a browser that only knows the platform's address is sent."""
    return RedirectResponse("/api/docs")


@router.get("/api/v1/openapi.json", dependencies=[Public])
def openapi(request: Request) -> dict[str, Any]:
    """The whole interface."""
    document: dict[str, Any] = request.app.openapi()
    return document


@router.get("/api/docs", dependencies=[Public])
def documentation(request: Request) -> HTMLResponse:
    """The whole interface, to read: works without the internet."""
    return HTMLResponse(page(request.app.openapi()))
