"""The ASGI side of the public port: the gateway's own health, and the way to the api."""

import logging
from collections.abc import Callable

import msgspec

from modelyard.core.errors import Broken, ModelyardError, NotFound
from modelyard.gateway.answers import REQUEST_ID, error_body, error_headers
from modelyard.gateway.protocol import RequestIds
from modelyard.gateway.proxy import Proxy, Receive, Scope, Send
from modelyard.gateway.upstream import Lost

log = logging.getLogger("modelyard.gateway")

HEALTH = "/healthz"
INTERNAL = "internal"


class App:
    """One process's ASGI application. `health` says what `/healthz` answers."""

    def __init__(self, proxy: Proxy, request_ids: RequestIds, health: Callable[[], dict[str, object]]) -> None:
        self._proxy = proxy
        self._request_ids = request_ids
        self._health = health

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = self._request_ids.of(dict(scope["headers"]).get(REQUEST_ID))
        started = False

        async def noted(event: dict[str, object]) -> None:
            nonlocal started
            started = True
            await send(event)

        try:
            await self._serve(scope, receive, noted, request_id)  # type: ignore[arg-type]
        except ModelyardError as error:
            await _refuse(send, error, request_id)
        except Lost:
            # Returning without the end of the body closes the connection: the client sees that it is cut off.
            log.warning("The api went away in the middle of an answer to %s", scope["path"])
        except Exception:
            log.exception("%s %s failed in the gateway", scope["method"], scope["path"])
            if started:
                raise
            message = f"Something broke on our side. The log holds the details under request id {request_id.decode()}."
            await _refuse(send, Broken(message), request_id)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, request_id: bytes) -> None:
        path: str = scope["path"]
        if path == HEALTH and scope["method"] in {"GET", "HEAD"}:
            await _send(send, 200, msgspec.json.encode(self._health()), [(REQUEST_ID, request_id)])
        elif _first_part(path) == INTERNAL:
            raise NotFound(f"There is nothing at {path[:200]}.")
        else:
            await self._proxy.forward(scope, receive, send, request_id=request_id)


def _first_part(path: str) -> str:
    """The first part of the path as a careless reader might take it."""
    parts = [part for part in path.replace("\\", "/").split("/") if part not in {"", ".", ".."}]
    return parts[0].strip().casefold() if parts else ""


async def _refuse(send: Send, error: ModelyardError, request_id: bytes) -> None:
    body = error_body(error, request_id.decode())
    await _send(send, error.status, body, [*error_headers(error), (REQUEST_ID, request_id)])


async def _send(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    length = b"%d" % len(body)
    headers = [(b"content-type", b"application/json"), (b"content-length", length), *headers]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
