"""What happens to every request before a route sees it: its id, the limit on its body, strict JSON.

Plain ASGI rather than Starlette's base class, so that streams pass through untouched.
"""

import re
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modelyard.core import ids
from modelyard.core.errors import Malformed, TooLarge
from modelyard.web.errors import render

SANE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,100}")


class RequestId:
    """Gives each request an id, or keeps the one that came with it, and names it in the answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = dict(scope["headers"]).get(b"x-request-id", b"")
        request_id = sent.decode() if SANE_ID.fullmatch(sent) else ids.new("req")
        scope.setdefault("state", {})["request_id"] = request_id

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
            await send(message)

        await self._app(scope, receive, named)


class BodyLimit:
    """Refuses bodies over `limit` bytes with 413, declared or not, but for `free` paths, whose bodies stream."""

    def __init__(self, app: ASGIApp, *, limit: int, free: re.Pattern[str]) -> None:
        self._app, self._limit, self._free = app, limit, free

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._free.search(scope["path"]):
            await self._app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self._limit:
            answer = render(self._error(), scope.get("state", {}).get("request_id", ""))
            await answer(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._limit:
                raise self._error()
            return message

        await self._app(scope, counted, send)

    def _error(self) -> TooLarge:
        return TooLarge(f"The body is larger than {self._limit:,} bytes. Send less, or upload it as a dataset.")


class StrictRequest(Request):
    """JSON as RFC 8259 has it: no NaN, no Infinity, no endless nesting."""

    async def json(self) -> Any:
        body = await self.body()
        try:
            return msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Malformed(f"The body is not valid JSON: {error}.") from None
        except RecursionError:
            raise Malformed("The body is nested too deeply.") from None


class StrictRoute(APIRoute):
    """A route whose JSON body is read strictly. Every router of the platform uses it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handler(StrictRequest(request.scope, request.receive))

        return strict
