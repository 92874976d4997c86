"""Keeping up with the routing table: a long poll at the api, and the last good table on disk to start without it."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from modelyard.core.errors import Unavailable
from modelyard.credentials.internal import HEADER
from modelyard.gateway.upstream import Lost, Upstream
from modelyard.protocol.routing import RoutingTable

log = logging.getLogger("modelyard.gateway")

POLL_SECONDS = 40.0
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 1.0
_decode = msgspec.json.Decoder(RoutingTable).decode


class Follower:
    """Asks for tables and hands each new one to `swap`, then keeps it in `path` (0600). `name` is the gateway's own."""

    def __init__(
        self,
        upstream: Upstream,
        path: Path,
        token: str,
        *,
        name: str,
        swap: Callable[[RoutingTable], Awaitable[None]],
    ) -> None:
        self._upstream = upstream
        self._path = path
        self._token = token
        self._swap = swap
        self._name = name
        self.number = 0
        self.reached = False

    async def restore(self) -> None:
        """Take up the table on disk, where there is a good one."""
        try:
            table = _decode(self._path.read_bytes())
        except FileNotFoundError:
            return
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            log.warning("The routing table in %s cannot be read and is left aside: %s", self._path, error)
            return
        await self._swap(table)
        self.number = table.number

    async def follow(self) -> None:
        """Ask for ever. A table that was taken up is acknowledged by the next question, which names its number."""
        pause, told = FIRST_PAUSE, False
        while True:
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    await self._ask()
            except (Unavailable, Lost, TimeoutError, msgspec.DecodeError, UnicodeDecodeError) as error:
                # An api that starts at the same time needs a moment: that is no news.
                if not told and (self.reached or pause == LONGEST_PAUSE):
                    log.warning("No routing table from the api: %s", error or type(error).__name__)
                    told = True
                self.reached = False
                await asyncio.sleep(pause)
                pause = min(LONGEST_PAUSE, pause * 2)
            except Exception:
                # A table that cannot be taken up must not be the last one that was asked for.
                log.exception("A routing table could not be taken up")
                await asyncio.sleep(LONGEST_PAUSE)
            else:
                pause, told = FIRST_PAUSE, False

    async def _ask(self) -> None:
        status, body = await self._upstream.get(
            f"/internal/routing?after={self.number}&gateway={self._name}", [(HEADER.encode(), self._token.encode())]
        )
        if status not in {200, 204}:
            raise Unavailable(f"the api answered {status}")
        self.reached = True
        if status == 204:
            return
        table = _decode(body)
        if table.number == self.number:
            raise Unavailable(f"the api sent table {table.number} again")
        if table.number < self.number:
            log.warning("Table %d follows %d: the database was set back.", table.number, self.number)
        await self._swap(table)
        self.number = table.number
        await asyncio.to_thread(_keep, self._path, body)
        log.info("Routing table %d: %d models", table.number, len(table.models))


def _keep(path: Path, body: bytes) -> None:
    """Write the file whole or not at all. A full disk is no reason to stop serving."""
    draft = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(body)
        draft.replace(path)
    except OSError as error:
        log.warning("The routing table cannot be kept in %s: %s", path, error)
        draft.unlink(missing_ok=True)
