"""`modelyard settings`: every setting, the variable that sets it, its value here and its default."""

from typing import Any

import click

from modelyard.cli.output import Column, json_option, show
from modelyard.core.settings import as_variables, from_environment, unknown_variables_here, variables

SECRET = frozenset({"MODELYARD_SECRET", "MODELYARD_DATABASE_URL", "MODELYARD_REDIS_URL"})


@click.command("settings")
@json_option
def settings(as_json: bool) -> None:
    """List every setting with its variable, its value here, its default and what it means."""
    show(
        rows(),
        [
            Column("variable", "VARIABLE"),
            Column("value", "VALUE"),
            Column("default", "DEFAULT"),
            Column("description", "MEANING"),
        ],
        as_json=as_json,
    )
    for name in unknown_variables_here():
        click.echo(f"warning: {name} sets nothing. Is it misspelt?", err=True)


def rows() -> list[dict[str, Any]]:
    """One row per setting, in order; what is secret is only said to be set."""
    given = as_variables(from_environment())
    return [
        {
            "variable": name,
            "value": "(set)" if name in SECRET and name in given else given.get(name, str(default)),
            "default": str(default),
            "group": group,
            "description": description,
        }
        for name, group, description, default in variables()
    ]
