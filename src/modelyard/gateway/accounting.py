"""What every answered call leaves behind, in this order: a usage record, its figures, and only then its answer.

The answers of one turn of the loop wait for each other: one write keeps their records, then each goes to its socket.
So a gateway that is killed has recorded whatever it acknowledged. Large answers are packed on their way, where the
client takes it.
"""

import asyncio
from time import perf_counter, time
from typing import NamedTuple

from modelyard.core.errors import OutOfSpace
from modelyard.gateway.bodies import accepted, pack
from modelyard.gateway.exchange import Exchange
from modelyard.gateway.journal import Journal
from modelyard.gateway.limits import Limiter
from modelyard.protocol.usage import UsageRecord

WORTH_PACKING = 1024
PACKED_ASIDE = 64 * 1024
"""Bodies from this size on are packed in a thread: it would hold up everybody else for longer than the hand-over."""

_ACCEPT_ENCODING = b"accept-encoding"


class Due(NamedTuple):
    """An answer that is to be given at the end of this turn."""

    exchange: Exchange
    status: int
    content: int
    headers: bytes
    body: bytes


class Accounting:
    """The books of one gateway process."""

    def __init__(self, journal: Journal, limiter: Limiter) -> None:
        self._journal = journal
        self._limiter = limiter
        self._loop = asyncio.get_running_loop()
        self._due: list[Due] = []

    def settle(self, exchange: Exchange, status: int, content: int, rows: int, headers: bytes, body: bytes) -> None:
        """Account for an answer, and give it at the end of this turn."""
        # Errors stay plain: not every client that takes packed answers unpacks what it raises.
        if status < 400 and len(body) >= WORTH_PACKING and _ACCEPT_ENCODING in exchange.headers:
            coding = accepted(exchange.headers)
            if coding is not None:
                self._pack(exchange, status, content, rows, headers, body, coding)
                return
        self._settle(exchange, status, content, rows, headers, body)

    def close(self) -> None:
        """Give what is due, and close the journal."""
        self.flush()
        self._journal.close()

    def _settle(self, exchange: Exchange, status: int, content: int, rows: int, headers: bytes, body: bytes) -> None:
        caller, model, version = exchange.caller, exchange.model, exchange.version
        assert caller is not None
        assert model is not None
        seconds = perf_counter() - exchange.began
        number = 0
        if version is not None:
            number = version.number
            version.meter.observe(status, seconds, rows)
        if rows:
            self._limiter.charge(caller, model.prefix, rows)
        self._journal.add(
            UsageRecord(
                time(), caller.id, model.prefix, model.name, number, status, rows, exchange.bytes_in, len(body),
                int(seconds * 1e6),
            )
        )  # fmt: skip
        if not self._due:
            self._loop.call_soon(self.flush)
        self._due.append(Due(exchange, status, content, headers, body))

    def flush(self) -> None:
        """Give what is due. Whoever knows that a batch of answers is whole need not wait for the end of the turn."""
        due, self._due = self._due, []
        if not due:
            return
        if self._journal.flush():
            for exchange, status, content, headers, body in due:
                exchange.client.answer(exchange, status, content, headers, body)
            return
        full = OutOfSpace("The disk is full: calls cannot be recorded, so they are not answered.", retry_after=30)
        for one in due:
            one.exchange.take_back(full)

    def _pack(
        self, exchange: Exchange, status: int, content: int, rows: int, headers: bytes, body: bytes, coding: bytes
    ) -> None:
        headers = b"%bcontent-encoding: %b\r\nvary: accept-encoding\r\n" % (headers, coding)
        if len(body) < PACKED_ASIDE:
            self._settle(exchange, status, content, rows, headers, pack(body, coding))
            return

        def packed(done: "asyncio.Future[bytes]") -> None:
            self._settle(exchange, status, content, rows, headers, done.result())

        self._loop.run_in_executor(None, pack, body, coding).add_done_callback(packed)
