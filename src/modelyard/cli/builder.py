"""`modelyard build` and `modelyard plan`: from a sentence to a version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelyard.cli.connect import connect
from modelyard.cli.output import json_option, progress, show_json, size
from modelyard.cli.quantities import DURATION
from modelyard.cli.training import finish, wait_option
from modelyard.core.errors import Invalid

if TYPE_CHECKING:
    from modelyard.features.builder.schemas import Plan


@click.command("build")
@click.argument("intent")
@click.option("--data", required=True, metavar="FILE|DATASET[@RELEASE]", help="What to learn from.")
@click.option("--model", required=True, metavar="PREFIX/NAME", help="The model that gets the version.")
@click.option("--target", metavar="COLUMN", help="The column to predict, in place of what the intent says.")
@click.option(
    "--time", "seconds", type=DURATION, metavar="DURATION", help="Begin no further candidate after it, as 60s."
)
@click.option("--assume", is_flag=True, help="Ask nothing. This release never asks, so that it changes nothing.")
@wait_option
@json_option
def build(
    intent: str,
    data: str,
    model: str,
    target: str | None,
    seconds: float | None,
    assume: bool,  # noqa: ARG001 - scripts say it, whatever the release
    wait: bool,
    as_json: bool,
) -> None:
    """Build a model from an INTENT in plain words, as "predict which customers churn".

    A file goes into a dataset named after the model; the same content is never sent twice. What the intent was
    understood to mean, and why, is said before anything is trained.
    """
    client = connect()
    with progress("Upload") as update:
        made = client.builds.create(
            intent,
            data,
            model,
            target=target,
            seconds=seconds,
            progress=lambda sent, of: update(sent / of if of else 0.0, size(sent)),
        )
    if not as_json:
        show_plan(made.plan)
        click.echo(f"\nBuilding {model}: {made.job.id}")
    finish(made, wait=wait, as_json=as_json)


@click.command("plan")
@click.argument("intent")
@click.option("--data", type=click.Path(path_type=Path), metavar="FILE", help="A table to read.")
@click.option("--profile", type=click.Path(path_type=Path), metavar="FILE", help="A profile in JSON, as uploads make.")
@click.option("--target", metavar="COLUMN", help="The column to predict, in place of what the intent says.")
@json_option
def plan(intent: str, data: Path | None, profile: Path | None, target: str | None, as_json: bool) -> None:
    """Say how an INTENT would be understood, and why. Trains nothing and needs no platform."""
    from modelyard.sdk import local

    if (data is None) == (profile is None):
        raise click.UsageError("Name either --data or --profile.")
    found = local.plan(intent, _profile(profile) if profile else local.profile(Path(str(data))), target=target)
    if as_json:
        show_json(found)
    else:
        show_plan(found)


def show_plan(plan: Plan) -> None:
    """Each decision with its value and its reason."""
    width = max(len(reason.decision) for reason in plan.reasons)
    for reason in plan.reasons:
        decision = click.style(f"{reason.decision:<{width}}", bold=True)
        click.echo(f"{decision}  {reason.value}: {reason.because}")


def _profile(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except OSError as error:
        raise Invalid(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise Invalid(f"{path} is not JSON: {error}.") from None
    if not isinstance(found, dict) or not isinstance(found.get("columns"), list) or not found["columns"]:
        raise Invalid(f"{path} is no profile: it lacks `columns`. A sample's profile is one: modelyard dataset show.")
    return found
