"""`modelyard algorithm`: what can be trained."""

from __future__ import annotations

from typing import Any

import click

from modelyard.cli.connect import connect
from modelyard.cli.output import Column, json_option, show, show_json, show_table


@click.group("algorithm")
def algorithm() -> None:
    """List algorithms and their parameters."""


@algorithm.command("list")
@click.option("--scenario", help="Only those of this scenario.")
@json_option
def list_all(scenario: str | None, as_json: bool) -> None:
    """List the algorithms."""
    columns = [Column("name", "ALGORITHM"), Column("title", "TITLE"), Column("description", "WHAT IT DOES")]
    show(connect().algorithms.list(scenario), columns, as_json=as_json)


@algorithm.command("show")
@click.argument("name", metavar="SCENARIO/NAME")
@json_option
def show_one(name: str, as_json: bool) -> None:
    """Show an algorithm with the parameters that `modelyard train --param` takes."""
    found = connect().algorithms.get(name)
    if as_json:
        show_json(found)
        return
    click.echo(f"{found.name}: {found.title}\n{found.description}\n")
    columns = [
        Column("name", "PARAMETER"),
        Column("type", "TYPE"),
        Column("default", "DEFAULT"),
        Column("description", "MEANING"),
    ]
    show_table([_parameter(*item) for item in found.parameters.get("properties", {}).items()], columns)


def _parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "type": _type(schema),
        "default": schema.get("default"),
        "description": schema.get("description", schema.get("title", "")),
    }


def _type(schema: dict[str, Any]) -> str:
    """A JSON schema's type for people, with its bounds: `integer 1 … 500`, `a | b | c`."""
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "anyOf" in schema:
        return " | ".join(_type(item) for item in schema["anyOf"])
    lower = schema.get("minimum", schema.get("exclusiveMinimum"))
    upper = schema.get("maximum", schema.get("exclusiveMaximum"))
    kind = schema.get("type", "any")
    if lower is None and upper is None:
        return str(kind)
    return f"{kind} {'' if lower is None else lower} … {'' if upper is None else upper}".rstrip()
