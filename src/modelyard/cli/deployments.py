"""`modelyard deployment`, `deploy`, `predict`: which versions run where, and calling them."""

from __future__ import annotations

import csv
import io
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from modelyard.cli import canaries, traffic
from modelyard.cli.connect import confirmed, connect
from modelyard.cli.output import Column, json_option, show, show_fields, show_json, show_table
from modelyard.cli.predictions import predict_table
from modelyard.cli.training import parameter
from modelyard.core.errors import Invalid

if TYPE_CHECKING:
    from modelyard.sdk.client import Client
    from modelyard.sdk.deployments import Deployment
    from modelyard.sdk.flow import Sync
    from modelyard.sdk.predictions import Predictions

environment_option = click.option(
    "--environment", default="small", show_default=True, help="The computing environment."
)
replicas_option = click.option(
    "--replicas", type=click.IntRange(1), default=1, show_default=True, help="How many processes answer."
)


lane_option = click.option(
    "--lane", type=traffic.LANES, help="Whether gateways may hold quick ONNX versions themselves.  [default: auto]"
)


@click.group("deployment")
def deployment() -> None:
    """Decide which versions run, where, and how many."""


for command in (*traffic.COMMANDS, *canaries.COMMANDS):
    deployment.add_command(command)


@deployment.command("create")
@click.argument("key")
@environment_option
@replicas_option
@lane_option
@json_option
def create(key: str, environment: str, replicas: int, lane: Any, as_json: bool) -> None:
    """Make an empty deployment."""
    made = connect().deployments.create(key, environment=environment, replicas=replicas, lane=lane or "auto")
    traffic.say(made, f"{key} is there. Next: modelyard deployment add {key} PREFIX/NAME/vN", as_json=as_json)


@deployment.command("add")
@click.argument("key")
@click.argument("version", metavar="PREFIX/NAME[/vN]")
@click.option("--weight", type=click.IntRange(0, 100), default=100, show_default=True, help="Its share of the traffic.")
@json_option
def add(key: str, version: str, weight: int, as_json: bool) -> None:
    """Let a deployment hold one more version; the model's others share what --weight leaves."""
    found = connect().deployments.add(key, version, weight=weight)
    shares = ", ".join(f"{held.model}/{held.version} {held.weight} %" for held in found.models)
    traffic.say(found, f"{key} is to hold {shares}.", as_json=as_json)


@deployment.command("scale")
@click.argument("key")
@click.argument("replicas", type=click.IntRange(1))
@json_option
def scale(key: str, replicas: int, as_json: bool) -> None:
    """Change the number of replicas."""
    traffic.say(connect().deployments.scale(key, replicas), f"{key} is to have {replicas} replicas.", as_json=as_json)


@deployment.command("stop")
@click.argument("key")
@json_option
def stop(key: str, as_json: bool) -> None:
    """Stop answering; no request in flight is lost."""
    traffic.say(connect().deployments.stop(key), f"{key} stops.", as_json=as_json)


@deployment.command("start")
@click.argument("key")
@json_option
def start(key: str, as_json: bool) -> None:
    """Answer again after a stop."""
    traffic.say(connect().deployments.start(key), f"{key} starts.", as_json=as_json)


@deployment.command("delete")
@click.argument("key")
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(key: str, yes: bool) -> None:
    """Take a deployment away."""
    confirmed(f"Delete the deployment {key}?", yes=yes)
    connect().deployments.delete(key)
    click.echo(f"{key} is being deleted.")


@deployment.command("list")
@json_option
def list_all(as_json: bool) -> None:
    """List the deployments, newest first."""
    columns = [
        Column("key", "KEY"),
        Column("state", "STATE"),
        Column("models", "HOLDS", traffic.held),
        Column("environment", "ENVIRONMENT"),
        Column("ready_replicas", "READY"),
        Column("replicas", "WANTED"),
        Column("message", "MESSAGE"),
    ]
    show(connect().deployments.list(), columns, as_json=as_json)


@deployment.command("show")
@click.argument("key")
@json_option
def show_one(key: str, as_json: bool) -> None:
    """Show a deployment with its versions, its traffic and its processes."""
    found = connect().deployments.get(key)
    if as_json:
        show_json(found)
        return
    data = found.data
    show_fields(
        {
            "key": data.key,
            "state": data.state,
            "message": data.message,
            "environment": data.environment,
            "lane": data.lane,
            "replicas": f"{data.ready_replicas} of {data.replicas} ready",
            "autoscaling": traffic.scaling(data) if data.autoscale else "off",
            "revision": data.revision,
            "created": found.model_dump(mode="json")["created_at"],
        }
    )
    if data.models:
        click.echo()
        columns = [
            Column("model", "MODEL"),
            Column("version", "VERSION"),
            Column("weight", "WEIGHT"),
            Column("path", "PATH"),
        ]
        show_table([held.model_dump() for held in data.models], columns)
    traffic.show_traffic(data)
    if data.processes:
        click.echo()
        columns = [
            Column("id", "REPLICA"),
            Column("revision", "REVISION"),
            Column("state", "STATE"),
            Column("message", "MESSAGE"),
            Column("started_at", "STARTED"),
        ]
        show_table([process.model_dump(mode="json") for process in data.processes], columns)


@deployment.command("events")
@click.argument("key")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many, the newest.")
@json_option
def events(key: str, limit: int, as_json: bool) -> None:
    """What happened to a deployment and why, newest first."""
    columns = [Column("at", "AT"), Column("kind", "KIND"), Column("message", "MESSAGE")]
    show(connect().deployments.events(key, limit=limit), columns, as_json=as_json)


@click.command("deploy")
@click.argument("version", metavar="PREFIX/NAME[/vN]")
@click.option("--key", help="The deployment.  [default: PREFIX-NAME]")
@environment_option
@replicas_option
@lane_option
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until the URL answers.")
@json_option
def deploy(
    version: str, key: str | None, environment: str, replicas: int, lane: Any, wait: bool, as_json: bool
) -> None:
    """Publish a version, the latest where none is named, in place of what answers at its model's URL now.

    No request is lost; where the version does not come up, what answered before goes on.
    """
    client = connect()
    wanted = client.models.version(version)
    options = {"key": key, "environment": environment, "replicas": replicas, "lane": lane}
    made = client.deployments.publish(wanted, **options, wait=wait)
    if as_json:
        show_json({**made.model_dump(mode="json"), "url": made.url})
        return
    state = "answers at" if wait else "will answer at"
    click.echo(f"{wanted.path} {state} {made.url}\n")
    signature = wanted.data.signature
    body = signature.get("example_request") or {"instances": [signature.get("example") or {}]}
    click.echo(snippets(client, made, body))


def snippets(client: Client, made: Deployment[Sync], example: dict[str, Any]) -> str:
    """How to call a deployment with an example body from a shell and from Python; both work when pasted."""
    from modelyard.sdk.profile import location, resolve

    body = json.dumps(example, ensure_ascii=False)
    chosen = f", parameters={example['parameters']!r}" if example.get("parameters") else ""
    context = click.get_current_context().obj
    source = resolve(context.url, context.api_key).source
    lines = []
    if source == str(location()):
        lines.append(f"export MODELYARD_API_KEY=$(sed -n 's/^api_key = \"\\(.*\\)\"$/\\1/p' {shlex.quote(source)})")
    elif source == "arguments":
        lines.append("export MODELYARD_API_KEY=…    # the key that you gave with --api-key")
    header = ' -H "x-api-key: $MODELYARD_API_KEY"' if source else ""
    lines += [
        f"curl -sS {shlex.quote(made.url)}{header} -H 'content-type: application/json' -d {shlex.quote(body)}",
        "",
        "import modelyard",
        f"client = modelyard.Client({client.url!r})",
        f"client.predict({made.data.models[0].model!r}, {example.get('instances')!r}{chosen})",
    ]
    return "\n".join(lines)


@click.command("predict")
@click.argument("model", metavar="PREFIX/NAME[/vN]")
@click.argument("rows", metavar="[FILE|JSON|DATASET@RELEASE]", required=False)
@click.option("--output", "--out", type=click.Path(path_type=Path), metavar="FILE", help="Write a file.")
@click.option("--param", "parameters", multiple=True, metavar="NAME=VALUE", help="What the model lets be chosen.")
@click.option("--batch", is_flag=True, help="Predict as a job: any number of rows, no deployment needed.")
@click.option("--purpose", type=click.Choice(["training", "validation", "test"]), help="With --batch: these rows only.")
@click.option("--tolerant", is_flag=True, help="With --batch: rows that do not fit stay without a prediction.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="With --batch: wait for the result.")
@json_option
def predict(
    model: str,
    rows: str | None,
    output: Path | None,
    parameters: tuple[str, ...],
    batch: bool,
    purpose: Literal["training", "validation", "test"] | None,
    tolerant: bool,
    wait: bool,
    as_json: bool,
) -> None:
    """Ask a published version for predictions, or predict a whole table as a job with --batch.

    FILE is a CSV with a header, JSON, or JSON lines; `-` reads JSON from standard input. JSON is a row, a list of rows,
    or {"instances": [...]}. Rows of a CSV are answered as a table, others as JSON. Models that continue a series that
    they know need no rows. With --batch, rows are a file of any kind that datasets take, or a dataset's release; the
    output is a .csv, .jsonl or .parquet file.
    """
    chosen = dict(parameter(text) for text in parameters)
    if batch:
        if rows is None:
            raise click.UsageError("Say which rows to predict: a file, or DATASET[@RELEASE].")
        predict_table(
            model, rows, output, parameters=chosen, purpose=purpose, tolerant=tolerant, wait=wait, as_json=as_json
        )
        return
    data = rows_of(rows) if rows is not None else None
    found = connect().predict(model, data, parameters=chosen)
    answer = {"predictions": list(found), "model": found.model, "version": found.version}
    if output is not None:
        _write(output, found, answer)
        click.echo(f"{len(found):,} predictions of {found.model} {found.version} are in {output}.")
    elif as_json or not isinstance(data, Path):
        show_json(answer)
    else:
        flat = [flattened(prediction) for prediction in found] or [{}]
        show_table(flat, [Column(name, name.upper(), _shown) for name in flat[0]])


def rows_of(text: str) -> Any:
    """What to predict: rows out of JSON, or the path of a CSV file. Raises Invalid."""
    if text == "-":
        return _instances(sys.stdin.read(), "standard input")
    if text.lstrip()[:1] in {"{", "["}:
        return _instances(text, "The argument")
    path = Path(text).expanduser()
    if path.suffix.lower() not in {".json", ".jsonl", ".ndjson"}:
        return path
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{path} cannot be read: {getattr(error, 'strerror', error)}.") from None
    if path.suffix.lower() == ".json":
        return _instances(content, str(path))
    return [row for line in content.splitlines() if line.strip() for row in _instances(line, str(path))]


def _instances(text: str, where: str) -> list[Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise Invalid(f"{where} is not JSON: {error}.") from None
    if isinstance(found, dict) and isinstance(found.get("parameters"), dict):
        raise Invalid(f"{where} has `parameters`. Give them as options: --param NAME=VALUE.")
    if isinstance(found, dict):
        found = found["instances"] if isinstance(found.get("instances"), list) else [found]
    if not isinstance(found, list):
        raise Invalid(f'{where} holds no rows. Write an object, a list of objects, or {{"instances": [...]}}.')
    return found


def flattened(prediction: dict[str, Any]) -> dict[str, Any]:
    """A prediction as a row of a table: `{"probabilities": {"Yes": p}}` becomes `probability_Yes`."""
    flat = {name: value for name, value in prediction.items() if name != "probabilities"}
    return flat | {f"probability_{label}": share for label, share in prediction.get("probabilities", {}).items()}


def _write(path: Path, found: Predictions, answer: dict[str, Any]) -> None:
    if path.suffix.lower() == ".csv":
        flat = [flattened(prediction) for prediction in found]
        text = io.StringIO()
        writer = csv.DictWriter(text, list(flat[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(flat)
        content = text.getvalue()
    else:
        content = json.dumps(answer, ensure_ascii=False, indent=2) + "\n"
    try:
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise Invalid(f"{path} cannot be written: {error.strerror}.") from None


def _shown(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
