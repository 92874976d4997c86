"""`modelyard up`: everything on one machine."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import msgspec

import modelyard
from modelyard.cli.supervisor import lock
from modelyard.cli.supervisor.log import Log, Tail
from modelyard.cli.supervisor.services import Service, listen, services, url
from modelyard.cli.supervisor.supervise import Supervisor
from modelyard.core.folders import make_private
from modelyard.core.settings import Settings, child_environment, from_environment
from modelyard.runtimes import kernel
from modelyard.runtimes.base import Runtime
from modelyard.runtimes.opened import open_runtime


class FirstLogin(msgspec.Struct, frozen=True):
    """What the api writes to `first-login.json` at the first start."""

    url: str
    username: str
    password: str
    api_key: str


@click.command("up")
@click.option("--data", type=click.Path(path_type=Path), help="The platform's folder.  [default: ./modelyard-data]")
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 chooses a free one.  [default: 8000]")
def up(data: Path | None, host: str | None, port: int | None) -> None:
    """Start the whole platform on this machine, and stop it with Ctrl-C.

    The first start prints the administrator's one-time password and an API key, and writes them to
    first-login.json in the data folder. Every setting can also be given by a variable: see `modelyard settings`.
    """
    given = {"data": data, "server_host": host, "server_port": port}
    settings = from_environment(**{name: value for name, value in given.items() if value is not None})
    sys.exit(run(settings))


def run(
    settings: Settings,
    *,
    wanted: Callable[[Settings], list[Service]] = services,
    runtime: Callable[[Settings], Runtime] = open_runtime,
) -> int:
    """Run the platform until it is asked to leave; the exit code.

    `wanted` and `runtime` are asked with the settings that hold the true port. Raises Conflict where the data folder or
    the port is in use, Forbidden where they may not be used.
    """
    lock.hold(settings.data)
    make_private(settings.run_folder)
    _clear_leftovers(settings)
    listening = listen(settings.server.host, settings.server.port)
    port = int(listening.getsockname()[1])
    server = msgspec.structs.replace(settings.server, port=port, listen_fd=listening.fileno())
    settings = msgspec.structs.replace(settings, server=server)
    log = Log(sys.stdout)

    def announce() -> None:
        draft = settings.data / f".{lock.URL}"
        draft.write_text(f"{url(settings)}\n")
        draft.replace(settings.data / lock.URL)
        log.write(banner(settings, _first_login(settings.data)))
        # The lock's time is that of the last banner: a first start that did not come up is followed by another.
        os.utime(settings.data / lock.FILE)

    log.say(f"Modelyard {modelyard.__version__} starts on {settings.data}")
    try:
        return Supervisor(
            wanted(settings),
            environment={**child_environment(settings), kernel.MARK: _mark(settings), "PYTHONUNBUFFERED": "1"},
            runtime=runtime(settings),
            log=log,
            tail=Tail(settings.run_folder / "processes", log),
            on_ready=announce,
            # Whoever comes now is to be refused at once rather than wait for nobody.
            on_leave=listening.close,
        ).run()
    finally:
        kernel.Tree(lambda mark: mark.startswith(f"{settings.run_folder}/")).kill(seconds=1)
        (settings.data / lock.URL).unlink(missing_ok=True)


def banner(settings: Settings, first_login: Path | None) -> str:
    """What is shown when everything answers; with the first login where this is the first start."""
    rows = [("URL", url(settings)), ("Data", str(settings.data))]
    if settings.auth.mode == "off":
        rows.append(("Access", click.style("open: everyone who reaches the port is the administrator", fg="yellow")))
    lines = [click.style("Modelyard is up.", bold=True), "", *(_row(*row) for row in rows)]
    if first_login is not None:
        login = msgspec.json.decode(first_login.read_bytes(), type=FirstLogin)
        lines += ["", f"  First login, shown only now and kept in {first_login}:", ""]
        lines += [_row("User", login.username), _row("Password", login.password), _row("API key", login.api_key)]
    return "\n".join(["", *lines, "", "  Ctrl-C stops everything.", ""])


def _row(name: str, value: str) -> str:
    return f"  {name:<10}{value}"


def _mark(settings: Settings) -> str:
    return f"{settings.run_folder}/up"


def _first_login(data: Path) -> Path | None:
    """The file with the first login where no banner has shown it yet."""
    path = data / "first-login.json"
    shown = (data / lock.FILE).stat().st_mtime_ns
    return path if path.exists() and path.stat().st_mtime_ns > shown else None


def _clear_leftovers(settings: Settings) -> None:
    """End the services of an `up` that was killed: they were told by the kernel, and have their time to drain.

    Workers and replicas bear marks of their own: they live on.
    """
    deadline = time.monotonic() + settings.server.drain_seconds
    while left := [found for found in kernel.everyone() if kernel.mark(found.pid) == _mark(settings)]:
        for found in left:
            if not found.dead and time.monotonic() > deadline:
                kernel.send(found.identity, signal.SIGKILL)
        time.sleep(kernel.PAUSE)
