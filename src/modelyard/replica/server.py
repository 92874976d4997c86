"""The replica's end of the hop: connections of gateways, frames in and out, and leaving without losing a request.

A gateway that asks faster than it reads, or than the model answers, is not read from meanwhile: what one connection can
make this process keep is bounded by OWED_BYTES and WRITE_BUFFER.

Leaving: stop listening, tell every gateway (DRAIN); a gateway answers DRAIN once it will send nothing more on this
connection, so that what it sent before is known to be all. When all is answered the connections are closed.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import msgspec

from modelyard.core.errors import Broken, Invalid
from modelyard.protocol.frames import TRACE_SIZE, TRACED, Kind
from modelyard.protocol.framing import Frame, Incoming, Outgoing
from modelyard.protocol.processes import Holding
from modelyard.replica.lines import Lines
from modelyard.serving.batching import Batcher, Call
from modelyard.serving.held import Answer, Request

WRITE_BUFFER = 1 << 20
OWED_BYTES = 64 << 20
CALL_BYTES = 1 << 10
"""What a waiting request takes besides its body, about."""

SLOW_SECONDS = 1.0
DRAIN_STEP = 0.005


class Server:
    """Everything that one replica serves. `holdings` says what is at which slot; gateways hold it to that."""

    def __init__(self, batcher: Batcher, *, holdings: Mapping[int, Holding], largest_body: int) -> None:
        self.batcher = batcher
        self.ready = msgspec.json.encode({str(slot): holding for slot, holding in holdings.items()})
        self.largest_body = largest_body
        self.holdings = holdings
        self.lines = Lines()
        self.connections: set[Connection] = set()
        self._listener: asyncio.Server | None = None
        self._path: Path | None = None

    async def listen(self, address: str) -> None:
        """Listen on `unix:PATH`. The socket appears under its name only once it answers.

        Raises Invalid for an address of another kind.
        """
        kind, _, name = address.partition(":")
        if kind != "unix" or not name:
            raise Invalid(f"A replica listens on unix:PATH, not on {address!r}.")
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{os.getpid()}")
        draft.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.setblocking(False)
        listening.bind(str(draft))
        draft.chmod(0o600)
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_unix_server(lambda: Connection(self), sock=listening, backlog=128)
        draft.rename(path)
        self._path = path

    async def drain(self, seconds: float) -> bool:
        """Leave; whether every request was answered within `seconds`."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        if self._listener is not None:
            self._listener.close()
        for connection in self.connections:
            connection.send(Kind.DRAIN)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while not self._finished() and loop.time() < deadline:  # noqa: ASYNC110 - many causes, once in a life
            await asyncio.sleep(DRAIN_STEP)
        finished = self._finished()
        for connection in list(self.connections):
            connection.close()
        while self.connections and loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(DRAIN_STEP)
        return finished

    def _finished(self) -> bool:
        return self.batcher.idle and all(connection.drained for connection in self.connections)


class Connection(asyncio.Protocol):
    """One gateway's connection."""

    def __init__(self, server: Server) -> None:
        self.drained = False
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._incoming = Incoming(server.largest_body + TRACE_SIZE)
        self._outgoing = Outgoing()
        self._transport: asyncio.Transport | None = None
        self._owed = 0
        self._unread = False
        self._reading = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports only look like asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER)
        self._server.connections.add(self)
        self.send(Kind.READY, body=self._server.ready)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._transport = None
        self._server.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._incoming.feed(data):
                self._receive(frame)
        except Broken:
            self.close()

    def pause_writing(self) -> None:
        self._unread = True
        self._bound()

    def resume_writing(self) -> None:
        self._unread = False
        self._bound()

    def _bound(self) -> None:
        """A gateway that does not read its answers, or has asked for too many, gets to ask no more."""
        wanted = not self._unread and self._owed < OWED_BYTES
        if wanted != self._reading and self._transport is not None:
            self._reading = wanted
            (self._transport.resume_reading if wanted else self._transport.pause_reading)()

    def send(
        self, kind: Kind, number: int = 0, content: int = 0, tag: int = 0, value: int = 0, body: bytes = b""
    ) -> None:
        """One frame, written together with all others of this turn of the loop."""
        if self._outgoing.add(number, kind, content, tag, value, body):
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        """Close once everything sent has left."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def _flush(self) -> None:
        data = self._outgoing.take()
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _receive(self, frame: Frame) -> None:
        kind, body, trace = frame.kind, frame.body, b""
        if kind & TRACED:
            if len(body) < TRACE_SIZE:
                raise Broken(f"A frame of {len(body)} bytes is too short for its trace.")
            kind, body, trace = kind & ~TRACED, body[TRACE_SIZE:], body[:TRACE_SIZE]
        if kind == Kind.REQUEST:
            self._answer(frame, body, trace)
        elif kind == Kind.PING:
            self.send(Kind.PONG, frame.id)
        elif kind == Kind.DRAIN:
            self.drained = True

    def _answer(self, frame: Frame, body: bytes, trace: bytes) -> None:
        began, owed = self._loop.time(), len(body) + CALL_BYTES
        self._owed += owed
        if self._owed >= OWED_BYTES:
            self._bound()

        def reply(answer: Answer) -> None:
            self.send(Kind.REPLY, frame.id, answer.content, answer.status, answer.rows, answer.body)
            self._owed -= owed
            if not self._reading:
                self._bound()
            if answer.status >= 500 or self._loop.time() - began > SLOW_SECONDS:
                self._note(frame.tag, answer, self._loop.time() - began, trace)

        deadline = began + frame.value / 1000 if frame.value else 0.0
        self._server.batcher.submit(frame.tag, Call(Request(body, frame.content), deadline, reply))

    def _note(self, slot: int, answer: Answer, seconds: float, trace: bytes) -> None:
        """One line of a request that failed or took long, which a trace leads to."""
        held = self._server.holdings.get(slot)
        words = [held.label if held else f"slot {slot}", f"status={answer.status}", f"seconds={seconds:.3f}"]
        if trace:
            words.append(f"trace={trace[:16].hex()}")
        self._server.lines.write(logging.WARNING, " ".join(words))
