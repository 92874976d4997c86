"""One prediction on its way through the gateway: from the last byte read to the answer handed to the socket."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from modelyard.core.errors import ModelyardError
from modelyard.gateway.answers import REQUEST_ID, error_body, error_headers
from modelyard.protocol.frames import Content
from modelyard.protocol.routing import Caller

_UNNAMED = b'"request_id":""}'


class Client(Protocol):
    """Whoever the answer goes to."""

    def answer(self, exchange: "Exchange", status: int, content: int, headers: bytes, body: bytes) -> None:
        """Write the answer; `headers` are whole lines, besides those that every answer bears."""
        ...


class Exchange:
    """A request for a prediction. Answered exactly once, by `answer` or `refuse`; what comes later is ignored.

    `headers` holds only those that the gateway looks at, in lower case. `head` are the answer's lines that name the
    version, once one is chosen. `link` is the connection it went to, `lost` the one that broke under it.
    """

    __slots__ = (
        "answered", "body", "caller", "client", "content", "deadline", "head", "headers", "keep_alive", "link", "lost",
        "request_id", "target",
    )  # fmt: skip

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
        self.content = 0
        self.deadline = 0.0
        self.caller: Caller | None = None
        self.head = b""
        self.link: object | None = None
        self.lost: object | None = None
        self.answered = False

    def answer(self, status: int, content: int, body: bytes) -> None:
        """What a replica answered. An error of the replica's gets this request's id."""
        if status >= 400 and body.endswith(_UNNAMED):
            body = b'%b%b"}' % (body[: -len(_UNNAMED)] + _UNNAMED[:-2], self.request_id)
        self._answer(status, content, (), body)

    def refuse(self, error: ModelyardError) -> None:
        """The answer to what is wrong."""
        self._answer(error.status, Content.JSON, error_headers(error), error_body(error, self.request_id.decode()))

    def _answer(self, status: int, content: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
        if self.answered:
            return
        self.answered = True
        more = b"".join(b"%b: %b\r\n" % header for header in headers) if headers else b""
        self.client.answer(
            self, status, content, b"%b%b%b: %b\r\n" % (self.head, more, REQUEST_ID, self.request_id), body
        )
