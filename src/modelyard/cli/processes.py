"""`modelyard api`, `modelyard controller`, `modelyard gateway`: one process alone, for platforms on many machines.

Each becomes the process itself (exec): signals, exit code and memory are those of the process, nothing of the command
stays, and the command imports nothing of theirs.
"""

import os
from pathlib import Path
from typing import NoReturn

import click

from modelyard.cli.supervisor.services import module
from modelyard.core.settings import child_environment, from_environment

_data = click.option(
    "--data", type=click.Path(path_type=Path), help="The platform's folder.  [default: ./modelyard-data]"
)


@click.command("api")
@_data
def api(data: Path | None) -> None:
    """Run one api process in the foreground: REST, console, the wanted state."""
    _become("api", data=data)


@click.command("controller")
@_data
def controller(data: Path | None) -> None:
    """Run one controller process in the foreground: it makes the wanted state so."""
    _become("controller", data=data)


@click.command("gateway")
@_data
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 chooses a free one.  [default: 8000]")
def gateway(data: Path | None, host: str | None, port: int | None) -> None:
    """Run one gateway process in the foreground: the public port."""
    _become("gateway", data=data, server_host=host, server_port=port)


def _become(name: str, **given: object) -> NoReturn:
    settings = from_environment(**{key: value for key, value in given.items() if value is not None})
    command = module(name)
    os.execve(command[0], command, child_environment(settings))  # noqa: S606 - no shell is wanted
