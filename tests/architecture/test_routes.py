"""Nobody comes in by accident: each route says who may call it, and the open ones are listed here."""

from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts

from modelyard.api.app import create_app
from modelyard.core.settings import load
from modelyard.features.auth.dependencies import permission_of

OPEN_TO_EVERYBODY = {
    ("POST", "/api/v1/auth/login"),
    ("GET", "/api/v1/openapi.json"),
    ("GET", "/"),
    ("GET", "/api/docs"),
    ("GET", "/internal/health"),
}


@pytest.fixture
def routes(tmp_path: Path) -> list[RouteContext]:
    found = routes_of(create_app(load({}, data=tmp_path)))
    assert len(found) > 20
    return found


def routes_of(app: FastAPI) -> list[RouteContext]:
    """Every route that answers with an endpoint of ours."""
    return [route for route in iter_route_contexts(app.routes) if isinstance(route.original_route, APIRoute)]


def test_every_route_says_who_may_call_it(routes: list[RouteContext]) -> None:
    assert [route.path for route in routes if permission_of(route.dependant) is None] == []


def test_only_the_listed_routes_are_open_to_everybody(routes: list[RouteContext]) -> None:
    found = {
        (method, route.path)
        for route in routes
        for method in route.methods
        if permission_of(route.dependant) == "public"
    }
    assert found == OPEN_TO_EVERYBODY


def test_routes_for_the_platform_s_own_processes_are_neither_reachable_from_outside_nor_described(
    routes: list[RouteContext],
) -> None:
    inside = [route for route in routes if permission_of(route.dependant) == "internal"]
    assert inside
    assert [route.path for route in inside if route.include_in_schema or not route.path.startswith("/internal/")] == []


def test_a_route_that_says_nothing_is_noticed() -> None:
    app = FastAPI()

    @app.get("/forgotten")
    def forgotten() -> None: ...

    assert [permission_of(route.dependant) for route in routes_of(app)] == [None]
