"""`modelyard model`: list, show, compare, download, stage, delete."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from modelyard.cli.connect import confirmed, connect
from modelyard.cli.output import Column, json_option, show, show_fields, show_json, show_table
from modelyard.cli.training import show_version

VERSION = "PREFIX/NAME[/vN]"


@click.group("model")
def model() -> None:
    """List, compare, download, stage and delete models and versions."""


@model.command("list")
@click.option("--prefix", help="Only those of this prefix.")
@click.option("--limit", type=click.IntRange(1), help="At most so many, the newest.")
@json_option
def list_all(prefix: str | None, limit: int | None, as_json: bool) -> None:
    """List the models, newest first."""
    columns = [
        Column("path", "MODEL"),
        Column("versions", "VERSIONS"),
        Column("latest_version", "LATEST", _number),
        Column("production_version", "PRODUCTION", _number),
        Column("staging_version", "STAGING", _number),
        Column("created_at", "CREATED"),
    ]
    show(connect().models.list(prefix=prefix, limit=limit), columns, as_json=as_json)


@model.command("show")
@click.argument("name", metavar=VERSION)
@json_option
def show_one(name: str, as_json: bool) -> None:
    """Show a model with its versions, or a version with its metrics."""
    from modelyard.features.models.schemas import parse

    if parse(name).selector is None:
        _show_model(name, as_json=as_json)
        return
    found = connect().models.version(name)
    if as_json:
        show_json(found)
        return
    show_version(found)
    lineage = found.data.lineage
    click.echo()
    show_fields(
        {
            "stage": found.stage,
            "target": found.data.signature.get("target"),
            "columns": ", ".join(field["name"] for field in found.data.signature.get("inputs", ())),
            "format": found.format,
            "release": lineage.get("release"),
            "intent": lineage.get("intent"),
            "job": lineage.get("job"),
            "checksum": found.checksum,
            "created": found.model_dump(mode="json")["created_at"],
        }
    )


def _show_model(name: str, *, as_json: bool) -> None:
    client = connect()
    found, versions = client.models.get(name), client.models.versions(name)
    if as_json:
        show_json({**found.model_dump(mode="json"), "version_list": versions})
        return
    click.echo(f"{found.path}: {len(versions)} version{'' if len(versions) == 1 else 's'}. {found.description}\n")
    rows = []
    for version in versions:
        verdict = version.verdict
        metric = verdict.headline
        shown = f"{metric.name} {metric.value:.4f} ({metric.lower:.4f} … {metric.upper:.4f})"
        rows.append({**version.model_dump(mode="json"), "metric": shown})
    columns = [
        Column("version", "VERSION"),
        Column("stage", "STAGE"),
        Column("algorithm", "ALGORITHM"),
        Column("metric", "METRIC (95 % INTERVAL)"),
        Column("created_at", "CREATED"),
    ]
    show_table(rows, columns)


@model.command("compare")
@click.argument("one", metavar=VERSION)
@click.argument("other", metavar=VERSION)
@json_option
def compare(one: str, other: str, as_json: bool) -> None:
    """Compare two versions, metric by metric."""
    client = connect()
    first, second = client.models.version(one).path, client.models.version(other).path
    columns = [
        Column("metric", "METRIC"),
        Column(first, first, "{:.4f}".format),
        Column(second, second, "{:.4f}".format),
        Column("difference", "DIFFERENCE", "{:+.4f}".format),
        Column("direction", "BETTER IS"),
        Column("better", "CLEARLY BETTER"),
    ]
    show(client.models.compare(first, second), columns, as_json=as_json)


@model.command("download")
@click.argument("name", metavar=VERSION)
@click.option(
    "--to", type=click.Path(path_type=Path), default=Path(), help="A file or a folder.  [default: this folder]"
)
def download(name: str, to: Path) -> None:
    """Write a version's whole folder as a ZIP."""
    click.echo(connect().models.download(name, to))


@model.command("stage")
@click.argument("name", metavar="PREFIX/NAME/vN")
@click.argument("stage", type=click.Choice(["production", "staging", "none"]))
@json_option
def set_stage(name: str, stage: Literal["production", "staging", "none"], as_json: bool) -> None:
    """Make a version the one in production or in staging; `none` takes its stage away."""
    found = connect().models.stage(name, None if stage == "none" else stage)
    if as_json:
        show_json(found)
    else:
        click.echo(f"{found.path} is {f'in {found.stage}' if found.stage else 'in no stage'}.")


@model.command("delete")
@click.argument("name", metavar=VERSION)
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(name: str, yes: bool) -> None:
    """Delete a version, or a model with all of them; refused while a deployment holds one."""
    confirmed(f"Delete {name} for good?", yes=yes)
    connect().models.delete(name)
    click.echo(f"{name} is deleted.")


def _number(number: int) -> str:
    return f"v{number}"
