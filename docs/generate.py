"""Writes docs/reference/ from the code: settings, errors, the command, REST. A test compares; `make fix` repairs.

Each page is a function without arguments that answers Markdown; `PAGES` names them by file.
"""

import importlib
import importlib.util
import inspect
import pkgutil
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from fastapi import FastAPI
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts

import modelyard
from modelyard.api.app import create_app
from modelyard.cli.main import cli
from modelyard.core import errors, settings
from modelyard.features.auth.dependencies import permission_of

REFERENCE = Path(__file__).parent / "reference"
NOTE = "<!-- Written by docs/generate.py from the code: `make fix` writes it anew. -->"


def settings_page() -> str:
    """Every environment variable with its default, by group."""
    lines = [
        *_head("Settings"),
        "Read once at the start of each process from the environment; a value that does not fit stops the start.",
        "Options of `modelyard up` win over variables.",
    ]
    current = None
    for variable, group, description, default in settings.variables():
        if group != current:
            current = group
            lines += [
                "",
                f"## {group.capitalize() or 'General'}",
                "",
                "| variable | default | meaning |",
                "|---|---|---|",
            ]
        lines.append(f"| `{variable}` | {_default(default, description)} | {description} |")
    lines += ["", "## Client", "", "Read by the command and the Python client.", "", "| variable |", "|---|"]
    lines += [f"| `{variable}` |" for variable in sorted(settings.CLIENT_VARIABLES)]
    return _page(lines)


def errors_page() -> str:
    """Every error with its HTTP status and its code."""
    lines = [
        *_head("Errors"),
        "Every process answers an error in one form; the Python client raises the same class again by its `code`.",
        "",
        "```json",
        '{"error": {"code": "not_found", "message": "…", "detail": {}, "fields": []}, "request_id": "req_…"}',
        "```",
        "",
        "`fields` lists what is wrong by place. 429, 503 and 507 carry `Retry-After` where a time is known.",
        "",
        "| code | status | class | a kind of | meaning |",
        "|---|---|---|---|---|",
    ]
    for error in sorted(known_errors(), key=lambda error: (error.status, error.code, error.__name__)):
        parent = error.__mro__[1].__name__
        lines.append(
            f"| `{error.code}` | {error.status} | `{error.__name__}` "
            f"| {'' if parent == 'ModelyardError' else f'`{parent}`'} | {_first_line(error.__doc__)} |"
        )
    return _page(lines)


def cli_page() -> str:
    """Every command with its arguments and options."""
    lines = [*_head("Command line"), *_usage(cli, "modelyard")]
    lines += ["", "Exit codes: 0 ok, 1 failure, 2 usage, 3 not found, 4 not allowed, 5 conflict, 6 quota, 7 time-out."]
    for path, found in _commands(cli, "modelyard"):
        lines += ["", f"{'#' * (1 + path.count(' '))} {path}", "", *_usage(found, path)]
    return _page(lines)


def rest_page() -> str:
    """Every route of the control plane with what it takes to be let in."""
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(settings.load({}, data=Path(folder)))
    lines = [
        *_head("REST"),
        "Below `/api/v1`; bodies are JSON. `/api/v1/openapi.json` describes each in full and `/api/docs` shows it in a",
        "browser. Predictions are answered by the gateway: see [the data plane](../architecture/data-plane.md).",
        "",
        "| route | lets in who may | does |",
        "|---|---|---|",
    ]
    for route in routes(app):
        path = (route.path or "").replace(":path}", "}")
        for method in sorted(route.methods):
            summary = _first_line(route.description or route.summary)
            lines.append(f"| `{method} {path}` | {permission_of(route.dependant) or ''} | {_cell(summary)} |")
    return _page(lines)


PAGES: dict[str, Callable[[], str]] = {
    "settings.md": settings_page,
    "errors.md": errors_page,
    "cli.md": cli_page,
    "rest.md": rest_page,
}


def known_errors() -> set[type[errors.ModelyardError]]:
    """Every error of every part: from the modules called `errors`, and from those that define one of their own."""
    for module in pkgutil.walk_packages(modelyard.__path__, "modelyard."):
        if module.name.endswith(".errors") or _defines_an_error(module.name):
            importlib.import_module(module.name)
    # One without a code of its own is told by its parent's, or by the code that each instance is given.
    return {error for error in errors.tree() if error.__module__.startswith("modelyard.") and "code" in vars(error)}


def _defines_an_error(module: str) -> bool:
    """Whether the module's text has a class with a `code` of its own, as every error has."""
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return (
        re.search(r"^class .*:$(?:\n.*){1,8}?\n    code = \"", Path(spec.origin).read_text(), re.MULTILINE) is not None
    )


def routes(app: FastAPI) -> list[RouteContext]:
    """The routes that are part of the public interface, by path."""
    shown = [
        route
        for route in iter_route_contexts(app.routes)
        if isinstance(route.original_route, APIRoute) and route.include_in_schema
    ]
    return sorted(shown, key=lambda route: (route.path, sorted(route.methods)))


def _commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    """(`modelyard dataset create`, the command) of everything below a group, in its order."""
    context = click.Context(group, info_name=path)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        if found is not None and not found.hidden:
            yield f"{path} {name}", found
            if isinstance(found, click.Group):
                yield from _commands(found, f"{path} {name}")


def _usage(found: click.Command, path: str) -> list[str]:
    """What a command does, how it is called, and its options."""
    context = click.Context(found, info_name=path)
    lines = [inspect.cleandoc(found.help or "").replace("\b\n", "")]
    lines += ["", "```text", " ".join([path, *found.collect_usage_pieces(context)]), "```"]
    records = [parameter.get_help_record(context) for parameter in found.get_params(context)]
    told = [(name, text) for name, text in filter(None, records) if text and "--help" not in name]
    if told:
        lines += ["", "| option | meaning |", "|---|---|"]
        lines += [f"| `{_cell(name)}` | {_cell(text)} |" for name, text in told]
    return lines


def _default(value: Any, description: str) -> str:
    if value in {"", None} and not isinstance(value, bool):
        return "none"
    if isinstance(value, int) and not isinstance(value, bool) and description.endswith("bytes."):
        for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
            if value >= size and value % size == 0:
                return f"`{value}` ({value // size} {unit})"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _head(title: str) -> list[str]:
    return [NOTE, "", f"# {title}", ""]


def _page(lines: list[str]) -> str:
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    """Write every page."""
    for name, page in PAGES.items():
        (REFERENCE / name).write_text(page())


if __name__ == "__main__":
    main()
