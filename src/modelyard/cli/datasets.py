"""`modelyard dataset`: create, upload, list, show, change, delete.

What a dataset holds and its releases are in `dataset_rows.py` and `dataset_releases.py`.
"""

from __future__ import annotations

from typing import Any

import click

from modelyard.cli import dataset_releases, dataset_rows
from modelyard.cli.connect import confirmed, connect
from modelyard.cli.output import Column, json_option, show, show_fields, show_json, show_table, size
from modelyard.cli.uploads import upload

COUNT = "{:,}".format


@click.group("dataset")
def dataset() -> None:
    """Create datasets, upload samples, take releases, download."""


for command in (upload, *dataset_rows.COMMANDS, *dataset_releases.COMMANDS):
    dataset.add_command(command)

roles_option = click.option(
    "--role", "roles", multiple=True, metavar="ROLE=COLUMN",
    help="What a column is: time, series, text or group. May come several times.",
)  # fmt: skip


def roles_of(given: tuple[str, ...]) -> dict[str, str]:
    """`time=date` and so on as a mapping."""
    pairs = [each.partition("=") for each in given]
    wrong = next(
        (each for each, (_, equals, column) in zip(given, pairs, strict=True) if not equals or not column), None
    )
    if wrong is not None:
        raise click.BadParameter(f"{wrong!r} is no ROLE=COLUMN, as in time=date.", param_hint="--role")
    return {role: column for role, _, column in pairs}


@dataset.command("create")
@click.argument("name")
@click.option("--scenario", default="tabular-classification", show_default=True, help="The kind of problem.")
@click.option("--description", default="", help="What the data is.")
@click.option("--target", metavar="COLUMN", help="The column to predict, where it is known already.")
@roles_option
@json_option
def create(
    name: str, scenario: str, description: str, target: str | None, roles: tuple[str, ...], as_json: bool
) -> None:
    """Make an empty dataset."""
    named = roles_of(roles)
    made = connect().datasets.create(name, scenario=scenario, description=description, target=target, roles=named)
    if as_json:
        show_json(made)
    else:
        click.echo(f"{made.name} is there. Next: modelyard dataset upload {made.name} FILE")


@dataset.command("list")
@click.option("--scenario", help="Only those of this scenario.")
@click.option("--limit", type=click.IntRange(1), help="At most so many, the newest.")
@json_option
def list_all(scenario: str | None, limit: int | None, as_json: bool) -> None:
    """List the datasets, newest first."""
    columns = [
        Column("name", "NAME"),
        Column("scenario", "SCENARIO"),
        Column("target", "TARGET"),
        Column("samples", "FILES"),
        Column("rows", "ROWS", COUNT),
        Column("size", "SIZE", size),
        Column("latest_release", "RELEASE"),
        Column("created_at", "CREATED"),
    ]
    show(connect().datasets.list(scenario=scenario, limit=limit), columns, as_json=as_json)


@dataset.command("show")
@click.argument("name")
@json_option
def show_one(name: str, as_json: bool) -> None:
    """Show a dataset with its files and releases."""
    client = connect()
    found, samples, releases = client.datasets.get(name), client.datasets.samples(name), client.datasets.releases(name)
    if as_json:
        show_json({**found.model_dump(mode="json"), "files": samples, "releases": releases})
        return
    show_fields(
        {
            "name": found.name,
            "id": found.id,
            "scenario": found.scenario,
            "target": found.target,
            **{f"role {role}": column for role, column in found.roles.items()},
            "description": found.description,
            "rows": f"{found.rows:,}",
            **{f"  {purpose}": f"{count:,}" for purpose, count in found.counts.items() if count},
            "size": size(found.size),
            "created": found.model_dump(mode="json")["created_at"],
        }
    )
    if samples:
        click.echo()
        show_table(
            [{**sample.model_dump(mode="json"), **_summed(sample)} for sample in samples],
            [
                Column("filename", "FILE"),
                Column("purpose", "PURPOSE"),
                Column("rows", "ROWS", COUNT),
                Column("size", "SIZE", size),
                Column("problems", "PROBLEMS"),
                Column("id", "ID"),
            ],
        )
    if releases:
        click.echo()
        show_table(
            [item.model_dump(mode="json") for item in releases],
            [
                Column("number", "RELEASE"),
                Column("state", "STATE"),
                Column("rows", "ROWS", COUNT),
                Column("note", "NOTE"),
                Column("created_at", "CREATED"),
            ],
        )


@dataset.command("update")
@click.argument("name")
@click.option("--description", help="What the data is.")
@click.option("--target", metavar="COLUMN", help="The column to predict, or that holds the labels.")
@roles_option
@json_option
def update(name: str, description: str | None, target: str | None, roles: tuple[str, ...], as_json: bool) -> None:
    """Change the description, the target or the roles of the columns; what is not named stays."""
    named = roles_of(roles)
    client = connect()
    both = {**client.datasets.get(name).roles, **named} if named else None
    made = client.datasets.update(name, description=description, target=target, roles=both)
    if as_json:
        show_json(made)
    else:
        click.echo(f"{made.name} is changed.")


@dataset.command("set-purpose")
@click.argument("name")
@click.argument("file_id", metavar="FILE")
@click.argument("purpose", type=click.Choice(["training", "validation", "test"]))
def set_purpose(name: str, file_id: str, purpose: Any) -> None:
    """Change what all rows of a file are for, by the file's id."""
    made = connect().datasets.set_purpose(name, file_id, purpose)
    click.echo(f"{made.filename}: {made.rows:,} rows for {made.purpose}")


@dataset.command("delete-file")
@click.argument("name")
@click.argument("file_id", metavar="FILE")
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete_file(name: str, file_id: str, yes: bool) -> None:
    """Take a file out of a dataset, by its id; releases that hold it keep it."""
    confirmed(f"Take the file {file_id} out of {name}?", yes=yes)
    connect().datasets.delete_sample(name, file_id)
    click.echo(f"{file_id} is gone.")


@dataset.command("delete")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(name: str, yes: bool) -> None:
    """Delete a dataset that has no releases."""
    confirmed(f"Delete the dataset {name} with all its files?", yes=yes)
    connect().datasets.delete(name)
    click.echo(f"{name} is deleted.")


def _summed(sample: Any) -> dict[str, Any]:
    """A file's purpose and problems in a word."""
    found = [problem.severity for problem in sample.problems]
    counted = [f"{found.count(kind)} {kind}{'s' if found.count(kind) > 1 else ''}" for kind in ("error", "warning")]
    told = ", ".join(text for text in counted if not text.startswith("0"))
    return {"purpose": "mixed" if sample.mixed else sample.purpose, "problems": told or None}
