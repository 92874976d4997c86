"""The command's frame: which commands there are, how they are loaded, how errors end.

A command is a row in COMMANDS and a file; the file is imported only when its command is run, so that `modelyard --help`
imports no feature. Errors become one line on standard error, with the next step, and an exit code:
0 ok, 1 failure, 2 usage, 3 not found, 4 not allowed, 5 conflict, 6 quota, 7 time-out.
"""

import importlib
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import click

from modelyard import __version__
from modelyard.core.errors import Broken, ModelyardError

EXIT_CODES: Mapping[int, int] = {404: 3, 401: 4, 403: 4, 409: 5, 402: 6, 429: 6, 504: 7}
FAILURE, USAGE, INTERRUPTED = 1, 2, 130


class Entry(NamedTuple):
    """Where a command is, as `module:attribute`, and what it does in a line."""

    target: str
    help: str


COMMANDS: Mapping[str, Entry] = {
    "up": Entry("modelyard.cli.up:up", "Start the whole platform on this machine."),
    "doctor": Entry("modelyard.cli.doctor:doctor", "Say what works on this machine, and what to do about the rest."),
    "login": Entry("modelyard.cli.auth:login", "Log in and keep an API key for later commands."),
    "whoami": Entry("modelyard.cli.auth:whoami", "Say who these commands act as."),
    "dataset": Entry("modelyard.cli.datasets:dataset", "Create datasets, upload samples, take releases, download."),
    "algorithm": Entry("modelyard.cli.catalogue:algorithm", "List algorithms, switch them on and off."),
    "configuration": Entry("modelyard.cli.catalogue:configuration", "Name parameters of an algorithm."),
    "train": Entry("modelyard.cli.training:train", "Train one algorithm on a dataset; the result is a version."),
    "task": Entry("modelyard.cli.tasks:task", "Make, start, stop and copy training tasks."),
    "run": Entry("modelyard.cli.runs:run", "List, compare and export what was trained."),
    "build": Entry("modelyard.cli.builder:build", "Build a model from an intent in plain words."),
    "plan": Entry("modelyard.cli.builder:plan", "Say how an intent would be understood; needs no platform."),
    "job": Entry("modelyard.cli.jobs:job", "List, follow and stop jobs."),
    "model": Entry("modelyard.cli.models:model", "List, compare, download, stage and delete models and versions."),
    "deployment": Entry("modelyard.cli.deployments:deployment", "Decide which versions run, where, and how many."),
    "deploy": Entry("modelyard.cli.deployments:deploy", "Publish a version with one command."),
    "predict": Entry("modelyard.cli.deployments:predict", "Ask a published version for predictions."),
    "key": Entry("modelyard.cli.auth:key", "Create, list and revoke API keys."),
    "limit": Entry("modelyard.cli.limits:limit", "Limit how fast API keys and prefixes may be asked."),
    "usage": Entry("modelyard.cli.usage:usage", "Say what was called, how often and how much."),
    "sandbox": Entry("modelyard.cli.sandbox:sandbox", "Run a command shut in exactly as jobs are."),
    "settings": Entry("modelyard.cli.settings:settings", "List every setting with its variable and value."),
    "api": Entry("modelyard.cli.processes:api", "Run one api process in the foreground."),
    "controller": Entry("modelyard.cli.processes:controller", "Run one controller process in the foreground."),
    "gateway": Entry("modelyard.cli.processes:gateway", "Run one gateway process in the foreground."),
}


@dataclass(frozen=True)
class Invocation:
    """What was given before the command: `ctx.obj` of every command. `url` and `api_key` go before the profile."""

    url: str | None = None
    api_key: str | None = None


class Commands(click.Group):
    """The commands of COMMANDS, each imported when it is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        entry = COMMANDS.get(cmd_name)
        return None if entry is None else load(entry.target)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])


def load(target: str) -> click.Command:
    """The command at `module:attribute`. Raises Broken where this installation lacks the module."""
    module, _, attribute = target.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        raise Broken(f"This installation lacks {error.name}. Install modelyard again.") from error
    assert isinstance(found, click.Command)
    return found


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="modelyard", message="%(prog)s %(version)s")
@click.option("--url", metavar="URL", help="The platform to speak to.  [default: MODELYARD_URL, then the profile]")
@click.option("--api-key", metavar="KEY", help="The API key to use.  [default: MODELYARD_API_KEY, then the profile]")
@click.option("--debug", is_flag=True, help="Show where an error comes from.")
@click.pass_context
def cli(ctx: click.Context, url: str | None, api_key: str | None, debug: bool) -> None:  # noqa: ARG001 - `run` looks for it, also where no command was reached
    """Build, keep, publish and watch machine-learning models on your own machines."""
    ctx.obj = Invocation(url=url, api_key=api_key)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command `modelyard`: runs `arguments` (default: those of the process) and exits."""
    sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))


def run(arguments: list[str]) -> int:
    """Run one command line; its exit code."""
    try:
        result = cli.main(arguments, prog_name="modelyard", standalone_mode=False)
        # Commands return nothing; a number is the code of `ctx.exit`.
        code = result if isinstance(result, int) else 0
        sys.stdout.flush()
    except click.ClickException as error:
        code = USAGE if isinstance(error, click.UsageError) else FAILURE
        if "--json" in arguments:
            _show_json({"code": "usage", "message": error.format_message(), "detail": {}, "fields": []})
        else:
            error.show()
        return code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has read enough. Python would complain once more when it closes it.
        sys.stdout = open("/dev/null", "w", encoding="utf-8")  # noqa: SIM115, PTH123
        return FAILURE
    except ModelyardError as error:
        _show(error, arguments)
        return EXIT_CODES.get(error.status, FAILURE)
    except Exception as error:  # noqa: BLE001 - the last frame: no traceback reaches a user who did not ask for one
        bug = Broken(f"{type(error).__name__}: {error}. This is a bug: run again with --debug and report it.")
        bug.__traceback__, bug.__cause__ = error.__traceback__, error
        _show(bug, arguments)
        return FAILURE
    return code


def _show(error: ModelyardError, arguments: Sequence[str]) -> None:
    if _debugging(arguments):
        traceback.print_exception(error.__cause__ or error)
    if "--json" in arguments:
        _show_json(error.to_dict())
        return
    click.echo(f"{click.style('error:', fg='red', bold=True)} {error.message}", err=True)
    for field in error.fields:
        place = ", ".join(f"{key} {value}" for key, value in field.items() if key != "message")
        click.echo(f"  {place}: {field.get('message', '')}", err=True)


def _show_json(error: Mapping[str, object]) -> None:
    import json

    click.echo(json.dumps({"error": error}, default=str), err=True)


def _debugging(arguments: Sequence[str]) -> bool:
    if "--debug" in arguments:
        return True
    from modelyard.core.settings import from_environment

    try:
        return from_environment().log_level == "debug"
    except ModelyardError:
        return False
