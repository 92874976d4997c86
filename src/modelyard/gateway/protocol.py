"""HTTP on one connection: predictions answered in the protocol itself, everything else by the ASGI application.

Derives from uvicorn's protocol class, which is no promised interface: uvicorn is pinned exactly. A message is *hot* (a
prediction) or not as soon as its request line is known. A hot one never becomes an ASGI scope or a task.

Answers leave in the order of their requests: `_turns` holds what may not start yet, because something before it is
unanswered; nothing is read meanwhile. What is wrong with a message is raised in the parser's callbacks, which ends the
parsing, and becomes an answer in its turn; then the connection is closed, once the client has had time to read it.
"""

import itertools
import logging
import re
import secrets
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from modelyard.core.errors import Malformed, ModelyardError, TooLarge
from modelyard.core.settings import Limits
from modelyard.gateway.answers import Heads
from modelyard.gateway.dialects import BASES
from modelyard.gateway.errors import HeadTooLarge, TooSlow, UpgradeRefused
from modelyard.gateway.exchange import Exchange

log = logging.getLogger("modelyard.gateway")

LINGER_SECONDS = 2.0
HEADER_OVERHEAD = 32  # what a header line counts besides its bytes, so that many tiny ones are bounded too
LIVE = "live"
"""Set in `scope["state"]` by an answer that goes on until the client leaves: then its leaving is half a close."""

_BASES = tuple(base.encode() for base in BASES)
WANTED = frozenset(
    {
        b"accept",
        b"accept-encoding",
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"expect",
        b"inference-header-content-length",
        b"traceparent",
        b"transfer-encoding",
        b"x-api-key",
        b"x-request-id",
    }
)
"""The headers of a prediction that are kept; those that traffic rules look at come on top."""

_SANE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


class RequestIds:
    """Ids for requests that bring none: unique across processes, cheap, and in order within one."""

    def __init__(self) -> None:
        self._process = secrets.token_hex(6)
        self._next = itertools.count(1)

    def make(self) -> bytes:
        """The next one."""
        return f"req_{self._process}{next(self._next):010x}".encode()

    def of(self, sent: bytes | None) -> bytes:
        """The id that the request brought, if it is sane; else a new one."""
        return sent if sent is not None and _SANE_ID.fullmatch(sent) else self.make()


class Service(Protocol):
    """What the connections of one gateway process share."""

    limits: Limits
    heads: Heads
    request_ids: RequestIds
    wanted: frozenset[bytes]

    def handle(self, exchange: Exchange) -> None:
        """Answer a prediction, now or later."""
        ...


class HotPath(HttpToolsProtocol):
    """One connection."""

    def __init__(self, service: Service, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self._service = service
        self._limits = service.limits
        # Of the connection.
        self._turns: deque[Callable[[], None]] = deque()
        self._busy = False
        self._pumping = False
        self._exchange: Exchange | None = None
        self._stopping = False
        self._half_closed = False
        self._refused = False
        self._since = self.loop.time()
        # Of the message that is being read.
        self._hot: bool | None = None
        self._reading = False
        self._in_head = False
        self._head_size = 0
        self._head_read: int | None = None
        self._target = b""
        self._wanted = service.wanted
        self._headers: dict[bytes, bytes] = {}
        self._parts: list[bytes] = []
        self._size = 0
        self._owes_continue = False

    # ---- from the transport ----

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._unset_keepalive_if_required()
        error: Exception
        try:
            self._feed(data)
        except httptools.HttpParserCallbackError as raised:
            error = raised.__context__ if isinstance(raised.__context__, Exception) else raised
        except httptools.HttpParserError as raised:
            error = Malformed(f"This is no HTTP request: {raised}.")
        else:
            self._note_progress(len(data))
            return
        if not isinstance(error, ModelyardError):
            log.debug("A request could not be read", exc_info=error)
            error = Malformed("This is no HTTP request that can be served: its target or headers are not valid.")
        self._refuse(error)

    def _feed(self, data: bytes) -> None:
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                # No other protocol is spoken here: the request was answered as if it had not asked.
                data = data[upgrade.args[0] :]
            else:
                return

    def _note_progress(self, size: int) -> None:
        if not self._reading:
            return
        if self._in_head:
            # What it began in is not counted: most of that may have been the message before.
            self._head_read = 0 if self._head_read is None else self._head_read + size
            if self._head_read > self._limits.header:
                self._refuse(self._head_too_large())
        elif self._hot is False:
            # A long upload may take its time as long as it goes on.
            self._since = self.loop.time()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Half-closed: whoever has asked may still be waiting for the answer."""
        self._half_closed = True
        if self._reading and self._hot is False and not self._in_head:
            return False
        self._reading = False
        return (self._busy or bool(self._turns)) and not self._is_live()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._exchange is not None:
            self._exchange.answered = True
            self._exchange = None
        self._turns.clear()
        super().connection_lost(exc)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._pump()

    def shutdown(self) -> None:
        """Leave: what was begun is answered, then the connection closes."""
        self._stopping = True
        if not self._busy and not self._reading:
            self.transport.close()
        elif self._exchange is None and self.cycle is not None and not self._turns:
            self.cycle.keep_alive = False

    def sweep(self, now: float) -> None:
        """Look after clients that send nothing; called about once a second."""
        waited = now - self._since
        if self._refused:
            if waited > LINGER_SECONDS and not self._busy:
                self.transport.close()
        elif self._reading:
            if self.flow.read_paused:
                self._since = now
            elif waited > self._limits.request_seconds:
                self._refuse(TooSlow(f"The request did not arrive within {self._limits.request_seconds:g} s."))
        elif not self._busy and waited > self.timeout_keep_alive:
            self.transport.close()

    # ---- from the parser ----

    def on_message_begin(self) -> None:
        self._hot = None
        self._reading = self._in_head = True
        self._since = self.loop.time()
        self._target = b""
        self._headers = {}
        self._parts = []
        self._size = self._head_size = 0
        self._head_read = None
        self._owes_continue = False
        self._wanted = self._service.wanted

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer: nothing here gives it a meaning
        if self._hot is None:
            self._decide()
        self._head_size += len(name) + len(value) + HEADER_OVERHEAD
        name = name.lower()
        if name in self._wanted:
            self._headers[name] = value
        if not self._hot:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._hot is None:
            self._decide()
        if self._head_size + len(self._target) > self._limits.header:
            raise self._head_too_large()
        self._in_head = False
        length = int(self._headers.get(b"content-length", b"0"))
        if self.parser.should_upgrade() and (length or b"transfer-encoding" in self._headers):
            raise UpgradeRefused("A request with a body may not ask for another protocol. Leave out Upgrade.")
        if not self._hot:
            super().on_headers_complete()
            # uvicorn's own queue knows only of its own requests: ours knows of both kinds.
            while self.pipeline:
                self._start_asgi_task(*self.pipeline.pop())
            return
        if length > self._limits.body:
            raise self._too_large()
        if self._headers.get(b"expect", b"").lower() == b"100-continue":
            self._continue()

    def on_body(self, body: bytes) -> None:
        if not self._hot:
            super().on_body(body)
            return
        self._size += len(body)
        if self._size > self._limits.body:
            raise self._too_large()
        self._parts.append(body)

    def on_message_complete(self) -> None:
        self._reading = False
        if not self._hot:
            super().on_message_complete()
            return
        if self.transport.is_closing():
            return  # the answer to the request before it was the last
        exchange = Exchange(
            self,
            self._target,
            self._headers,
            self._parts[0] if len(self._parts) == 1 else b"".join(self._parts),
            request_id=self._service.request_ids.of(self._headers.get(b"x-request-id")),
            keep_alive=self.parser.should_keep_alive(),
        )
        if self._busy or self._turns or self.flow.write_paused:
            self._enqueue(partial(self._start, exchange))
        else:
            self._busy = True
            self._start(exchange)

    def _decide(self) -> None:
        """Hot or not, now that the request line is known."""
        target = self._target
        if target[:1] != b"/" and b"://" in target:  # absolute form, as to a proxy (RFC 9112, 3.2.2)
            place = target.find(b"/", target.index(b"://") + 3)
            target = self._target = target[place:] if place >= 0 else b"/"
        self._hot = target.startswith(_BASES) and self.parser.get_method() == b"POST"
        if not self._hot:
            super().on_message_begin()
            self.url = target

    def _continue(self) -> None:
        if self._busy or self._turns:
            self._owes_continue = True
        else:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    # ---- one after the other ----

    def _enqueue(self, start: Callable[[], None]) -> None:
        """Let a request start once everything before it is answered and the client reads its answers."""
        self._turns.append(start)
        self.flow.pause_reading()
        self._pump()

    def _pump(self) -> None:
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._turns and not self._busy and not self.flow.write_paused and not self.transport.is_closing():
                self._busy = True
                self._turns.popleft()()
        finally:
            self._pumping = False
        if not self._busy and not self._turns and not self.transport.is_closing() and not self.flow.write_paused:
            self._rest()

    def _rest(self) -> None:
        """Everything is answered."""
        if (self._stopping and not self._reading) or self._half_closed:
            self.transport.close()
            return
        self.flow.resume_reading()
        if self._owes_continue and self._reading:
            self._owes_continue = False
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _start(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._service.handle(exchange)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._enqueue(partial(self._start_asgi, cycle, app))

    def _start_asgi(self, cycle: RequestResponseCycle, app: Any) -> None:
        if self._stopping and not self._turns:
            cycle.keep_alive = False
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        # `sweep` looks after silent connections; a timer would also close on what is answered next.
        self._unset_keepalive_if_required()
        self._answered()

    def answer(self, exchange: Exchange, status: int, content: int, headers: bytes, body: bytes) -> None:
        """Write the answer to the hot request under way; see `exchange.Client`."""
        self._exchange = None
        if self.transport.is_closing():
            self._turns.clear()
            return
        last = not exchange.keep_alive or (self._stopping and not self._turns and not self._reading)
        head = self._service.heads.head(status, content, self.server_state.default_headers)
        close = b"connection: close\r\n" if last else b""
        self.transport.write(b"%b%b%bcontent-length: %d\r\n\r\n%b" % (head, headers, close, len(body), body))
        self.server_state.total_requests += 1
        if last and not self._refused:
            self.transport.close()
        self._answered()

    def _answered(self) -> None:
        self._busy = False
        self._since = self.loop.time()
        if self.transport.is_closing():
            self._turns.clear()
        else:
            self._pump()

    def _is_live(self) -> bool:
        return self._exchange is None and self.cycle is not None and bool(self.cycle.scope["state"].get(LIVE))

    # ---- what is wrong with a message ----

    def _refuse(self, error: ModelyardError) -> None:
        """Answer with `error` in its turn, read nothing more, and close once the client has had time to read it."""
        half_read_upload = self._hot is False and self._reading and not self._in_head
        self._refused = True
        self._reading = False
        self._since = self.loop.time()
        if half_read_upload:
            self._abandon()
            return
        exchange = Exchange(
            self,
            self._target,
            {},
            b"",
            request_id=self._service.request_ids.of(self._headers.get(b"x-request-id")),
            keep_alive=False,
        )
        self._enqueue(partial(self._tell, exchange, error))
        self.flow.resume_reading()

    def _tell(self, exchange: Exchange, error: ModelyardError) -> None:
        self._exchange = exchange
        exchange.refuse(error)
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _abandon(self) -> None:
        """The body of a request that the application is already reading can never be whole."""
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        self.transport.close()

    def send_400_response(self, msg: str) -> None:
        self._refuse(Malformed(msg))

    def _head_too_large(self) -> HeadTooLarge:
        return HeadTooLarge(
            f"The request's head is larger than {self._limits.header} bytes. Send fewer or shorter headers."
        )

    def _too_large(self) -> TooLarge:
        return TooLarge(f"The body is larger than {self._limits.body} bytes. Send fewer rows at once.")
