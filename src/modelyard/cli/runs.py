"""`modelyard run`: what was trained, and how it went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from modelyard.cli.connect import connect
from modelyard.cli.output import Column, duration, json_option, show, show_fields, show_json, show_table, size

if TYPE_CHECKING:
    from modelyard.features.training import schemas


@click.group("run")
def run() -> None:
    """List, compare and export the runs of tasks and builds."""


@run.command("list")
@click.option("--task", metavar="ID", help="Only those of this training task.")
@click.option("--state", help="Only those in this state: queued, running, succeeded, failed, stopped.")
@click.option("--model", metavar="PREFIX/NAME", help="Only those for this model.")
@click.option("--parent", metavar="ID", help="The trials of this run.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many, the newest.")
@json_option
def list_all(
    task: str | None, state: str | None, model: str | None, parent: str | None, limit: int, as_json: bool
) -> None:
    """List the runs, newest first."""
    columns = [
        Column("id", "ID"),
        Column("kind", "KIND"),
        Column("state", "STATE"),
        Column("algorithm", "ALGORITHM"),
        Column("primary", "METRIC"),
        Column("value", "VALUE", lambda value: f"{value:.4f}"),
        Column("version", "VERSION"),
    ]
    found = connect().runs.list(task=task, state=state, model=model, parent=parent, limit=limit)
    show(found, columns, as_json=as_json)


@run.command("show")
@click.argument("run_id", metavar="ID")
@json_option
def show_one(run_id: str, as_json: bool) -> None:
    """Show a run: what it made, with which parameters, or why it failed."""
    found = connect().runs.get(run_id)
    if as_json:
        show_json(found)
        return
    data: schemas.Run = found.data
    fields = {
        "id": data.id,
        "kind": data.kind,
        "state": data.state,
        "task": data.task,
        "algorithm": data.algorithm,
        "version": data.version,
        data.primary or "value": None if data.value is None else f"{data.value:.6g}",
        "took": None if data.seconds is None else duration(data.seconds),
        "why": f"{data.reason.what} {data.reason.next}" if data.reason else data.note or None,
        "message": (data.job.error or {}).get("message"),
        "log": f"modelyard job logs {data.job.id}",
    }
    settings = {f"  {name}": str(value) for name, value in data.parameters.items()}
    show_fields({**{name: value for name, value in fields.items() if value is not None}, **settings})


@run.command("compare")
@click.argument("runs", nargs=-1, required=True, metavar="ID ID…")
@json_option
def compare(runs: tuple[str, ...], as_json: bool) -> None:
    """Show runs side by side: parameters that differ, metrics with their intervals."""
    found = connect().runs.compare(*runs)
    if as_json:
        show_json(found)
        return
    columns = [Column("name", ""), *(Column(one.id, one.id) for one in found.runs)]
    rows: list[dict[str, Any]] = [_row(one.name, runs, map(_shown, one.values)) for one in found.parameters]
    rows += [_row(one.name, runs, map(_measured, one.values)) for one in found.metrics]
    show_table(rows, columns)


@run.command("metrics")
@click.argument("run_id", metavar="ID")
@click.option("--name", help="Only this metric.")
@json_option
def metrics(run_id: str, name: str | None, as_json: bool) -> None:
    """Print the history of a run's metrics."""
    columns = [Column("name", "METRIC"), Column("step", "STEP"), Column("value", "VALUE", lambda value: f"{value:.6g}")]
    show(connect().runs.history(run_id, name), columns, as_json=as_json)


@run.command("files")
@click.argument("run_id", metavar="ID")
@json_option
def files(run_id: str, as_json: bool) -> None:
    """List the files of the version that a run made; `modelyard model download` fetches them."""
    columns = [Column("path", "FILE"), Column("size", "SIZE", size), Column("sha256", "SHA-256")]
    show(connect().runs.files(run_id), columns, as_json=as_json)


@run.command("export")
@click.argument("run_id", metavar="ID")
@click.option("--mlflow", "target", required=True, metavar="FILE", help="Where to write the ZIP.")
def export(run_id: str, target: str) -> None:
    """Write a run with its trials as a file store of MLflow's."""
    click.echo(connect().runs.export_mlflow(run_id, target))


@run.command("delete")
@click.argument("run_id", metavar="ID")
def delete(run_id: str) -> None:
    """Delete a run with its log and metrics; refused while it runs, and while its version is there."""
    connect().runs.delete(run_id)
    click.echo(f"{run_id} is deleted.")


def _row(name: str, runs: tuple[str, ...], values: Any) -> dict[str, Any]:
    return {"name": name, **dict(zip(runs, values, strict=True))}


def _shown(value: Any) -> str | None:
    return None if value is None else str(value)


def _measured(metric: schemas.RunMetric | None) -> str | None:
    return None if metric is None else f"{metric.value:.4f} ({metric.lower:.4f} … {metric.upper:.4f})"
