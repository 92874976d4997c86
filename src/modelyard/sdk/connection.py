"""The two drivers of flows, over httpx: one blocks, the other awaits. All else of the client is written once, above."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from modelyard import __version__
from modelyard.core.errors import Invalid, ModelyardError, TimedOut
from modelyard.sdk.bodies import Body
from modelyard.sdk.errors import ConnectionLost, Unreachable
from modelyard.sdk.flow import (
    Answer,
    Async,
    Close,
    Connection,
    Emit,
    Flow,
    Items,
    Open,
    Opened,
    Pause,
    Read,
    Request,
    Step,
    Sync,
)

CONNECT_SECONDS = 10.0


class _Http:
    """What both drivers know: where the platform is, who is asking, how long to wait."""

    def __init__(
        self, url: str, *, api_key: str | None = None, token: str | None = None, timeout: float = 60.0, tries: int = 5
    ) -> None:
        self.url, self.tries, self._timeout = _checked(url), max(1, tries), timeout
        self._headers = {"user-agent": f"modelyard/{__version__}", "accept": "application/json"}
        self.authenticate(api_key=api_key, token=token)

    def authenticate(self, *, api_key: str | None = None, token: str | None = None) -> None:
        """Send this credential from now on, in place of the one before."""
        self._headers.pop("x-api-key", None)
        self._headers.pop("authorization", None)
        if token:
            self._headers["authorization"] = f"Bearer {token.strip()}"
        elif api_key:
            self._headers["x-api-key"] = api_key.strip()

    def _arguments(self, request: Request, content: Any) -> dict[str, Any]:
        """What httpx's `build_request` takes; `content` is the body as this driver sends it."""
        headers = {**self._headers, **request.headers}
        if isinstance(request.content, Body) and request.content.size is not None:
            headers["content-length"] = str(request.content.size)
        patience = self._timeout if request.patience is None else request.patience
        return {
            "method": request.method,
            "url": self.url + request.path,
            "params": dict(request.params) or None,
            "headers": headers,
            "content": content,
            "timeout": httpx.Timeout(patience, connect=min(CONNECT_SECONDS, patience)),
        }

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """httpx's exceptions as errors of the tree, each with what to look at."""
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise Unreachable(
                f"Nothing answers at {self.url} ({error or 'no connection in time'}). Check that the platform runs "
                "there (`modelyard up`) and that the URL is right (--url, MODELYARD_URL or `modelyard login URL`)."
            ) from None
        except httpx.TimeoutException:
            raise TimedOut(
                f"{self.url} did not answer in time. Try again, or give the client a longer `timeout`."
            ) from None
        except httpx.LocalProtocolError as error:
            raise Invalid(f"The request cannot be sent: {error}.") from None
        except httpx.TransportError as error:
            raise ConnectionLost(
                f"The connection to {self.url} broke ({type(error).__name__}). Look whether the platform still runs, "
                "then try again."
            ) from None


class _Driven:
    """A flow under way: what it is to be told next, and which bodies it has open."""

    def __init__(self, flow: Items[Any] | Flow[Any]) -> None:
        self.flow: Items[Any] | Flow[Any] = flow
        self.outcome: Any = None
        self.error: ModelyardError | None = None
        self.opened: list[httpx.Response] = []

    def step(self) -> Step | Emit[Any]:
        """What the flow wants next. Raises StopIteration, with the result, where it has ended."""
        outcome, error, self.outcome, self.error = self.outcome, self.error, None, None
        return self.flow.send(outcome) if error is None else self.flow.throw(error)


class SyncConnection(_Http, Connection[Sync]):
    """Drives flows by blocking. Safe to share between threads."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self._client = httpx.Client(verify=_verifies(self.url))

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._client.close()

    def run(self, flow: Flow[Any]) -> Any:
        driven = _Driven(flow)
        try:
            while True:
                self._do(driven.step(), driven)
        except StopIteration as end:
            return end.value
        finally:
            self._end(driven)

    def iterate(self, flow: Items[Any]) -> Iterator[Any]:
        driven = _Driven(flow)
        try:
            while True:
                step = driven.step()
                if isinstance(step, Emit):
                    yield step.item
                else:
                    self._do(step, driven)
        except StopIteration:
            return
        finally:
            self._end(driven)

    def _do(self, step: Step | Emit[Any], driven: _Driven) -> None:
        try:
            driven.outcome = self._outcome(step, driven)
        except ModelyardError as error:
            driven.error = error

    def _outcome(self, step: Step | Emit[Any], driven: _Driven) -> Any:
        if isinstance(step, Pause):
            return time.sleep(step.seconds)
        with self._translated():
            if isinstance(step, Request):
                return _answer(self._client.send(self._build(step)))
            if isinstance(step, Open):
                response = self._client.send(self._build(step.request), stream=True)
                driven.opened.append(response)
                return Opened(_head(response), (response, response.iter_bytes()))
            if isinstance(step, Read):
                return next(step.opened.raw[1], b"")
            assert isinstance(step, Close)
            return step.opened.raw[0].close()

    def _build(self, request: Request) -> httpx.Request:
        content = request.content.pieces() if isinstance(request.content, Body) else request.content
        return self._client.build_request(**self._arguments(request, content))

    def _end(self, driven: _Driven) -> None:
        driven.flow.close()
        for response in driven.opened:
            response.close()


class AsyncConnection(_Http, Connection[Async]):
    """Drives flows by awaiting. Belongs to one event loop."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self._client = httpx.AsyncClient(verify=_verifies(self.url))

    async def close(self) -> None:
        """Close the connections that are kept open."""
        await self._client.aclose()

    def run(self, flow: Flow[Any]) -> Coroutine[Any, Any, Any]:
        return self._run(flow)

    async def _run(self, flow: Flow[Any]) -> Any:
        driven = _Driven(flow)
        try:
            while True:
                await self._do(driven.step(), driven)
        except StopIteration as end:
            return end.value
        finally:
            await self._end(driven)

    async def iterate(self, flow: Items[Any]) -> AsyncIterator[Any]:
        driven = _Driven(flow)
        try:
            while True:
                step = driven.step()
                if isinstance(step, Emit):
                    yield step.item
                else:
                    await self._do(step, driven)
        except StopIteration:
            return
        finally:
            await self._end(driven)

    async def _do(self, step: Step | Emit[Any], driven: _Driven) -> None:
        try:
            driven.outcome = await self._outcome(step, driven)
        except ModelyardError as error:
            driven.error = error

    async def _outcome(self, step: Step | Emit[Any], driven: _Driven) -> Any:
        if isinstance(step, Pause):
            return await asyncio.sleep(step.seconds)
        with self._translated():
            if isinstance(step, Request):
                return _answer(await self._client.send(self._build(step)))
            if isinstance(step, Open):
                response = await self._client.send(self._build(step.request), stream=True)
                driven.opened.append(response)
                return Opened(_head(response), (response, response.aiter_bytes()))
            if isinstance(step, Read):
                return await anext(step.opened.raw[1], b"")
            assert isinstance(step, Close)
            return await step.opened.raw[0].aclose()

    def _build(self, request: Request) -> httpx.Request:
        content = _awaited(request.content) if isinstance(request.content, Body) else request.content
        return self._client.build_request(**self._arguments(request, content))

    async def _end(self, driven: _Driven) -> None:
        driven.flow.close()
        for response in driven.opened:
            await response.aclose()


def _checked(url: str) -> str:
    """The URL without a closing slash. Raises Invalid."""
    try:
        parsed = httpx.URL(url.strip())
    except httpx.InvalidURL as error:
        raise Invalid(f"{url!r} is no URL: {error}.") from None
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise Invalid(f"{url!r} is no URL of a platform. Write it as http://host:port or https://host.")
    return str(parsed).rstrip("/")


def _verifies(url: str) -> bool:
    """Whether certificates have to be loaded, which takes a while: redirects are not followed, so http stays http."""
    return url.startswith("https:")


def _head(response: httpx.Response) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(status=response.status_code, headers=headers, content=b"", url=str(response.request.url))


def _answer(response: httpx.Response) -> Answer:
    return dataclasses.replace(_head(response), content=response.content)


async def _awaited(body: Body) -> AsyncIterator[bytes]:
    for piece in body.pieces():
        yield piece
