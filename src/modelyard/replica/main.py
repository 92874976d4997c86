"""The replica process: fetch, verify, load and try out its versions, and only then listen."""

import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import uvloop

from modelyard.core.errors import ModelyardError
from modelyard.core.lifeline import Lifeline
from modelyard.core.settings import Settings, from_environment
from modelyard.protocol.jobs import Failure
from modelyard.protocol.processes import ReplicaSpec
from modelyard.replica.loading import Loaded
from modelyard.replica.server import Server
from modelyard.serving.batching import Batcher

log = logging.getLogger("modelyard.replica")

FAILED = 3
"""Exit code where a version cannot be held; `<spec file>.failure` says why."""


def run(spec: ReplicaSpec, settings: Settings, on_ready: Callable[[], None]) -> None:
    """Hold the versions of `spec` until SIGTERM or SIGINT; `on_ready` is called once the replica listens.

    `limits` are what this process may use with all that it starts. Raises what the fault is where a version cannot be
    fetched, loaded or does not answer as it should.
    """
    loaded = Loaded(settings, spec.limits)
    try:
        for version in spec.versions:
            loaded.add(version)
        uvloop.run(_serve(spec, settings, loaded, on_ready))
    finally:
        loaded.close()


async def _serve(spec: ReplicaSpec, settings: Settings, loaded: Loaded, on_ready: Callable[[], None]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    batcher = Batcher(loaded.held, max_batch=spec.max_batch, paces=loaded.paces, parallel=loaded.parallel)
    server = Server(batcher, holdings=loaded.holdings, largest_body=settings.limits.body)
    await server.listen(spec.address)
    log.info("Replica %s listens on %s", spec.id, spec.address)
    on_ready()
    lifeline = Lifeline(settings.data / "up.lock")
    asked, alone = asyncio.create_task(stop.wait()), asyncio.create_task(lifeline.alone())
    await asyncio.wait({asked, alone}, return_when=asyncio.FIRST_COMPLETED)
    if not asked.done():
        log.warning("Nobody has run the platform on %s for a minute: leaving.", settings.data)
    for task in (asked, alone):
        task.cancel()
    if not await server.drain(settings.replicas.drain_seconds):
        log.warning("Left with requests unanswered after %.1f s.", settings.replicas.drain_seconds)


def main(arguments: Sequence[str]) -> int:
    """The command: one argument, the file that holds the ReplicaSpec. The exit code."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m modelyard.replica SPEC_FILE\n")
        return 2
    settings = from_environment()
    logging.basicConfig(level=settings.log_level.upper(), format="%(levelname)s %(message)s", stream=sys.stderr)
    path = Path(arguments[0])
    failure = path.with_name(f"{path.name}.failure")
    failure.unlink(missing_ok=True)
    try:
        spec = msgspec.json.decode(path.read_bytes(), type=ReplicaSpec)
        run(spec, settings, lambda: None)
    except ModelyardError as error:
        log.error("%s", error.message)
        told = Failure(code=error.code, message=error.message, detail=error.detail)
        failure.write_bytes(msgspec.json.encode(told))
        return FAILED
    return 0
