"""Hands the usage journals to the api: this gateway's own while it is written, and those that others left.

The api says how far it has taken a journal, and shipping goes on from there: whatever is sent twice counts once. A file
that is not written any more is deleted when the api has all of it.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import msgspec

from modelyard.core.errors import Unavailable
from modelyard.credentials.internal import HEADER
from modelyard.gateway.journal import SUFFIX, Journal, adopt
from modelyard.gateway.upstream import Lost, Upstream

log = logging.getLogger("modelyard.gateway")

CHUNK_BYTES = 1 << 20
SMALLEST_CHUNK = 16 << 10
EVERY_SECONDS = 1.0
IDLE_SECONDS = 60.0
LONGEST_PAUSE = 10.0
POST_SECONDS = 30.0


class Accepted(msgspec.Struct):
    """How many bytes of a journal the api has taken."""

    accepted: int


class _Error(msgspec.Struct):
    detail: Accepted


class _Gap(msgspec.Struct):
    error: _Error


class Shipper:
    """Ships every `every` seconds; a file of its own to which nothing was added for `idle` seconds is let go."""

    def __init__(
        self,
        upstream: Upstream,
        token: str,
        journal: Journal,
        *,
        every: float = EVERY_SECONDS,
        idle: float = IDLE_SECONDS,
    ) -> None:
        self._upstream = upstream
        self._journal = journal
        self._headers = [(HEADER.encode(), token.encode())]
        self._every, self._idle = every, idle
        self._chunk = CHUNK_BYTES
        self._accepted: dict[str, int] = {}
        self._seen: tuple[Path | None, int] = (None, 0)
        self._since = 0.0

    async def run(self) -> None:
        """Ship for ever. An api that is away is asked less and less often, and loses nothing."""
        pause, told = self._every, False
        while True:
            await asyncio.sleep(pause)
            try:
                await self.sweep()
            except (Unavailable, Lost, TimeoutError, OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
                pause = min(LONGEST_PAUSE, pause * 2)
                if not told and pause >= min(LONGEST_PAUSE, 8 * self._every):
                    log.warning("Usage waits to be handed to the api: %s", error or type(error).__name__)
                    told = True
            except Exception:
                log.exception("Usage could not be handed to the api")
                pause = LONGEST_PAUSE
            else:
                pause, told = self._every, False

    async def sweep(self) -> None:
        """Ship all that there is now. Raises Unavailable, Lost, TimeoutError or OSError where that cannot be."""
        await self._ship_own()
        there = await asyncio.to_thread(lambda: sorted(self._journal.folder.glob(f"*{SUFFIX}")))
        for path in there:
            if path != self._journal.path:
                await self._ship_left(path)
        names = {path.name for path in there}
        self._accepted = {name: accepted for name, accepted in self._accepted.items() if name in names}

    async def _ship_own(self) -> None:
        journal, path = self._journal, self._journal.path
        if path is None:
            return
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            # One that is full meanwhile is as good as left.
            await self._ship(path, descriptor, lambda: journal.kept if journal.path == path else 0)
        finally:
            os.close(descriptor)
        now = asyncio.get_running_loop().time()
        if (journal.path, journal.kept) != self._seen:
            self._seen, self._since = (journal.path, journal.kept), now
        elif now - self._since >= self._idle:
            journal.leave()

    async def _ship_left(self, path: Path) -> None:
        descriptor = adopt(path)
        if descriptor is None:
            return
        size, shipped = os.fstat(descriptor).st_size, False
        try:
            await self._ship(path, descriptor, lambda: size)
            shipped = True
        finally:
            # In a thread: giving back a large file's space takes milliseconds.
            await asyncio.to_thread(_let_go, path, descriptor, delete=shipped)
        if size:
            await self._post("/internal/usage/shipped", path, b"")

    async def _ship(self, path: Path, descriptor: int, end: Callable[[], int]) -> None:
        """Ship a file's whole lines up to `end`, which may move. What others shipped of it the api says."""
        while (begin := self._accepted.get(path.name, 0)) < (limit := end()):
            data = await asyncio.to_thread(os.pread, descriptor, min(self._chunk, limit - begin), begin)
            # No line is as long as a chunk: such a piece is damaged, and the api leaves it aside.
            lines = data[: data.rfind(b"\n") + 1] or (data if len(data) == self._chunk else b"")
            if not lines:
                return
            await self._send(path, begin, lines)

    async def _send(self, path: Path, offset: int, lines: bytes) -> None:
        """Offer a piece, and note how far the api has the journal then."""
        status, answer = await self._post("/internal/usage", path, lines, offset=offset)
        if status == 200:
            self._accepted[path.name] = msgspec.json.decode(answer, type=Accepted).accepted
        elif status == 409:
            self._accepted[path.name] = msgspec.json.decode(answer, type=_Gap).error.detail.accepted
        elif status == 413 and self._chunk > SMALLEST_CHUNK:
            self._chunk //= 2
        else:
            raise Unavailable(f"the api answered {status}")

    async def _post(self, target: str, path: Path, body: bytes, **query: int) -> tuple[int, bytes]:
        more = "".join(f"&{name}={value}" for name, value in query.items())
        async with asyncio.timeout(POST_SECONDS):
            return await self._upstream.post(f"{target}?journal={quote(path.name, safe='')}{more}", self._headers, body)


def _let_go(path: Path, descriptor: int, *, delete: bool) -> None:
    """Unlock a file, deleted where it is shipped: before it is unlocked, so that nobody takes it up in between."""
    try:
        if delete:
            path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)
