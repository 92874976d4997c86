"""A small server whose every answer is known, and questions for it."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable

from benchmarks.load.questions import Question, post

Answers = Callable[[int, int], bytes | None]


class Connection(asyncio.Protocol):
    """Answers question `n` with `answers(n, times)`, its n-th time; None closes the connection instead."""

    def __init__(self, known: "Known") -> None:
        self._known = known
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._known.transports.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._known.transports.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._buffer.endswith(b"\n}"):
            return
        number = int(self._buffer.partition(b" /")[2].split(b" ")[0])
        self._buffer = b""
        self._known.served[number] += 1
        given = self._known.answers(number, self._known.served[number])
        if given is None:
            self._transport.close()
        else:
            self._transport.write(given)


class Known:
    """A running server: its port, and how often each question was asked."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.served: Counter[int] = Counter()
        self.transports: set[asyncio.BaseTransport] = set()
        self._ready, self._over = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._ready.wait(10)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        server = await self._loop.create_server(lambda: Connection(self), "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._over.wait()
        server.close()
        for transport in list(self.transports):
            transport.close()
        await asyncio.sleep(0)


def answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """The bytes of an answer."""
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def question(number: int, *answers: bytes) -> Question:
    """Question `number` of a Known server."""
    return Question(post(f"/{number}", b"{\n}"), answers)
