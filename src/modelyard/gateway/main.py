"""The gateway process."""

import asyncio
import logging
import math
import random
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import uvicorn
import uvloop

from modelyard.core.errors import Conflict, ModelyardError
from modelyard.core.settings import Server as ServerSettings
from modelyard.core.settings import Settings, from_environment
from modelyard.credentials.internal import read_secret
from modelyard.gateway.gateway import Gateway
from modelyard.gateway.protocol import HotPath

log = logging.getLogger("modelyard.gateway")

KEEP_ALIVE_SECONDS = 30
BACKLOG = 2048


class Server(uvicorn.Server):
    """uvicorn's server, which leaves with exit code 0 when asked to, and looks after connections between its ticks."""

    def __init__(self, config: uvicorn.Config, gateway: Gateway) -> None:
        super().__init__(config)
        self._gateway = gateway

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield

    async def on_tick(self, counter: int) -> bool:
        self._gateway.sweep()
        if counter % 5 == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, HotPath):
                    connection.sweep(now)
        return await super().on_tick(counter)


def listen(server: ServerSettings) -> socket.socket:
    """A socket on the public port, which several gateways share: inherited, or made here.

    Raises Conflict where the port is another's.
    """
    if server.listen_fd >= 0:
        return socket.socket(fileno=server.listen_fd)
    host, port = server.host, server.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind(address)
    except OSError as error:
        raise Conflict(f"Port {port} on {host} cannot be used: {error.strerror or error}. Choose another.") from None
    return listening


async def serve(settings: Settings, on_ready: Callable[[int], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT. `on_ready` is told the port once it is bound and the kept table is in place."""
    listening = listen(settings.server)
    gateway = Gateway(settings, read_secret(settings), dice=random.Random())  # noqa: S311 - shares of traffic
    await gateway.follower.restore()
    config = uvicorn.Config(
        gateway.app,
        http=partial(HotPath, gateway),  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        forwarded_allow_ips=["127.0.0.1", "::1"],
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=math.ceil(settings.server.drain_seconds),
        backlog=BACKLOG,
    )
    following = asyncio.create_task(gateway.run())
    if on_ready is not None:
        on_ready(listening.getsockname()[1])
    try:
        await Server(config, gateway).serve(sockets=[listening])
    finally:
        following.cancel()
        gateway.close()


def main() -> int:
    """The command. The exit code."""
    settings = from_environment()
    logging.basicConfig(level=settings.log_level.upper(), format="%(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    logging.getLogger("asyncio").setLevel(logging.WARNING)

    def ready(port: int) -> None:
        log.info("Gateway listens on %s:%d", settings.server.host, port)

    try:
        uvloop.run(serve(settings, ready))
    except ModelyardError as error:
        log.error("%s", error.message)
        return 1
    return 0
