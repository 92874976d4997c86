"""The load generator where there is no C compiler: the words and the reports of load.c, at a fifth of its pace.

python client.py PORT CONNECTIONS SECONDS WARM_UP EVERY FILE
"""

import asyncio
import json
import re
import signal
import struct
import sys
import time
from collections import Counter
from pathlib import Path
from typing import BinaryIO

import uvloop

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.load.questions import Question, same

ANSWER_SECONDS = 60.0
DRAIN_SECONDS = 10.0
RETRY_SECONDS = 0.02
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)


class Run:
    """Counts, clock and questions of one run."""

    def __init__(self, questions: list[Question], port: int, warm_up: float) -> None:
        self.questions, self.port = questions, port
        self.begun = time.perf_counter()
        self.measured_from = self.begun + warm_up
        self.stopping = False
        self.ended = 0.0
        self.counts: Counter[str] = Counter()
        self.others: Counter[str] = Counter()
        self.by_answer = [0, 0, 0, 0]
        self.latencies: list[float] = []

    def judge(self, place: int, since: float, status: int, may_retry: bool, body: bytes) -> None:
        """Count one answer."""
        if status != 200:
            if status == 503 and may_retry:
                self.counts["busy"] += 1
            else:
                self.others[str(status)] += 1
            return
        self.counts["acknowledged"] += 1
        for number, right in enumerate(self.questions[place].answers):
            if same(body, right):
                self.by_answer[number] += 1
                now = time.perf_counter()
                if not self.stopping and now >= self.measured_from:
                    self.latencies.append(now - since)
                return
        self.counts["wrong"] += 1

    def report(self) -> None:
        """One line of JSON."""
        ordered, now = sorted(self.latencies), time.perf_counter()
        line = {
            "at": time.time(),
            "elapsed": now - self.begun,
            "seconds": max(0.0, (self.ended or now) - self.measured_from),
            "measured": len(ordered),
            "p50": ordered[len(ordered) // 2] * 1e3 if ordered else 0.0,
            "p99": ordered[len(ordered) * 99 // 100] * 1e3 if ordered else 0.0,
            **{
                name: self.counts[name]
                for name in ("acknowledged", "wrong", "busy", "lost", "unconnected", "unreadable")
            },
            "by_answer": self.by_answer,
            "others": self.others,
        }
        print(json.dumps(line), flush=True)


class Connection(asyncio.Protocol):
    """Asks one question after the other."""

    def __init__(self, run: Run, at: int) -> None:
        self._run = run
        self.at = at
        self._buffer = b""
        self._since = 0.0
        self._asked = False
        self.over = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._run.counts["lost"] += self._asked
        self.over.set_result(None)

    def data_received(self, data: bytes) -> None:
        data = self._buffer = self._buffer + data if self._buffer else data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return
        found = _LENGTH.search(data, 0, end)
        if found is None:
            self._run.counts["unreadable"] += 1
            self._asked = False
            self._transport.close()
        elif len(data) >= end + 4 + int(found[1]):
            may_retry = b"\r\nretry-after:" in data[:end].lower()
            self._run.judge(self.at, self._since, int(data[9:12]), may_retry, data[end + 4 :])
            self._buffer, self._asked = b"", False
            self._ask()

    def _ask(self) -> None:
        if self._run.stopping:
            self._transport.close()
            return
        self.at = (self.at + 1) % len(self._run.questions)
        self._since, self._asked = time.perf_counter(), True
        self._transport.write(self._run.questions[self.at].data)  # type: ignore[attr-defined]


async def keep_asking(run: Run, at: int) -> None:
    """One connection, made again whenever it breaks."""
    while not run.stopping:
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda at=at: Connection(run, at), "127.0.0.1", run.port
            )
        except OSError:
            run.counts["unconnected"] += 1
        else:
            await connection.over
            at = connection.at
        await asyncio.sleep(0 if run.stopping else RETRY_SECONDS)


async def main(port: int, connections: int, seconds: float, warm_up: float, every: float, file: Path) -> None:
    """Run the load and print its reports."""
    with file.open("rb") as opened:
        run = Run(_questions(opened), port, warm_up)
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    asking = [asyncio.create_task(keep_asking(run, number * 7)) for number in range(connections)]
    deadline = run.measured_from + seconds
    while not ended.is_set() and (left := deadline - time.perf_counter()) > 0:
        await asyncio.wait([asyncio.create_task(ended.wait())], timeout=min(left, every or left))
        if every:
            run.report()
    run.stopping, run.ended = True, time.perf_counter()
    _, late = await asyncio.wait(asking, timeout=DRAIN_SECONDS)
    run.counts["lost"] += len(late)
    run.report()


def _questions(file: BinaryIO) -> list[Question]:
    def number() -> int:
        return int(struct.unpack("=I", file.read(4))[0])

    return [Question(file.read(number()), tuple(file.read(number()) for _ in range(number()))) for _ in range(number())]


if __name__ == "__main__":
    port, connections, seconds, warm_up, every, file = sys.argv[1:]
    uvloop.run(main(int(port), int(connections), float(seconds), float(warm_up), float(every), Path(file)))
