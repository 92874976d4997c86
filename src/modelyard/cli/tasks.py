"""`modelyard task`: what can be trained again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from modelyard.cli.connect import connect
from modelyard.cli.output import Column, json_option, show, show_fields, show_json
from modelyard.cli.training import finish, given_parameters, task_options, wait_option

if TYPE_CHECKING:
    from modelyard.features.training import schemas


@click.group("task")
def task() -> None:
    """Make, start, stop and copy training tasks."""


@task.command("create")
@click.argument("dataset", metavar="DATASET[@RELEASE]")
@click.option("--algorithm", metavar="SCENARIO/NAME", help="See: modelyard algorithm list.  [default: the scenario's]")
@click.option("--model", required=True, metavar="PREFIX/NAME", help="The model that gets the versions.")
@click.option("--name", help="What people call it.")
@task_options
@json_option
def create(
    dataset: str, algorithm: str | None, model: str, name: str | None, settings: dict[str, Any], as_json: bool
) -> None:
    """Make a training task, without starting it."""
    made = connect().tasks.create(dataset, algorithm, model, name=name, **settings)
    show_json(made) if as_json else click.echo(f"{made.name}: {made.id}\nNext: modelyard task start {made.id}")


@task.command("list")
@click.option("--algorithm", metavar="SCENARIO/NAME", help="Only those of this algorithm.")
@click.option("--model", metavar="PREFIX/NAME", help="Only those for this model.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many, the newest.")
@json_option
def list_all(algorithm: str | None, model: str | None, limit: int, as_json: bool) -> None:
    """List the training tasks, newest first."""
    columns = [
        Column("id", "ID"),
        Column("name", "NAME"),
        Column("algorithm", "ALGORITHM"),
        Column("dataset", "DATA"),
        Column("model", "MODEL"),
        Column("last_run", "LAST", lambda run: str(run["state"])),
        Column("best_run", "BEST", _best),
    ]
    show(connect().tasks.list(algorithm=algorithm, model=model, limit=limit), columns, as_json=as_json)


@task.command("show")
@click.argument("task_id", metavar="ID")
@json_option
def show_one(task_id: str, as_json: bool) -> None:
    """Show a training task with its parameters, its last and its best run."""
    found = connect().tasks.get(task_id)
    if as_json:
        show_json(found)
        return
    data: schemas.Task = found.data
    plain = data.model_dump(mode="json")
    plain["last_run"] = f"{data.last_run.id}, {data.last_run.state}" if data.last_run else None
    plain["best_run"] = f"{data.best_run.id}, {_best(plain['best_run'])}" if data.best_run else None
    hidden = {"parameters", "fixed"}
    fields = {name: value for name, value in plain.items() if name not in hidden and value is not None}
    marks = {name: " (given)" if name in data.fixed else "" for name in data.parameters}
    show_fields({**fields, **{f"  {name}": f"{value}{marks[name]}" for name, value in data.parameters.items()}})


@task.command("start")
@click.argument("task_id", metavar="ID")
@wait_option
@json_option
def start(task_id: str, wait: bool, as_json: bool) -> None:
    """Run a training task; the result is a version."""
    run = connect().tasks.start(task_id)
    if not as_json:
        click.echo(f"{run.job.data.title}: {run.job.id}")
    finish(run, wait=wait, as_json=as_json)


@task.command("stop")
@click.argument("task_id", metavar="ID")
def stop(task_id: str) -> None:
    """Stop what a training task runs; it has stopped within two seconds."""
    run = connect().tasks.stop(task_id)
    click.echo(f"{run.id} is {run.state}.")


@task.command("clone")
@click.argument("task_id", metavar="ID")
@click.option("--name", help="What people call the copy.")
@click.option("--data", metavar="DATASET[@RELEASE]", help="Other data than the task's.")
@click.option("--algorithm", metavar="SCENARIO/NAME", help="Another algorithm.")
@click.option("--model", metavar="PREFIX/NAME", help="Another model.")
@click.option("--param", "parameters", multiple=True, metavar="NAME=VALUE", help="A parameter; may be repeated.")
@click.option("--seed", type=click.IntRange(0), help="Another seed.")
@json_option
def clone(task_id: str, data: str | None, parameters: tuple[str, ...], as_json: bool, **changes: Any) -> None:
    """Copy a training task, but for what the options say."""
    given = {"dataset": data, **changes, "parameters": given_parameters(parameters) or None}
    made = connect().tasks.clone(task_id, **{name: value for name, value in given.items() if value is not None})
    show_json(made) if as_json else click.echo(f"{made.name}: {made.id}")


@task.command("delete")
@click.argument("task_id", metavar="ID")
def delete(task_id: str) -> None:
    """Delete a training task with its runs; refused while it runs, and while it has versions."""
    connect().tasks.delete(task_id)
    click.echo(f"{task_id} is deleted.")


@task.command("export")
@click.argument("task_id", metavar="ID")
@click.option("--mlflow", "target", required=True, metavar="FILE", help="Where to write the ZIP.")
def export(task_id: str, target: str) -> None:
    """Write every run of a training task as a file store of MLflow's."""
    click.echo(connect().tasks.export_mlflow(task_id, target))


def _best(run: dict[str, Any]) -> str:
    return f"{run['metric']} {run['value']:.4f}, {run['version']}"
