"""`modelyard algorithm` and `modelyard configuration`: what can be trained, and how it is set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from modelyard.cli.connect import connect
from modelyard.cli.output import Column, json_option, show, show_fields, show_json, show_table
from modelyard.cli.training import given_parameters

if TYPE_CHECKING:
    from modelyard.features.catalogue import schemas


@click.group("algorithm")
def algorithm() -> None:
    """List algorithms and their parameters, switch them on and off."""


@algorithm.command("list")
@click.option("--scenario", help="Only those of this scenario.")
@json_option
def list_all(scenario: str | None, as_json: bool) -> None:
    """List the algorithms."""
    columns = [
        Column("name", "ALGORITHM"),
        Column("title", "TITLE"),
        Column("enabled", "USABLE", _yes),
        Column("description", "WHAT IT DOES"),
    ]
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
    for said in _hindrances(found):
        click.echo(said)
    columns = [
        Column("name", "PARAMETER"),
        Column("type", "TYPE"),
        Column("default", "DEFAULT"),
        Column("description", "MEANING"),
    ]
    show_table([_parameter(*item) for item in found.parameters.get("properties", {}).items()], columns)


@algorithm.command("enable")
@click.argument("name", metavar="SCENARIO/NAME")
def enable(name: str) -> None:
    """Let an algorithm be used; for administrators."""
    click.echo(f"{connect().algorithms.enable(name).name} may be used.")


@algorithm.command("disable")
@click.argument("name", metavar="SCENARIO/NAME")
def disable(name: str) -> None:
    """Let an algorithm be used no more; refused while tasks could run it. For administrators."""
    click.echo(f"{connect().algorithms.disable(name).name} may be used no more.")


@click.group("configuration")
def configuration() -> None:
    """Name parameters of an algorithm, to be used again."""


@configuration.command("create")
@click.argument("algorithm_name", metavar="SCENARIO/NAME")
@click.argument("name")
@click.option("--param", "parameters", multiple=True, metavar="NAME=VALUE", help="A parameter; may be repeated.")
@click.option("--title", default="", help="What people read.")
@click.option("--description", default="", help="When to use it.")
@click.option("--default", is_flag=True, help="Use it where a task names none; for administrators.")
@json_option
def create_configuration(
    algorithm_name: str,
    name: str,
    parameters: tuple[str, ...],
    title: str,
    description: str,
    default: bool,
    as_json: bool,
) -> None:
    """Make a configuration."""
    made = connect().configurations.create(
        algorithm_name, name, given_parameters(parameters), title=title, description=description, default=default
    )
    show_json(made) if as_json else click.echo(f"{made.algorithm} has the configuration {made.name}: {made.id}")


@configuration.command("list")
@click.option("--algorithm", "algorithm_name", metavar="SCENARIO/NAME", help="Only those of this algorithm.")
@json_option
def list_configurations(algorithm_name: str | None, as_json: bool) -> None:
    """List the configurations, newest first."""
    columns = [
        Column("id", "ID"),
        Column("algorithm", "ALGORITHM"),
        Column("name", "NAME"),
        Column("default", "DEFAULT", _yes),
        Column("enabled", "USABLE", _yes),
        Column("title", "TITLE"),
    ]
    show(connect().configurations.list(algorithm_name), columns, as_json=as_json)


@configuration.command("show")
@click.argument("configuration_id", metavar="ID")
@json_option
def show_configuration(configuration_id: str, as_json: bool) -> None:
    """Show a configuration with its parameters."""
    found = connect().configurations.get(configuration_id)
    if as_json:
        show_json(found)
        return
    fields = {name: value for name, value in found.model_dump(mode="json").items() if name != "parameters"}
    show_fields({**fields, **{f"  {name}": value for name, value in found.parameters.items()}})


@configuration.command("delete")
@click.argument("configuration_id", metavar="ID")
def delete_configuration(configuration_id: str) -> None:
    """Delete a configuration; refused while tasks are set by it."""
    connect().configurations.delete(configuration_id)
    click.echo(f"{configuration_id} is deleted.")


def _hindrances(found: schemas.Algorithm) -> Iterator[str]:
    if not found.enabled:
        yield "It is switched off: an administrator can run `modelyard algorithm enable`."
    if not found.installed:
        yield f"It needs {', '.join(found.requires)}, which is not installed where the platform runs."


def _yes(value: bool) -> str:
    return "yes" if value else "no"


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
