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
from modelyard.protocol.processes import Holding, ReplicaSpec
from modelyard.replica.server import Server
from modelyard.serving.batching import Batcher
from modelyard.serving.folders import fetch
from modelyard.serving.held import Held, load
from modelyard.storage.objects.opened import open_store

log = logging.getLogger("modelyard.replica")

FAILED = 3
"""Exit code where a version cannot be held; `<spec file>.failure` says why."""


def run(spec: ReplicaSpec, settings: Settings, on_ready: Callable[[], None]) -> None:
    """Hold the versions of `spec` until SIGTERM or SIGINT; `on_ready` is called once the replica listens.

    Raises what the fault is where a version cannot be fetched, loaded or does not answer as it should.
    """
    store = open_store(settings.objects_url)
    cache = settings.data / "cache" / "versions"
    held: dict[int, Held] = {}
    paces: dict[int, float] = {}
    for version in spec.versions:
        held[version.slot] = load(version, fetch(version, store, cache))
        paces[version.slot] = held[version.slot].warm_up()
        log.info("%s is loaded: %.2f ms for 32 rows", version.label, paces[version.slot] * 1000)
    uvloop.run(_serve(spec, settings, held, paces, on_ready))


async def _serve(
    spec: ReplicaSpec,
    settings: Settings,
    held: dict[int, Held],
    paces: dict[int, float],
    on_ready: Callable[[], None],
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    batcher = Batcher(held, max_batch=spec.max_batch, paces=paces)
    holdings = {version.slot: Holding(version.label, paces.get(version.slot, 0.0) * 1e6) for version in spec.versions}
    server = Server(batcher, holdings=holdings, largest_body=settings.limits.body)
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
        run(msgspec.json.decode(path.read_bytes(), type=ReplicaSpec), settings, lambda: None)
    except ModelyardError as error:
        log.error("%s", error.message)
        told = Failure(code=error.code, message=error.message, detail=error.detail)
        failure.write_bytes(msgspec.json.encode(told))
        return FAILED
    return 0
