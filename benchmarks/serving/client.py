"""A load generator that reads every answer and checks it: one process, little work for each request."""

import asyncio
import math
import re
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import uvloop

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


class _Prediction(msgspec.Struct):
    probabilities: dict[str, float]


class _Answer(msgspec.Struct):
    predictions: list[_Prediction]


_decode = msgspec.json.Decoder(_Answer).decode


@dataclass
class Question:
    """A request's bytes and the probabilities of Yes that are right."""

    data: bytes
    expected: Sequence[float]


@dataclass
class Result:
    """What a run found. `refused` are answers other than 200, `wrong` those with a wrong number or row."""

    seconds: float
    latencies: list[float] = field(default_factory=list)
    refused: int = 0
    wrong: int = 0

    @property
    def rate(self) -> float:
        """Right answers a second."""
        return len(self.latencies) / self.seconds

    @property
    def median(self) -> float:
        """The median latency in milliseconds."""
        return statistics.median(self.latencies or [math.nan]) * 1000


class _Connection(asyncio.Protocol):
    """Asks one question after the other."""

    def __init__(self, questions: Sequence[Question], at: int, result: Result, loop: asyncio.AbstractEventLoop) -> None:
        self._questions = questions
        self._at = at
        self._result = result
        self._loop = loop
        self._buffer = b""
        self._since = 0.0
        self.stopped = loop.create_future()
        self.stopping = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if not self.stopped.done():
            self.stopped.set_result(None)

    def data_received(self, data: bytes) -> None:
        data = self._buffer = self._buffer + data if self._buffer else data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return
        found = _LENGTH.search(data, 0, end)
        if found is None or len(data) < end + 4 + int(found[1]):
            return
        self._judge(data[9:12], data[end + 4 :])
        self._buffer = b""
        if self.stopping:
            self._transport.close()
        else:
            self._ask()

    def _ask(self) -> None:
        self._at = (self._at + 1) % len(self._questions)
        self._since = time.perf_counter()
        self._transport.write(self._questions[self._at].data)  # type: ignore[attr-defined]

    def _judge(self, status: bytes, body: bytes) -> None:
        if status != b"200":
            self._result.refused += 1
            return
        expected, got = self._questions[self._at].expected, _decode(body).predictions
        right = len(got) == len(expected) and all(
            math.isclose(answer.probabilities["Yes"], value, rel_tol=1e-4, abs_tol=1e-5)
            for answer, value in zip(got, expected, strict=False)
        )
        if right:
            self._result.latencies.append(time.perf_counter() - self._since)
        else:
            self._result.wrong += 1


async def _run(port: int, questions: Sequence[Question], connections: int, seconds: float) -> Result:
    loop = asyncio.get_running_loop()
    result = Result(seconds)
    made = []
    for number in range(connections):
        _, connection = await loop.create_connection(
            lambda number=number: _Connection(questions, number * 7, result, loop), "127.0.0.1", port
        )
        made.append(connection)
    await asyncio.sleep(0.2)
    result.latencies.clear()
    begun = loop.time()
    await asyncio.sleep(seconds)
    result.seconds = loop.time() - begun
    finished = Result(result.seconds, list(result.latencies), result.refused, result.wrong)
    for connection in made:
        connection.stopping = True
    await asyncio.wait([connection.stopped for connection in made], timeout=5)
    return finished


def load(port: int, questions: Sequence[Question], *, connections: int, seconds: float) -> Result:
    """Ask `questions` in turn over so many connections for `seconds`."""
    return uvloop.run(_run(port, questions, connections, seconds))
