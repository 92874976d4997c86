"""`modelyard job`."""

from typing import Any

import click

from modelyard.cli.connect import connect
from modelyard.cli.output import Column, duration, json_option, show, show_fields, show_json


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
