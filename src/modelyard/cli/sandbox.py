"""`modelyard sandbox`: a command shut in exactly as jobs are."""

import tempfile
from pathlib import Path

import click

from modelyard.cli.quantities import DURATION, SIZE
from modelyard.core.errors import Invalid

QUOTA, TIMED_OUT = 6, 7


@click.group("sandbox")
def sandbox() -> None:
    """Run a command shut in exactly as jobs are."""


@sandbox.command("run", context_settings={"ignore_unknown_options": True})
@click.option("--work", type=click.Path(path_type=Path), metavar="DIR", help="The only writable folder, seen as /job.")
@click.option("--memory", type=SIZE, default="1G", show_default=True, help="Memory, all processes together.")
@click.option("--time", "seconds", type=DURATION, default="30s", show_default=True, help="Time on the clock.")
@click.option("--processes", type=click.IntRange(1), default=64, show_default=True, help="Processes and threads.")
@click.option("--disk", type=SIZE, default="1G", show_default=True, help="The largest file that it may write.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
@click.pass_context
def run(
    ctx: click.Context,
    work: Path | None,
    memory: int,
    seconds: float,
    processes: int,
    disk: int,
    command: tuple[str, ...],
) -> None:
    """Run COMMAND without network, host files and environment. Needs no platform.

    Without --work it gets an empty folder that is removed at the end. The exit code is the command's own; 7 where its
    time was up, 6 where it met another limit.
    """
    from modelyard.core.settings import from_environment
    from modelyard.protocol.processes import Limits
    from modelyard.sandbox.run import run_command

    limits = Limits(memory=memory, seconds=seconds, processes=processes, disk=disk)
    if work is not None and not work.is_dir():
        raise Invalid(f"{work} is no folder. Make it first.")
    with tempfile.TemporaryDirectory(prefix="modelyard-sandbox-") as scratch:
        outcome = run_command(command, (work or Path(scratch)).absolute(), limits, settings=from_environment())
    code = TIMED_OUT if outcome.limit == "seconds" else QUOTA if outcome.limit in {"memory", "disk"} else None
    ctx.exit(outcome.exit_code if code is None else code)
