"""`modelyard deployment canary` and `canary-end`: a version on trial."""

from __future__ import annotations

from typing import Any

import click

from modelyard.cli.connect import connect
from modelyard.cli.output import json_option, show_json
from modelyard.cli.quantities import DURATION
from modelyard.cli.traffic import say, word


class Steps(click.ParamType[tuple[int, ...]]):
    """`5,25,50`: rising shares in per cent."""

    name = "steps"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        parts = [part.strip().removesuffix("%").strip() for part in str(value).split(",")]
        if not all(part.isdecimal() and len(part) < 4 for part in parts):
            self.fail(f"{value!r} are no steps. Write shares in per cent, as in 5,25,50.", param, ctx)
        return tuple(map(int, parts))


@click.command("canary")
@click.argument("key")
@click.argument("version", metavar="PREFIX/NAME[/vN]")
@click.option("--steps", type=Steps(), default="5,25,50", show_default=True, help="Shares in per cent, then all.")
@click.option("--every", type=DURATION, default="60s", show_default=True, help="How long a step lasts at the least.")
@click.option(
    "--requests", type=click.IntRange(1), default=50, show_default=True, help="Good answers wanted in each step."
)
@click.option("--error-rate", type=click.FloatRange(0, 1), default=0.02, show_default=True, help="Errors per answer.")
@click.option(
    "--latency-ratio", type=click.FloatRange(1), default=1.5, show_default=True,
    help="How much slower than the other versions it may be (95th percentile).",
)  # fmt: skip
@click.option("--wait", is_flag=True, help="Wait for the end; fail where the version is rolled back.")
@json_option
def canary(
    key: str,
    version: str,
    steps: tuple[int, ...],
    every: float,
    requests: int,
    error_rate: float,
    latency_ratio: float,
    wait: bool,
    as_json: bool,
) -> None:
    """Give a version a growing share of its model's requests, and none as soon as it does badly."""
    client = connect()
    wanted = client.models.version(version)
    found = client.deployments.start_canary(
        key,
        wanted,
        steps=steps,
        step_seconds=every,
        least_requests=requests,
        error_rate=error_rate,
        latency_ratio=latency_ratio,
    )
    if not wait:
        say(
            found,
            f"{wanted.path} gets {steps[0]} % of the traffic. See: modelyard deployment show {key}",
            as_json=as_json,
        )
        return
    from modelyard.sdk.errors import DeploymentFailed

    ended = client.deployments.wait_canary(key, wanted.data.model)
    if ended.state != "succeeded":
        raise DeploymentFailed(f"The canary of {wanted.path} in {key} was {word(ended.state)}: {ended.reason}.")
    if as_json:
        show_json(ended)
    else:
        click.echo(f"{wanted.path} has all of the traffic: {ended.reason}.")


@click.command("canary-end")
@click.argument("key")
@click.argument("model", metavar="PREFIX/NAME")
@click.option("--promote", "end", flag_value="promote", help="Give its version all of the traffic.")
@click.option("--cancel", "end", flag_value="cancel", help="Give its version what it had before.")
@json_option
def canary_end(key: str, model: str, end: str | None, as_json: bool) -> None:
    """End a running canary, for good or for bad."""
    if end is None:
        raise click.UsageError("Say how the canary is to end: --promote or --cancel.")
    found = connect().deployments.end_canary(key, model, promote=end == "promote")
    say(found, f"The canary of {model} in {key} is {'promoted' if end == 'promote' else 'cancelled'}.", as_json=as_json)


COMMANDS = (canary, canary_end)
