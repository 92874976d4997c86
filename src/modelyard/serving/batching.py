"""Batches that never wait: what has arrived by the time the model is free goes through it together.

Models that are quick run in the event loop itself; slow ones in one thread, so that the loop goes on reading, and the
next batch grows meanwhile. The model has one caller at a time either way; one that takes several calls at once has a
lane of its own (`Lane`).
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from modelyard.core.errors import NotFound, TimedOut
from modelyard.serving.held import Answer, Held, Request, refusal

SLOW_SECONDS = 0.002
LARGE_BYTES = 256 * 1024
BATCH_BYTES = 4 * 1024 * 1024
PACE_STEP = 0.05
"""How fast a model's pace follows its calls: it settles where as many are above as below."""


class Call(NamedTuple):
    """One request on its way: `reply` takes its answer, `deadline` is on the loop's clock, 0 for none."""

    request: Request
    deadline: float
    reply: Callable[[Answer], None]


class Batcher:
    """All versions of one replica, asked by all connections.

    `paces`: seconds that a call of the model takes, by slot, to begin with. `parallel`: the slots of models that take
    several calls at once, and how many; their calls always run in threads and hold neither the loop nor other slots up.
    `after` is called when the answers of a batch were given.
    """

    def __init__(
        self,
        held: Mapping[int, Held],
        *,
        max_batch: int,
        paces: Mapping[int, float] | None = None,
        parallel: Mapping[int, int] | None = None,
        after: Callable[[], None] | None = None,
    ) -> None:
        self._held = held
        self._lanes = {slot: Lane(held[slot], count, max_batch) for slot, count in (parallel or {}).items()}
        self._max_batch = max_batch
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, deque[Call]] = {}
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._scheduled = False
        self._paces = dict(paces or {})
        self._after = after

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return not self._scheduled and all(lane.idle for lane in self._lanes.values())

    def submit(self, slot: int, call: Call) -> None:
        """Answer `call` from the version at `slot`, together with whatever else arrives in this turn of the loop."""
        if slot not in self._held:
            call.reply(refusal(NotFound(f"This replica holds no version at slot {slot}.")))
            return
        if slot in self._lanes:
            self._lanes[slot].submit(call)
            return
        queue = self._waiting.get(slot)
        if queue is None:
            queue = self._waiting[slot] = deque()
        queue.append(call)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def ask(self, slot: int, body: bytes, content: int, reply: Callable[[Answer], None]) -> None:
        """The same of a request that has no deadline."""
        self.submit(slot, Call(Request(body, content), 0.0, reply))

    def _turn(self) -> None:
        """Answer one batch; the next one has a turn of its own, so that answers leave and requests come in between."""
        slot = next(iter(self._waiting))
        calls = self._take(slot)
        requests = [call.request for call in calls]
        size = sum(len(request.body) for request in requests)
        if self._paces.get(slot, 0.0) < SLOW_SECONDS and size < LARGE_BYTES:
            self._finish(calls, self._answer(slot, requests))
        else:
            future = self._loop.run_in_executor(self._thread, self._answer, slot, requests)
            future.add_done_callback(lambda done: self._finish(calls, done.result()))

    def _take(self, slot: int) -> list[Call]:
        """The next batch of `slot`, which goes to the end of the line with what it has left."""
        queue = self._waiting.pop(slot)
        calls = _next_batch(queue, self._max_batch, self._loop.time())
        if queue:
            self._waiting[slot] = queue
        return calls

    def _answer(self, slot: int, requests: Sequence[Request]) -> list[Answer]:
        held = self._held[slot]
        answers = held.answer(requests)
        # Of the model alone: while bytes are read and written, a thread would hold the loop up as much. And the median
        # rather than the mean: a call that the machine interrupted says nothing of the model.
        pace = self._paces.get(slot) or held.seconds
        self._paces[slot] = pace * (1 + PACE_STEP) if held.seconds > pace else pace * (1 - PACE_STEP)
        return answers

    def _finish(self, calls: Sequence[Call], answers: Sequence[Answer]) -> None:
        for call, answer in zip(calls, answers, strict=True):
            call.reply(answer)
        if self._after is not None:
            self._after()
        if self._waiting:
            self._loop.call_soon(self._turn)
        else:
            self._scheduled = False


class Lane:
    """One model that takes `parallel` calls at once, each in a thread of its own, and the calls that wait for it."""

    def __init__(self, held: Held, parallel: int, max_batch: int) -> None:
        self._held = held
        self._max_batch = max_batch
        self._loop = asyncio.get_running_loop()
        self._threads = ThreadPoolExecutor(parallel, thread_name_prefix="model")
        self._waiting: deque[Call] = deque()
        self._parallel = self._free = parallel
        self._scheduled = False

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return not self._waiting and self._free == self._parallel

    def submit(self, call: Call) -> None:
        """Answer `call` as soon as a thread is free."""
        self._waiting.append(call)
        self._schedule()

    def _schedule(self) -> None:
        if self._waiting and self._free and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Share out what waits among the threads that are free."""
        self._scheduled = False
        while self._waiting and self._free:
            most = min(self._max_batch, math.ceil(len(self._waiting) / self._free))
            calls = _next_batch(self._waiting, most, self._loop.time())
            if calls:
                self._ask(calls)

    def _ask(self, calls: Sequence[Call]) -> None:
        self._free -= 1
        future = self._loop.run_in_executor(self._threads, self._held.answer, [call.request for call in calls])

        def finish(done: asyncio.Future[list[Answer]]) -> None:
            self._free += 1
            for call, answer in zip(calls, done.result(), strict=True):
                call.reply(answer)
            self._schedule()

        future.add_done_callback(finish)


def _next_batch(queue: deque[Call], most: int, now: float) -> list[Call]:
    """Take the next calls off the queue; those whose deadline has passed are refused."""
    calls: list[Call] = []
    size = 0
    while queue and len(calls) < most and size < BATCH_BYTES:
        call = queue.popleft()
        if call.deadline and call.deadline < now:
            call.reply(refusal(TimedOut("The request waited too long for the model. Try again.")))
            continue
        size += len(call.request.body)
        calls.append(call)
    return calls
