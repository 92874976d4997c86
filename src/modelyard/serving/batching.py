"""Batches that never wait: what has arrived by the time the model is free goes through it together.

Calls that are quick run in the event loop itself; slow ones in one thread, so that the loop goes on reading, and the
next batch grows meanwhile. The model has one caller at a time either way.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from modelyard.core.errors import NotFound, TimedOut
from modelyard.serving.held import Answer, Held, Request, refusal

SLOW_SECONDS = 0.002
LARGE_BYTES = 256 * 1024
BATCH_BYTES = 4 * 1024 * 1024


class Call(NamedTuple):
    """One request on its way: `reply` takes its answer, `deadline` is on the loop's clock, 0 for none."""

    request: Request
    deadline: float
    reply: Callable[[Answer], None]


class Batcher:
    """All versions of one replica, asked by all connections."""

    def __init__(self, held: Mapping[int, Held], *, max_batch: int, paces: Mapping[int, float] | None = None) -> None:
        self._held = held
        self._max_batch = max_batch
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, deque[Call]] = {}
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._scheduled = False
        self._paces = dict(paces or {})

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return not self._scheduled

    def submit(self, slot: int, call: Call) -> None:
        """Answer `call` from the version at `slot`, together with whatever else arrives in this turn of the loop."""
        if slot not in self._held:
            call.reply(refusal(NotFound(f"This replica holds no version at slot {slot}.")))
            return
        queue = self._waiting.get(slot)
        if queue is None:
            queue = self._waiting[slot] = deque()
        queue.append(call)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)

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
        calls: list[Call] = []
        now, size = self._loop.time(), 0
        while queue and len(calls) < self._max_batch and size < BATCH_BYTES:
            call = queue.popleft()
            if call.deadline and call.deadline < now:
                call.reply(refusal(TimedOut("The request waited too long for the model. Try again.")))
                continue
            size += len(call.request.body)
            calls.append(call)
        if queue:
            self._waiting[slot] = queue
        return calls

    def _answer(self, slot: int, requests: Sequence[Request]) -> list[Answer]:
        began = time.perf_counter()
        answers = self._held[slot].answer(requests)
        pace = self._paces.get(slot, 0.0)
        self._paces[slot] = pace + (time.perf_counter() - began - pace) / 8
        return answers

    def _finish(self, calls: Sequence[Call], answers: Sequence[Answer]) -> None:
        for call, answer in zip(calls, answers, strict=True):
            call.reply(answer)
        if self._waiting:
            self._loop.call_soon(self._turn)
        else:
            self._scheduled = False
