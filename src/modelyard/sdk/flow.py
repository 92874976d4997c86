"""Logic that is written once for both clients.

An operation of the client is a *flow*: a generator that yields what it wants done (`Request`, `Pause`, …), is sent the
outcome, and returns its result. The synchronous client drives it by blocking, the asynchronous one by awaiting; see
`connection.py`. `operation` and `items` make methods of flows, typed for either client: on `Resource[Sync]` a plain
function, on `Resource[Async]` a coroutine function.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, overload

if TYPE_CHECKING:
    from modelyard.sdk.bodies import Body


class Sync:
    """Marks what belongs to `Client`."""


class Async:
    """Marks what belongs to `AsyncClient`."""


Mode = TypeVar("Mode", Sync, Async)
P = ParamSpec("P")
Result_co = TypeVar("Result_co", covariant=True)
Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class Request:
    """One HTTP request. As a step of a flow it is sent once, and its outcome is the whole `Answer`.

    `path` follows the platform's URL and is quoted already. `repeatable` says that sending it twice does no harm.
    `patience` is how many seconds may pass without a byte, None for the client's own time-out.
    """

    method: str
    path: str
    params: Mapping[str, str | int] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | Body | None = None
    repeatable: bool = True
    patience: float | None = None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back: `headers` have lower-case names, `content` is empty while an `Opened` body is unread."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    url: str


@dataclass(frozen=True)
class Pause:
    """Step: wait so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Open:
    """Step: send a request and come back with its head as an `Opened`, the body still to be read."""

    request: Request


@dataclass(frozen=True)
class Opened:
    """An answer whose body is read piece by piece; `raw` is the connection's own handle."""

    answer: Answer
    raw: Any


@dataclass(frozen=True)
class Read:
    """Step: the next piece of an opened body, empty at its end."""

    opened: Opened


@dataclass(frozen=True)
class Close:
    """Step: done with an opened body. What is left open is closed when the flow ends."""

    opened: Opened


@dataclass(frozen=True)
class Emit(Generic[Item]):
    """Step of an `Items` flow: hand one item to the caller."""

    item: Item


Step = Request | Pause | Open | Read | Close
Flow = Generator[Step, Any, Result_co]
Items = Generator[Step | Emit[Item], Any, None]


class Connection(ABC, Generic[Mode]):
    """What drives flows: see `connection.py`. `tries` is how often a repeatable request is sent at the most."""

    url: str
    tries: int

    @abstractmethod
    def authenticate(self, *, api_key: str | None = None, token: str | None = None) -> None:
        """Send this credential from now on, in place of the one before."""

    @abstractmethod
    def run(self, flow: Flow[Any]) -> Any:
        """The flow's result, or a coroutine that has it."""

    @abstractmethod
    def iterate(self, flow: Items[Any]) -> Any:
        """An iterator, or an asynchronous one, over what the flow emits."""


class Resource(Generic[Mode]):
    """Something with operations: it needs nothing but the connection."""

    def __init__(self, connection: Connection[Mode]) -> None:
        self._connection: Connection[Mode] = connection


class Call(Generic[P, Result_co]):
    """An operation of the synchronous client. Inside another flow: `yield from x.operation.flow(…)`."""

    flow: Callable[P, Flow[Result_co]]

    def __init__(self, flow: Callable[P, Flow[Result_co]], connection: Connection[Any]) -> None:
        self.flow, self._connection = flow, connection
        functools.update_wrapper(self, flow)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Result_co:
        result: Result_co = self._connection.run(self.flow(*args, **kwargs))
        return result


class AsyncCall(Call[P, Result_co]):
    """The same of the asynchronous client."""

    if TYPE_CHECKING:

        def __call__(  # type: ignore[override]
            self, *args: P.args, **kwargs: P.kwargs
        ) -> Coroutine[Any, Any, Result_co]: ...


class Operation(Generic[P, Result_co]):
    """What `operation` makes: a method of both clients."""

    def __init__(self, flow: Callable[Concatenate[Any, P], Flow[Result_co]]) -> None:
        self._flow = flow
        self.__doc__ = flow.__doc__

    @overload
    def __get__(self, instance: None, owner: object) -> Operation[P, Result_co]: ...
    @overload
    def __get__(self, instance: Resource[Sync], owner: object) -> Call[P, Result_co]: ...
    @overload
    def __get__(self, instance: Resource[Async], owner: object) -> AsyncCall[P, Result_co]: ...
    def __get__(self, instance: Resource[Any] | None, owner: object) -> Any:
        if instance is None:
            return self
        return Call(self._flow.__get__(instance), instance._connection)  # noqa: SLF001 - a part of Resource


def operation(flow: Callable[Concatenate[Any, P], Flow[Result_co]]) -> Operation[P, Result_co]:
    """Make a method of a flow: `client.x.do(…)` gives its result, `await client.x.do(…)` with the other client."""
    return Operation(flow)


class Iterate(Generic[P, Item]):
    """What hands out items one by one, of the synchronous client."""

    flow: Callable[P, Items[Item]]

    def __init__(self, flow: Callable[P, Items[Item]], connection: Connection[Any]) -> None:
        self.flow, self._connection = flow, connection
        functools.update_wrapper(self, flow)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Iterator[Item]:
        found: Iterator[Item] = self._connection.iterate(self.flow(*args, **kwargs))
        return found


class AsyncIterate(Iterate[P, Item]):
    """The same of the asynchronous client."""

    if TYPE_CHECKING:

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[Item]: ...  # type: ignore[override]


class ItemsOperation(Generic[P, Item]):
    """What `items` makes: a method of both clients that hands out items one by one."""

    def __init__(self, flow: Callable[Concatenate[Any, P], Items[Item]]) -> None:
        self._flow = flow
        self.__doc__ = flow.__doc__

    @overload
    def __get__(self, instance: None, owner: object) -> ItemsOperation[P, Item]: ...
    @overload
    def __get__(self, instance: Resource[Sync], owner: object) -> Iterate[P, Item]: ...
    @overload
    def __get__(self, instance: Resource[Async], owner: object) -> AsyncIterate[P, Item]: ...
    def __get__(self, instance: Resource[Any] | None, owner: object) -> Any:
        if instance is None:
            return self
        return Iterate(self._flow.__get__(instance), instance._connection)  # noqa: SLF001 - a part of Resource


def items(flow: Callable[Concatenate[Any, P], Items[Item]]) -> ItemsOperation[P, Item]:
    """Make a method of a flow that emits items: `for … in client.x.each(…)`, or `async for`."""
    return ItemsOperation(flow)
