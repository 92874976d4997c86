"""One prediction on its way through the gateway: from the last byte read to the answer handed to the socket."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import Protocol

from modelyard.core.errors import ModelyardError
from modelyard.gateway.answers import REQUEST_ID, error_body, error_headers
from modelyard.gateway.dialects import Dialect, dialect_of, split_binary, translated
from modelyard.gateway.metrics import Meter
from modelyard.protocol.frames import Content
from modelyard.protocol.routing import Caller

_UNNAMED = b'"request_id":""}'


class Client(Protocol):
    """Whoever the answer goes to."""

    def answer(self, exchange: Exchange, status: int, content: int, headers: bytes, body: bytes) -> None:
        """Write the answer; `headers` are whole lines, besides those that every answer bears."""
        ...


class Books(Protocol):
    """Where an answer is written down before it is given; see `accounting.py`."""

    def settle(self, exchange: Exchange, status: int, content: int, rows: int, headers: bytes, body: bytes) -> None:
        """Write the answer down, then give it."""
        ...

    def flush(self) -> None:
        """Give what is written down now, rather than at the end of the turn."""
        ...


class AskedModel(Protocol):
    """The model that was asked; see `routes.Model`."""

    @property
    def prefix(self) -> str: ...
    @property
    def name(self) -> str: ...


class Answering(Protocol):
    """The version that answers; see `routes.Version`."""

    @property
    def label(self) -> str: ...
    @property
    def number(self) -> int: ...
    @property
    def deployment(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def head(self) -> bytes: ...
    @property
    def meter(self) -> Meter: ...


class Exchange:
    """A request for a prediction. Answered exactly once, by `answer` or `refuse`; what comes later is ignored.

    `headers` holds only those that the gateway looks at, in lower case. `model` and `version` are what was asked, once
    it is known, and `books` is where the answer is accounted for from then on. `link` is the connection it went to,
    `lost` the one that broke under it. `until` is how long it may wait for a replica, on the loop's clock.
    `twins` are told what was answered, where shadows are asked too.
    """

    # Most requests change few of these: what is not set costs nothing.
    answered: bool = False
    books: Books | None = None
    caller: Caller | None = None
    content: int = 0
    deadline: float = 0.0
    dialect: Dialect = Dialect.OURS
    link: object | None = None
    lost: object | None = None
    model: AskedModel | None = None
    trace: bytes | None = None
    twins: tuple[Twin, ...] = ()
    until: float = 0.0
    version: Answering | None = None

    def __init__(
        self,
        client: Client,
        target: bytes,
        headers: Mapping[bytes, bytes],
        body: bytes,
        *,
        request_id: bytes,
        keep_alive: bool,
    ) -> None:
        self.client = client
        self.target = target
        self.headers = headers
        self.body = body
        self.request_id = request_id
        self.keep_alive = keep_alive
        self.began = perf_counter()
        self.bytes_in = len(body)

    def answer(self, status: int, content: int, rows: int, body: bytes) -> None:
        """What a version answered. An error of its gets this request's id."""
        for twin in self.twins:
            twin.given(status, content, body)
        headers = b""
        if status >= 400:
            if body.endswith(_UNNAMED):
                body = b'%b%b"}' % (body[: -len(_UNNAMED)] + _UNNAMED[:-2], self.request_id)
            if self.dialect:
                body = translated(self.dialect, status, body)
        elif content == Content.V2_BINARY:
            headers, body = split_binary(body)
        self._answer(status, content, rows, headers, body)

    def refuse(self, error: ModelyardError) -> None:
        """The answer to what is wrong."""
        for twin in self.twins:
            twin.given(error.status, Content.JSON, b"")
        if self.model is None:
            self.dialect = dialect_of(self.target)
        self._answer(error.status, Content.JSON, 0, *self._worded(error))

    def take_back(self, error: ModelyardError) -> None:
        """`error` in place of an answer that was settled and not yet given."""
        headers, body = self._worded(error)
        self.client.answer(self, error.status, Content.JSON, self._lines(headers), body)

    def _worded(self, error: ModelyardError) -> tuple[bytes, bytes]:
        """An error's header lines and body, in the words of the protocol that was asked in."""
        body = error_body(error, self.request_id.decode())
        if self.dialect:
            body = translated(self.dialect, error.status, body)
        return b"".join(b"%b: %b\r\n" % header for header in error_headers(error)), body

    def _answer(self, status: int, content: int, rows: int, headers: bytes, body: bytes) -> None:
        if self.answered:
            return
        self.answered = True
        lines = self._lines(headers)
        if self.books is None:
            self.client.answer(self, status, content, lines, body)
        else:
            self.books.settle(self, status, content, rows, lines, body)

    def _lines(self, headers: bytes) -> bytes:
        head = self.version.head if self.version is not None else b""
        return b"%b%b%b: %b\r\n" % (head, headers, REQUEST_ID, self.request_id)


class Twin(Protocol):
    """Whoever compares a shadow's answer to the one that was given; see `shadows.py`."""

    def given(self, status: int, content: int, body: bytes) -> None:
        """What the client is answered."""
        ...
