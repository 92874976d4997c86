"""Speaking HTTP to the api over its unix socket: a connection for each request, so that none is ever stale."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import httptools

from modelyard.core.errors import Unavailable

CHUNK = 256 * 1024
RETRY_STEP = 0.1

Headers = list[tuple[bytes, bytes]]


class Lost(Exception):
    """The api went away before its answer was whole."""


class Conversation:
    """One request and its answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._parser = httptools.HttpResponseParser(self)
        self._parts: list[bytes] = []
        self._bodiless = False
        self._has_head = False
        self._whole = False
        self.headers: Headers = []

    async def send_head(self, method: bytes, target: bytes, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Send the request line and headers; they are taken as they are."""
        self._bodiless = method == b"HEAD"
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        await self.send(b"%b %b HTTP/1.1\r\n%b\r\n" % (method, target, lines))

    async def send(self, data: bytes) -> None:
        """Send more; returns once there is room for more still. Raises Lost."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            raise Lost from error

    async def head(self) -> int:
        """The status of the answer; `headers` are there then. Raises Lost."""
        while not self._has_head:
            await self._read()
        status: int = self._parser.get_status_code()
        return status

    async def parts(self) -> AsyncIterator[bytes]:
        """The body of the answer as it comes. Raises Lost where it breaks off."""
        while True:
            parts, self._parts = self._parts, []
            for part in parts:
                yield part
            if self._whole:
                return
            await self._read()

    def close(self) -> None:
        """End it, whatever its state; the api notices."""
        self._writer.transport.abort()

    async def _read(self) -> None:
        try:
            data = await self._reader.read(CHUNK)
        except OSError as error:
            raise Lost from error
        if not data:
            raise Lost
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise Lost from error

    def on_header(self, name: bytes, value: bytes) -> None:
        """Parser callback."""
        if not self._has_head:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Parser callback."""
        if self._parser.get_status_code() < 200:
            self.headers.clear()
            return
        self._has_head = True
        self._whole = self._bodiless

    def on_body(self, body: bytes) -> None:
        """Parser callback."""
        self._parts.append(body)

    def on_message_complete(self) -> None:
        """Parser callback."""
        self._whole = self._has_head


class Upstream:
    """The api."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def connect(self, *, patience: float = 0.0) -> Conversation:
        """A fresh connection, tried for `patience` seconds. Raises Unavailable."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience
        while True:
            try:
                return Conversation(*await asyncio.open_unix_connection(str(self._path), limit=CHUNK))
            except OSError as error:
                if loop.time() >= deadline:
                    message = "The control plane does not answer at the moment; predictions do. Try again."
                    raise Unavailable(message, retry_after=2) from error
            await asyncio.sleep(RETRY_STEP)

    async def get(self, target: str, headers: Iterable[tuple[bytes, bytes]]) -> tuple[int, bytes]:
        """Status and body of a GET. Raises Unavailable or Lost."""
        return await self._ask(b"GET", target, headers, b"")

    async def post(self, target: str, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer to a POST. Raises Unavailable or Lost."""
        return await self._ask(b"POST", target, [*headers, (b"content-length", b"%d" % len(body))], body)

    async def _ask(
        self, method: bytes, target: str, headers: Iterable[tuple[bytes, bytes]], body: bytes
    ) -> tuple[int, bytes]:
        conversation = await self.connect()
        try:
            await conversation.send_head(method, target.encode(), [(b"host", b"modelyard"), *headers])
            if body:
                await conversation.send(body)
            status = await conversation.head()
            return status, b"".join([part async for part in conversation.parts()])
        finally:
            conversation.close()
