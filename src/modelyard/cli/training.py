"""`modelyard train`; and how a run is followed to its version."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from modelyard.cli.connect import connect
from modelyard.cli.output import Column, duration, json_option, show_json, show_table
from modelyard.cli.quantities import DURATION

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


def given_parameters(texts: tuple[str, ...]) -> dict[str, Any]:
    """What `--param` gave, by name."""
    return dict(parameter(text) for text in texts)


Command = Callable[..., Any]


def task_options(command: Command) -> Command:
    """What says how to train: the options that `train` and `task create` share, handed over as `settings`."""
    options = (
        click.option("--param", "parameters", multiple=True, metavar="NAME=VALUE", help="A parameter; repeatable."),
        click.option("--configuration", metavar="ID|NAME", help="Named parameters; none: not even the default ones."),
        click.option("--target", metavar="COLUMN", help="The column to predict.  [default: the dataset's]"),
        click.option("--horizon", type=click.IntRange(1), metavar="STEPS", help="How far ahead series are predicted."),
        click.option("--search", "trials", type=click.IntRange(1), metavar="TRIALS", help="Vary what is not given."),
        click.option("--search-time", type=DURATION, metavar="TIME", help="Search no longer, as 60s or 10m."),
        click.option("--patience", type=click.IntRange(1), metavar="TRIALS", help="End a search that gets no better."),
        click.option("--metric", metavar="NAME", help="What decides between trials, as roc_auc."),
        click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of everything random."),
        click.option("--from", "previous", metavar="PREFIX/NAME/vN", help="Go on from a version, where that can be."),
    )

    @functools.wraps(command)
    def collected(**given: Any) -> Any:
        names = ("configuration", "target", "horizon", "metric", "seed", "previous")
        settings = {name: given.pop(name) for name in names}
        settings["parameters"] = given_parameters(given.pop("parameters"))
        settings["search"] = _search(given.pop("trials"), given.pop("search_time"), given.pop("patience"))
        return command(settings=settings, **given)

    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(options), collected)


@click.command("train")
@click.argument("dataset", metavar="DATASET[@RELEASE]")
@click.option("--algorithm", metavar="SCENARIO/NAME", help="See: modelyard algorithm list.  [default: the scenario's]")
@click.option("--model", required=True, metavar="PREFIX/NAME", help="The model that gets the version.")
@task_options
@wait_option
@json_option
def train(dataset: str, algorithm: str | None, model: str, settings: dict[str, Any], wait: bool, as_json: bool) -> None:
    """Train one algorithm on a dataset's release, the newest where none is named; the result is a version."""
    run = connect().train(dataset, algorithm, model, **settings)
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
    click.echo(f"\n{version.path}: {version.algorithm}{took}; measured on {rows:,} rows\n")
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


def _search(trials: int | None, seconds: float | None, patience: int | None) -> dict[str, Any] | None:
    if trials is None:
        if seconds is None and patience is None:
            return None
        raise click.UsageError("Say how many trials there may be: --search TRIALS.")
    return {"trials": trials, "seconds": seconds, "patience": patience}
