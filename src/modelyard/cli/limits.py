"""`modelyard limit`: how fast keys and prefixes may be asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from modelyard.cli.connect import connect
from modelyard.cli.output import Column, json_option, show, show_json


@click.group("limit")
def limit() -> None:
    """Limit how fast API keys and prefixes may be asked."""


@limit.command("list")
@json_option
def list_limits(as_json: bool) -> None:
    """List the limits."""
    columns = [
        Column("kind", "LIMIT OF"),
        Column("subject", "KEY OR PREFIX"),
        Column("requests", "REQUESTS/S", "{:.10g}".format),
        Column("rows", "ROWS/S", "{:.10g}".format),
        Column("set_at", "SET"),
    ]
    show(connect().limits.list(), columns, as_json=as_json)


def _subject(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say what is limited."""
    for option in (
        click.option("--key", metavar="ID", help="The API key with this id; see `modelyard key list`."),
        click.option("--prefix", help="All callers of this prefix, and of those below it, together."),
    ):
        command = option(command)
    return command


@limit.command("set")
@_subject
@click.option("--requests", type=click.FloatRange(0, min_open=True), help="So many requests a second.")
@click.option("--rows", type=click.FloatRange(0, min_open=True), help="So many rows a second.")
@json_option
def set_limit(prefix: str | None, key: str | None, requests: float | None, rows: float | None, as_json: bool) -> None:
    """Limit a prefix or a key, in the place of the limit it has. Who asks faster is answered 429."""
    _demand_one(prefix, key)
    if requests is None and rows is None:
        raise click.UsageError("Give --requests, --rows or both.")
    made = connect().limits.set(prefix=prefix, key=key, requests=requests, rows=rows)
    if as_json:
        show_json(made)
        return
    allowed = [f"{value:.10g} {unit}" for value, unit in ((made.requests, "requests"), (made.rows, "rows")) if value]
    click.echo(f"The {made.kind} {made.subject} may ask for {' and '.join(allowed)} a second.")


@limit.command("remove")
@_subject
def remove(prefix: str | None, key: str | None) -> None:
    """Limit a prefix or a key no longer."""
    _demand_one(prefix, key)
    connect().limits.remove(prefix=prefix, key=key)
    click.echo(f"{prefix or key} is limited no longer.")


def _demand_one(prefix: str | None, key: str | None) -> None:
    if (prefix is None) == (key is None):
        raise click.UsageError("Give either --prefix or --key.")
