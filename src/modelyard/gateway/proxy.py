"""Everything that is no prediction goes to the api: streamed both ways, nothing kept, nobody's leaving kept secret."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from modelyard.core.errors import Unavailable
from modelyard.credentials.internal import HEADER
from modelyard.gateway import tracing
from modelyard.gateway.protocol import LIVE
from modelyard.gateway.upstream import Conversation, Headers, Lost, Upstream

PATIENCE_SECONDS = 2.0

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_OURS = frozenset(
    {
        HEADER.encode(),
        b"expect",
        b"forwarded",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
        b"x-request-id",
    }
)
_TRACE = frozenset({b"traceparent", b"tracestate"})
_SERVER_SAYS = frozenset({b"date", b"server"})


class Gone(Exception):
    """The client left."""


class Proxy:
    """Forwards requests to the api."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def forward(self, scope: Scope, receive: Receive, send: Send, *, request_id: bytes) -> None:
        """Pass the request on and its answer back. Raises Unavailable where the api is away before it answers."""
        method, headers = scope["method"].encode(), request_headers(scope, request_id)
        again = method in {b"GET", b"HEAD"} and not _has_body(headers)
        while True:
            conversation = await self._upstream.connect(patience=PATIENCE_SECONDS)
            try:
                await self._converse(conversation, scope, receive, send, headers)
                return
            except Gone:
                return
            except _Unanswered:
                if not again:
                    raise Unavailable(
                        "The control plane went away before it answered. Look whether it was done, then try again.",
                        retry_after=2,
                    ) from None
                again = False
            finally:
                conversation.close()

    async def _converse(
        self, conversation: Conversation, scope: Scope, receive: Receive, send: Send, headers: Headers
    ) -> None:
        feeding = asyncio.create_task(_feed(conversation, scope, receive, headers))
        answering = asyncio.create_task(_answer(conversation, scope, send))
        try:
            await asyncio.wait({feeding, answering}, return_when=asyncio.FIRST_COMPLETED)
            # Where the api took no more of the body (Lost), its answer is on the way.
            if not answering.done() and feeding.exception() is None:
                raise Gone
            await answering
        finally:
            for task in (feeding, answering):
                task.cancel()
            await asyncio.gather(feeding, answering, return_exceptions=True)


class _Unanswered(Exception):
    """The api went away before the first byte of an answer was passed on."""


async def _feed(conversation: Conversation, scope: Scope, receive: Receive, headers: Headers) -> None:
    """Send the request; returns when the client has left. Raises Lost."""
    chunked = (b"transfer-encoding", b"chunked") in headers
    target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
    await conversation.send_head(scope["method"].encode(), target, headers)
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            return
        body = event.get("body", b"")
        if body:
            await conversation.send(b"%x\r\n%b\r\n" % (len(body), body) if chunked else body)
        if chunked and not event.get("more_body", False):
            await conversation.send(b"0\r\n\r\n")
            chunked = False


async def _answer(conversation: Conversation, scope: Scope, send: Send) -> None:
    """Pass the answer back. Raises _Unanswered where there is none, Lost where it breaks off."""
    try:
        status = await conversation.head()
    except Lost as lost:
        raise _Unanswered from lost
    headers = answer_headers(conversation.headers)
    scope["state"][LIVE] = (b"content-type", b"text/event-stream") in [(n, v.split(b";")[0]) for n, v in headers]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    async for part in conversation.parts():
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def request_headers(scope: Scope, request_id: bytes) -> Headers:
    """What the api is sent: the client's headers less those of this hop, and who the client is."""
    sent: Headers = scope["headers"]
    dropped = _HOP_BY_HOP | _OURS | _named_by_connection(sent)
    headers = _with_own_parent([(name, value) for name, value in sent if name not in dropped])
    if any(name == b"transfer-encoding" for name, _ in sent):
        headers = [(name, value) for name, value in headers if name != b"content-length"]
        headers.append((b"transfer-encoding", b"chunked"))
    host = next((value for name, value in sent if name == b"host"), b"")
    client = scope["client"][0].encode() if scope.get("client") else b"unknown"
    return [
        *headers,
        (b"x-request-id", request_id),
        (b"x-forwarded-for", client),
        (b"x-forwarded-proto", scope["scheme"].encode()),
        (b"x-forwarded-host", host),
    ]


def answer_headers(headers: Headers) -> Headers:
    """What the client is sent: the api's headers less those of this hop and those that the gateway says itself."""
    dropped = _HOP_BY_HOP | _SERVER_SAYS | _named_by_connection(headers)
    return [(name, value) for name, value in headers if name not in dropped]


def _with_own_parent(headers: Headers) -> Headers:
    """The headers with this hop as the parent in the trace, or with no trace where `traceparent` is not valid."""
    parents = [value for name, value in headers if name == b"traceparent"]
    trace = tracing.parse(parents[0]) if len(parents) == 1 else None
    if trace is None:
        return [(name, value) for name, value in headers if name not in _TRACE]
    parent = tracing.header(tracing.child(trace))
    return [(name, parent if name == b"traceparent" else value) for name, value in headers]


def _named_by_connection(headers: Headers) -> frozenset[bytes]:
    named = (part.strip().lower() for name, value in headers if name == b"connection" for part in value.split(b","))
    # What frames the body is nobody's to drop.
    return frozenset(named) - {b"content-length", b"host", b"authorization", b"x-api-key"}


def _has_body(headers: Headers) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip() != b"0") for name, value in headers
    )
