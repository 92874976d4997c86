"""What REST can, the Python client can: every route has a call in sdk/, or a line here that says why not."""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from fastapi.routing import APIRoute, iter_route_contexts

from modelyard.api.app import create_app
from modelyard.core.settings import load

BASE = ("api", "v1")
VERBS = {"get": "GET", "post": "POST", "post_secret": "POST", "patch": "PATCH", "put": "PUT", "delete": "DELETE"}
ANY = "{}"
"""A part of a path that is not written out: in a route a parameter, in the client a variable."""
MODEL = ("prefixes", ANY, "models", ANY)
PARTS = {"_parts": [MODEL], "_version_parts": [(*MODEL, "versions", ANY)]}
"""What the functions of sdk/models.py that put paths together stand for."""
WITHOUT_A_CALL = {
    "GET /api/v1/algorithms/{scenario}/{name}": "asked for by the whole name, which is one argument of the call",
    "GET /api/v1/jobs/{job}/events": "for pages that show a job; the client asks for the job and follows its log",
    "GET /api/v1/jobs/{job}/log.txt": "for a person's browser; the client reads lines",
    "GET /api/v1/prefixes/{prefix:path}/models": "the listing of models narrowed to a prefix is the same",
    "GET /api/v1/prefixes/{prefix:path}/models/{model}/versions/{version}/files/{path:path}": "comes with the download",
    "GET /api/v1/runs/{run}/logs": "a run's log is that of its job",
    "GET /api/v1/training-tasks/{task}/runs": "the listing of runs narrowed to a task is the same",
}
"""Routes that the client does not need, and why."""

Call = tuple[str, tuple[str, ...]]


def test_every_route_has_a_call_in_the_client(root: Path, tmp_path: Path) -> None:
    called = set(calls((root / "src" / "modelyard" / "sdk").glob("*.py")))
    routes = {
        f"{method} {route.path}"
        for route in iter_route_contexts(create_app(load({}, data=tmp_path)).routes)
        if isinstance(route.original_route, APIRoute) and route.path.startswith("/api/v1/") and route.include_in_schema
        for method in route.methods
    }
    assert len(routes) > 20
    assert sorted(route for route in routes if not is_called(route, called)) == sorted(WITHOUT_A_CALL)


@pytest.mark.parametrize(
    ("code", "route", "found"),
    [
        ('get("datasets", dataset, "samples", limit=3)', "GET /api/v1/datasets/{dataset}/samples", True),
        ('get("datasets", dataset, "samples")', "POST /api/v1/datasets/{dataset}/samples", False),
        ('get("datasets", dataset)', "GET /api/v1/datasets/{dataset}/samples", False),
        ('Request(method="POST", path=path("runs", key))', "POST /api/v1/runs/{run}", True),
        ("delete(*(_version_parts(x) if y else _parts(x)))", "DELETE /api/v1/prefixes/{prefix:path}/models/{m}", True),
        ('client.get("datasets")', "GET /api/v1/datasets", False),
    ],
)  # fmt: skip
def test_calls_are_read_from_the_source(code: str, route: str, tmp_path: Path, *, found: bool) -> None:
    (tmp_path / "source.py").write_text(code)
    assert is_called(route, set(calls([tmp_path / "source.py"]))) is found


def is_called(route: str, called: set[Call]) -> bool:
    """Whether one of the calls is of this route; a part that is not written out fits any."""
    method, _, path = route.partition(" ")
    parts = tuple(ANY if part.startswith("{") else part for part in path.strip("/").split("/"))
    return any(verb == method and fits(parts, found) for verb, found in called)


def fits(route: tuple[str, ...], call: tuple[str, ...]) -> bool:
    """Whether the parts of a call can be those of the route."""
    return len(route) == len(call) and all(
        one == other or ANY in {one, other} for one, other in zip(route, call, strict=True)
    )


def calls(paths: Iterable[Path]) -> Iterator[Call]:
    """(method, parts of the path) of every request that these modules put together."""
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            if node.func.id in VERBS:
                yield from ((VERBS[node.func.id], parts) for parts in paths_of(node.args))
            given = {keyword.arg: keyword.value for keyword in node.keywords}
            place, method = given.get("path"), given.get("method")
            if node.func.id == "Request" and isinstance(place, ast.Call) and isinstance(method, ast.Constant):
                yield from ((str(method.value), parts) for parts in paths_of(place.args))


def paths_of(arguments: list[ast.expr]) -> list[tuple[str, ...]]:
    """The paths that the arguments of `path(…)` can stand for."""
    found: list[tuple[str, ...]] = [BASE]
    for argument in arguments:
        if isinstance(argument, ast.Starred):
            names = re.findall("|".join(sorted(PARTS, key=len, reverse=True)), ast.unparse(argument))
            choices = [parts for name in names for parts in PARTS[name]]
        else:
            choices = [(str(argument.value) if isinstance(argument, ast.Constant) else ANY,)]
        found = [(*before, *choice) for before in found for choice in choices]
    return found
