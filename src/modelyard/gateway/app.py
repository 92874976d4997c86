"""The ASGI side of the public port: the gateway's own health and figures, what models are like, the way to the api."""

import asyncio
import logging
from collections.abc import Callable, Mapping

import msgspec

from modelyard.core.errors import Broken, ModelyardError, NotFound
from modelyard.gateway import descriptions
from modelyard.gateway.answers import REQUEST_ID, error_body, error_headers
from modelyard.gateway.dialects import Dialect, translated
from modelyard.gateway.metrics import Metrics
from modelyard.gateway.metrics.exposition import OPEN_METRICS, TEXT, wants_open_metrics
from modelyard.gateway.predictions import Predictions
from modelyard.gateway.protocol import RequestIds
from modelyard.gateway.proxy import Proxy, Receive, Scope, Send
from modelyard.gateway.upstream import Lost

log = logging.getLogger("modelyard.gateway")

HEALTH = "/healthz"
METRICS = "/metrics"
INTERNAL = "internal"


class App:
    """One process's ASGI application. `health` says what `/healthz` answers."""

    def __init__(
        self,
        proxy: Proxy,
        request_ids: RequestIds,
        *,
        predictions: Predictions,
        metrics: Metrics,
        health: Callable[[], dict[str, object]],
    ) -> None:
        self._proxy = proxy
        self._request_ids = request_ids
        self._predictions = predictions
        self._metrics = metrics
        self._health = health

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        request_id = self._request_ids.of(headers.get(REQUEST_ID))
        question = descriptions.read(scope["method"], scope["path"])
        dialect = Dialect.OURS if question is None else question.dialect
        started = False

        async def noted(event: dict[str, object]) -> None:
            nonlocal started
            started = True
            await send(event)

        try:
            if question is not None:
                await self._describe(question, headers, noted, request_id)  # type: ignore[arg-type]
            else:
                await self._serve(scope, receive, noted, request_id)  # type: ignore[arg-type]
        except ModelyardError as error:
            await _refuse(send, error, request_id, dialect)
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
        elif path == METRICS and scope["method"] in {"GET", "HEAD"}:
            await self._expose(dict(scope["headers"]), send, request_id)
        elif _first_part(path) == INTERNAL:
            raise NotFound(f"There is nothing at {path[:200]}.")
        else:
            await self._proxy.forward(scope, receive, send, request_id=request_id)

    async def _describe(
        self, question: descriptions.Question, headers: Mapping[bytes, bytes], send: Send, request_id: bytes
    ) -> None:
        caller = None if question.public else self._predictions.caller(descriptions.credentials_of(headers))
        status, body = descriptions.answer(question, self._predictions.routes, caller)
        data, kind = descriptions.encoded(body)
        await _send(send, status, data, [(REQUEST_ID, request_id)], kind=kind)

    async def _expose(self, headers: Mapping[bytes, bytes], send: Send, request_id: bytes) -> None:
        caller = self._predictions.caller(descriptions.credentials_of(headers))
        open_metrics = wants_open_metrics(headers.get(b"accept", b"").decode("latin-1"))
        # In a thread: the page of many models takes its time.
        text = await asyncio.to_thread(self._metrics.text, caller.prefixes, open_metrics)
        kind = OPEN_METRICS if open_metrics else TEXT
        await _send(send, 200, text, [(REQUEST_ID, request_id)], kind=kind.encode())


def _first_part(path: str) -> str:
    """The first part of the path as a careless reader might take it."""
    parts = [part for part in path.replace("\\", "/").split("/") if part not in {"", ".", ".."}]
    return parts[0].strip().casefold() if parts else ""


async def _refuse(send: Send, error: ModelyardError, request_id: bytes, dialect: Dialect = Dialect.OURS) -> None:
    body = translated(dialect, error.status, error_body(error, request_id.decode()))
    await _send(send, error.status, body, [*error_headers(error), (REQUEST_ID, request_id)])


async def _send(
    send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]], *, kind: bytes = b"application/json"
) -> None:
    length = b"%d" % len(body)
    headers = [(b"content-type", kind), (b"content-length", length), *headers]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
