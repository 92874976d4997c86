"""`modelyard train` and `modelyard job`; and how a run is followed to its version."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from modelyard.cli.connect import connect
from modelyard.cli.output import Column, duration, json_option, show, show_fields, show_json, show_table

if TYPE_CHECKING:
    from modelyard.sdk.flow import Sync
    from modelyard.sdk.models import Version
    from modelyard.sdk.training import Run

wait_option = click.option(
    "--wait/--no-wait", default=True, show_default=True, help="Wait for the version, showing how far it is."
)
"""What starts a run takes it; the parameter is called `wait`."""


def parameter(text: str) -> tuple[str, Any]:
    """`name=value` taken apart; a value that is JSON is what it says, any other a text."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.BadParameter(f"{text!r} is no parameter. Write name=value.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


@click.command("train")
@click.argument("dataset", metavar="DATASET[@RELEASE]")
@click.option("--algorithm", required=True, metavar="SCENARIO/NAME", help="See: modelyard algorithm list.")
@click.option("--model", required=True, metavar="PREFIX/NAME", help="The model that gets the version.")
@click.option("--param", "parameters", multiple=True, metavar="NAME=VALUE", help="A parameter; may be repeated.")
@click.option("--target", metavar="COLUMN", help="The column to predict.  [default: the dataset's]")
@wait_option
@json_option
def train(
    dataset: str,
    algorithm: str,
    model: str,
    parameters: tuple[str, ...],
    target: str | None,
    wait: bool,
    as_json: bool,
) -> None:
    """Train one algorithm on a dataset's release, the newest where none is named; the result is a version."""
    given = dict(parameter(text) for text in parameters)
    run = connect().train(dataset, algorithm, model, parameters=given, target=target)
    if not as_json:
        click.echo(f"{run.job.data.title}: {run.job.id}")
    finish(run, wait=wait, as_json=as_json)


def finish(run: Run[Sync], *, wait: bool, as_json: bool) -> None:
    """Follow a run to its version and show that; Ctrl-C leaves the run alone. Raises what the run failed with."""
    job = run.job.id
    if wait:
        try:
            run.wait(progress=True)
        except KeyboardInterrupt:
            click.echo(f"\nThe job goes on without you. {_ways(job)}", err=True)
            click.get_current_context().exit(130)
    if as_json:
        show_json({"run": run, "version": run.version if wait else None})
    elif wait:
        show_version(run.version)
        click.echo(f"\nNext: modelyard deploy {run.version.path}")
    else:
        click.echo(_ways(job))


def _ways(job: str) -> str:
    return f"Look again: modelyard job show {job}, modelyard job logs {job} --follow. End it: modelyard job stop {job}."


def show_version(version: Version[Sync]) -> None:
    """A version's metrics with their intervals and baselines, and what was tried."""
    verdict = version.verdict
    rows = verdict.rows.get("test", 0)
    took = "".join(f", fitted in {duration(tried.fit_seconds)}" for tried in verdict.candidates if tried.chosen)
    click.echo(f"\n{version.path}: {version.algorithm}{took}; measured on {rows:,} held-out rows\n")
    show_table(
        [
            {
                "name": f"{metric.name} *" if metric.name == verdict.primary else metric.name,
                "value": f"{metric.value:.4f}",
                "interval": f"{metric.lower:.4f} … {metric.upper:.4f}",
                "baseline": f"{metric.baseline:.4f}",
                "direction": metric.direction,
            }
            for metric in verdict.metrics
        ],
        [
            Column("name", "METRIC"),
            Column("value", "VALUE"),
            Column("interval", "95 % INTERVAL"),
            Column("baseline", "BASELINE"),
            Column("direction", "BETTER IS"),
        ],
    )
    if len(verdict.candidates) > 1:
        click.echo()
        show_table(
            [
                {
                    "algorithm": candidate.algorithm,
                    "validation": f"{candidate.validation:.4f}",
                    "seconds": duration(candidate.fit_seconds),
                    "note": "chosen" if candidate.chosen else candidate.note,
                }
                for candidate in verdict.candidates
            ],
            [
                Column("algorithm", "CANDIDATE"),
                Column("validation", "VALIDATION"),
                Column("seconds", "FIT"),
                Column("note", "NOTE"),
            ],
        )
    for warning in verdict.warnings:
        click.echo(f"{click.style('warning:', fg='yellow')} {warning}", err=True)


@click.group("job")
def job() -> None:
    """List, follow and stop jobs."""


@job.command("list")
@click.option("--state", help="Only those in this state: queued, running, succeeded, failed, …")
@click.option("--kind", help="Only those of this kind, as train.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many, the newest.")
@json_option
def list_all(state: Any, kind: str | None, limit: int, as_json: bool) -> None:
    """List the jobs, newest first."""
    columns = [
        Column("id", "ID"),
        Column("kind", "KIND"),
        Column("state", "STATE"),
        Column("progress", "DONE", lambda progress: f"{progress['fraction']:.0%}"),
        Column("title", "TITLE"),
        Column("created_at", "CREATED"),
    ]
    show(connect().jobs.list(state=state, kind=kind, limit=limit), columns, as_json=as_json)


@job.command("show")
@click.argument("job_id", metavar="ID")
@json_option
def show_one(job_id: str, as_json: bool) -> None:
    """Show a job: how far it is, what it made or why it failed."""
    found = connect().jobs.get(job_id)
    if as_json:
        show_json(found)
        return
    data, plain = found.data, found.model_dump(mode="json")
    left = data.progress.eta_seconds
    fields = {
        "id": data.id,
        "title": data.title,
        "state": data.state,
        "progress": f"{data.progress.fraction:.0%}, {data.progress.phase}",
        "place": data.place,
        "left": None if left is None else f"about {duration(left)}",
        "created": plain["created_at"],
        "started": plain["started_at"],
        "ended": plain["ended_at"],
        "version": (data.result or {}).get("version"),
        "error": (data.error or {}).get("message"),
    }
    show_fields({name: value for name, value in fields.items() if value is not None})


@job.command("logs")
@click.argument("job_id", metavar="ID")
@click.option("--follow", "-f", is_flag=True, help="Go on with the lines to come, until the job has ended.")
@json_option
def logs(job_id: str, follow: bool, as_json: bool) -> None:
    """Print a job's log. With --json one JSON object a line."""
    for line in connect().jobs.logs(job_id, follow=follow):
        click.echo(line.model_dump_json() if as_json else line.line)


@job.command("stop")
@click.argument("job_id", metavar="ID")
def stop(job_id: str) -> None:
    """Stop a job; it has stopped within two seconds."""
    found = connect().jobs.stop(job_id)
    click.echo(f"{found.id} is {found.state}.")
