"""`modelyard dataset`: create, upload, release, list, show, download, delete."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from modelyard.cli.connect import confirmed, connect
from modelyard.cli.output import Column, json_option, progress, show, show_fields, show_json, show_table, size

Purpose = Literal["training", "validation", "test"]
COUNT = "{:,}".format


@click.group("dataset")
def dataset() -> None:
    """Create datasets, upload samples, take releases, download."""


@dataset.command("create")
@click.argument("name")
@click.option("--scenario", default="tabular-classification", show_default=True, help="The kind of problem.")
@click.option("--description", default="", help="What the data is.")
@click.option("--target", metavar="COLUMN", help="The column to predict, where it is known already.")
@json_option
def create(name: str, scenario: str, description: str, target: str | None, as_json: bool) -> None:
    """Make an empty dataset."""
    made = connect().datasets.create(name, scenario=scenario, description=description, target=target)
    if as_json:
        show_json(made)
    else:
        click.echo(f"{made.name} is there. Next: modelyard dataset upload {made.name} FILE")


@dataset.command("upload")
@click.argument("name")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option(
    "--purpose", type=click.Choice(["training", "validation", "test"]), default="training", show_default=True,
    help="What the rows are for.",
)  # fmt: skip
@json_option
def upload(name: str, files: tuple[Path, ...], purpose: Purpose, as_json: bool) -> None:
    """Add files to a dataset: CSV, Parquet, JSON lines or Excel."""
    client, made = connect(), []
    for file in files:
        with progress(file.name) as update:
            sample = client.datasets.upload(
                name, file, purpose=purpose, progress=lambda sent, of: update(sent / of if of else 0.0, size(sent))
            )
        made.append(sample)
        if not as_json:
            columns = len(sample.profile.get("columns", ()))
            click.echo(
                f"{sample.filename}: {sample.rows:,} rows, {columns:,} columns, {size(sample.size)}, {sample.id}"
            )
    if as_json:
        show_json(made)
    else:
        click.echo(f"Next: modelyard dataset release {name}")


@dataset.command("release")
@click.argument("name")
@click.option("--note", default="", help="What this release is.")
@json_option
def release(name: str, note: str, as_json: bool) -> None:
    """Take an immutable release of a dataset as it is now."""
    made = connect().datasets.release(name, note)
    if as_json:
        show_json(made)
    else:
        click.echo(f"{made.reference}: {made.rows:,} rows in {len(made.files)} files, checksum {made.checksum[:12]}")


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
            "description": found.description,
            "rows": f"{found.rows:,}",
            "size": size(found.size),
            "created": found.model_dump(mode="json")["created_at"],
        }
    )
    if samples:
        click.echo()
        show_table(
            [sample.model_dump(mode="json") for sample in samples],
            [
                Column("filename", "FILE"),
                Column("purpose", "PURPOSE"),
                Column("rows", "ROWS", COUNT),
                Column("size", "SIZE", size),
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


@dataset.command("download")
@click.argument("name", metavar="NAME[@RELEASE]")
@click.option(
    "--to", type=click.Path(path_type=Path), default=Path(), help="A file or a folder.  [default: this folder]"
)
def download(name: str, to: Path) -> None:
    """Write a release, the newest where none is named, as a ZIP."""
    from modelyard.sdk.training import reference

    dataset_name, number = reference(name)
    click.echo(connect().datasets.download(dataset_name, to, number))


@dataset.command("delete")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(name: str, yes: bool) -> None:
    """Delete a dataset that has no releases."""
    confirmed(f"Delete the dataset {name} with all its files?", yes=yes)
    connect().datasets.delete(name)
    click.echo(f"{name} is deleted.")
