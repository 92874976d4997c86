"""`modelyard deployment traffic`, `rollback` and their like: how what is deployed changes while it answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from modelyard.cli.connect import connect
from modelyard.cli.output import Column, duration, json_option, show, show_fields, show_json, show_table
from modelyard.cli.quantities import DURATION
from modelyard.core.errors import NotFound

if TYPE_CHECKING:
    from modelyard.features.deployments import schemas
    from modelyard.sdk.deployments import Deployment
    from modelyard.sdk.flow import Sync

LANES = click.Choice(["auto", "isolated"])


class Weight(click.ParamType[tuple[str, int]]):
    """`v2=10`: a version and its share in per cent. Where `whole`, `v2` alone is `v2=100`."""

    name = "share"

    def __init__(self, *, whole: bool = False) -> None:
        self._whole = whole

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        version, equals, share = str(value).partition("=")
        if self._whole and not equals:
            share = "100"
        if not version or not share.isdecimal() or len(share) > 3:
            self.fail(f"{value!r} is no share. Write v2=10.", param, ctx)
        return version, int(share)


class Header(click.ParamType[tuple[str, str, str]]):
    """`x-tier=beta:v2`: a header, the value it must have, and the version that such requests go to."""

    name = "rule"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str, str]:
        header, _, rest = str(value).partition("=")
        wanted, _, version = rest.rpartition(":")
        if not (header and wanted and version):
            self.fail(f"{value!r} is no rule. Write HEADER=VALUE:VERSION, as in x-tier=beta:v2.", param, ctx)
        return header, wanted, version


@click.command("traffic")
@click.argument("key")
@click.argument("model", metavar="PREFIX/NAME")
@click.option("--weight", "weights", type=Weight(), multiple=True, metavar="vN=SHARE", help="Shares that make 100.")
@click.option(
    "--header", "headers", type=Header(), multiple=True, metavar="HEADER=VALUE:vN", help="Send these requests there."
)
@click.option("--sticky", metavar="HEADER", help="The same value in this header gets the same version.")
@click.option(
    "--shadow", "shadows", type=Weight(whole=True), multiple=True, metavar="vN[=SHARE]",
    help="Ask this version too, and throw its answers away.",
)  # fmt: skip
@click.option("--clear", is_flag=True, help="Take all rules away first; weights stay.")
@json_option
def traffic(
    key: str,
    model: str,
    weights: tuple[tuple[str, int], ...],
    headers: tuple[tuple[str, str, str], ...],
    sticky: str | None,
    shadows: tuple[tuple[str, int], ...],
    clear: bool,
    as_json: bool,
) -> None:
    """Share out a model's requests among its versions; no replica is restarted by that.

    An option that is given takes the place of what was there; what is not given stays. Without options it shows how the
    traffic is shared out now.
    """
    client = connect()
    if not (weights or headers or shadows or clear or sticky is not None):
        found = client.deployments.get(key)
    else:
        found = client.deployments.set_traffic(
            key,
            model,
            weights=_once(weights, "--weight") if weights else None,
            headers=headers if headers or clear else None,
            sticky="" if clear and sticky is None else sticky,
            shadows=_once(shadows, "--shadow") if shadows or clear else None,
        )
    if as_json:
        show_json(found)
        return
    lines = shares(found.data).get(model)
    if lines is None:
        raise NotFound(f"{key} does not hold {model}. See `modelyard deployment show {key}`.")
    show_fields(lines)


@click.command("rollback")
@click.argument("key")
@click.option("--to", "revision", type=click.IntRange(1), help="The revision.  [default: the last that differs]")
@json_option
def rollback(key: str, revision: int | None, as_json: bool) -> None:
    """Make an earlier revision's versions, weights and rules the present ones again; no request is lost."""
    found = connect().deployments.rollback(key, revision)
    held = ", ".join(f"{one.model}/{one.version} {one.weight} %" for one in found.data.models)
    say(found, f"{key} is to hold {held} again (revision {found.data.revision}).", as_json=as_json)


@click.command("recreate")
@click.argument("key")
@json_option
def recreate(key: str, as_json: bool) -> None:
    """Replace all replicas by new ones; no request is lost."""
    say(connect().deployments.recreate(key), f"The replicas of {key} are being replaced.", as_json=as_json)


@click.command("remove")
@click.argument("key")
@click.argument("model", metavar="PREFIX/NAME[/vN]")
@json_option
def remove(key: str, model: str, as_json: bool) -> None:
    """Take a version, or all of a model's, out of a deployment; what is left of the model shares its traffic."""
    say(connect().deployments.remove(key, model), f"{key} holds {model} no longer.", as_json=as_json)


@click.command("autoscale")
@click.argument("key")
@click.option("--min", "minimum", type=click.IntRange(0), default=1, show_default=True, help="With 0 it may sleep.")
@click.option("--max", "maximum", type=click.IntRange(1), help="The most replicas there may be.")
@click.option(
    "--target", type=click.FloatRange(0, min_open=True), default=4, show_default=True,
    help="How many requests each replica is to have in flight.",
)  # fmt: skip
@click.option("--idle", type=DURATION, default="5m", show_default=True, help="So long without a request: the minimum.")
@click.option("--off", is_flag=True, help="Keep the number of replicas as it is from now on.")
@json_option
def autoscale(
    key: str, minimum: int, maximum: int | None, target: float, idle: float, off: bool, as_json: bool
) -> None:
    """Let the number of replicas follow the load."""
    if (maximum is None) is not off:
        raise click.UsageError("Say the most replicas there may be (--max), or turn autoscaling off (--off).")
    client = connect()
    if off:
        found = client.deployments.set_autoscale(key, None)
        say(found, f"{key} keeps its {found.data.replicas} replicas.", as_json=as_json)
        return
    settings = {"minimum": minimum, "maximum": maximum, "target": target, "idle_seconds": idle}
    found = client.deployments.set_autoscale(key, settings)
    say(found, f"{key} has {scaling(found.data)}.", as_json=as_json)


@click.command("lane")
@click.argument("key")
@click.argument("lane", type=LANES)
@json_option
def lane(key: str, lane: Any, as_json: bool) -> None:
    """Say whether gateways may hold quick ONNX versions themselves (auto) or not (isolated)."""
    say(connect().deployments.set_lane(key, lane), f"{key} is in the lane {lane}.", as_json=as_json)


@click.command("revisions")
@click.argument("key")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many, the newest.")
@json_option
def revisions(key: str, limit: int, as_json: bool) -> None:
    """What a deployment held and holds, newest first: where `rollback --to` may go."""
    columns = [
        Column("number", "REVISION"),
        Column("models", "HELD", held),
        Column("note", "NOTE"),
        Column("created_at", "AT"),
    ]
    show(connect().deployments.revisions(key, limit=limit), columns, as_json=as_json)


COMMANDS = (traffic, rollback, recreate, remove, autoscale, lane, revisions)


def held(models: list[dict[str, Any]]) -> str:
    """Versions with their weights, in a line."""
    return ", ".join(f"{one['model']}/{one['version']} ({one['weight']} %)" for one in models)


def scaling(data: schemas.Deployment) -> str:
    """How many replicas there are to be, in words."""
    rule = data.autoscale
    if rule is None:
        return f"{data.replicas} replicas"
    return (
        f"{rule.minimum} to {rule.maximum} replicas, {rule.target:g} requests in flight at each, "
        f"{rule.minimum} after {duration(rule.idle_seconds)} without a request"
    )


def shares(data: schemas.Deployment) -> dict[str, dict[str, str]]:
    """How each model's requests are shared out, by model: what and to which version, in the order that counts."""
    found: dict[str, dict[str, str]] = {}
    for rules in data.traffic:
        lines = found.setdefault(rules.model, {})
        lines |= {f"{rule.header}: {rule.value}": rule.version for rule in rules.headers}
        lines |= {"sticky by": rules.sticky} if rules.sticky else {}
        lines |= {f"shadow {shadow.version}": f"{shadow.share} %" for shadow in rules.shadows}
    for one in data.models:
        found.setdefault(one.model, {})[one.version] = f"{one.weight} %"
    return found


def show_traffic(data: schemas.Deployment) -> None:
    """The rules that a deployment has, and its canaries, as tables; nothing where there are none."""
    ruled = {rules.model for rules in data.traffic}
    lines = [
        {"model": model, "requests": what, "to": where}
        for model, rules in shares(data).items()
        if model in ruled
        for what, where in rules.items()
    ]
    if lines:
        click.echo()
        show_table(lines, [Column("model", "MODEL"), Column("requests", "REQUESTS"), Column("to", "TO")])
    if data.canaries:
        click.echo()
        columns = [
            Column("model", "CANARY OF"),
            Column("version", "VERSION"),
            Column("state", "STATE", word),
            Column("share", "SHARE", "{} %".format),
            Column("steps", "STEPS", lambda steps: ", ".join(map(str, steps))),
            Column("reason", "REASON"),
        ]
        show_table([one.model_dump() for one in data.canaries], columns)


def _once(pairs: tuple[tuple[str, int], ...], option: str) -> Mapping[str, int]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise click.UsageError(f"{option} names a version twice.")
    return found


def word(state: str) -> str:
    """A state as it is written for people."""
    return state.replace("_", " ")


def say(found: Deployment[Sync], sentence: str, *, as_json: bool) -> None:
    """What was done, in a sentence, or the deployment as JSON."""
    if as_json:
        show_json(found)
    else:
        click.echo(sentence)
