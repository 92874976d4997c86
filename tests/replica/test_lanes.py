"""Calls of a model that takes several at once: shared out among its threads, refused when they are late."""

import asyncio
import threading
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from modelyard.core.errors import Broken, ModelyardError, TimedOut, Unavailable
from modelyard.formats.base import Batch, Predictor
from modelyard.protocol.frames import Content
from modelyard.protocol.signature import Field, Signature
from modelyard.serving.batching import Batcher, Call
from modelyard.serving.held import Answer, Held, Request


class Slow(Held):
    """Answers with the size of the batch, once the gate is open."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.sizes: list[int] = []
        self.at_once = 0

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        self.at_once += 1
        self.sizes.append(len(requests))
        assert self.gate.wait(20)
        self.at_once -= 1
        return [Answer(200, Content.JSON, 1, request.body) for request in requests]


async def submitted(
    batcher: Batcher, count: int, *, deadline: float = 0.0, slot: int = 0
) -> list[asyncio.Future[Answer]]:
    loop = asyncio.get_running_loop()
    futures = [loop.create_future() for _ in range(count)]
    for number, future in enumerate(futures):
        batcher.submit(slot, Call(Request(b"%d" % number, 0), deadline, future.set_result))
    await asyncio.sleep(0)
    return futures


async def until(question: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not question():  # noqa: ASYNC110 - it is asked of threads
            await asyncio.sleep(0.005)


async def _shared_out() -> None:
    held = Slow()
    batcher = Batcher({0: held}, max_batch=64, parallel={0: 3})
    assert batcher.idle
    first = await submitted(batcher, 10)
    await until(lambda: held.at_once == 3)
    assert sorted(held.sizes) == [3, 3, 4]
    # These wait and become one batch for each thread that is free again.
    second = await submitted(batcher, 6)
    assert held.at_once == 3
    assert not batcher.idle
    held.gate.set()
    answers = [await future for future in (*first, *second)]
    assert [answer.body for answer in answers] == [b"%d" % number for number in (*range(10), *range(6))]
    await until(lambda: batcher.idle)
    assert sum(held.sizes) == 16


async def _late() -> None:
    held = Slow()
    loop = asyncio.get_running_loop()
    batcher = Batcher({0: held}, max_batch=64, parallel={0: 1})
    (first,) = await submitted(batcher, 1)
    await until(lambda: held.at_once == 1)
    (late,) = await submitted(batcher, 1, deadline=loop.time() + 0.01)
    (patient,) = await submitted(batcher, 1, deadline=loop.time() + 20)
    await asyncio.sleep(0.02)
    held.gate.set()
    assert [(await future).status for future in (first, late, patient)] == [200, 504, 200]


async def _bounded() -> None:
    held = Slow()
    held.gate.set()
    batcher = Batcher({0: held}, max_batch=4, parallel={0: 1})
    for future in await submitted(batcher, 10):
        await future
    assert max(held.sizes) <= 4


async def _apart() -> None:
    slow, quick = Slow(), Slow()
    quick.gate.set()
    batcher = Batcher({0: slow, 1: quick}, max_batch=64, parallel={0: 1})
    (waiting,) = await submitted(batcher, 1)
    (answered,) = await submitted(batcher, 1, slot=1)
    assert (await answered).status == 200
    assert not waiting.done()
    slow.gate.set()
    await waiting


def test_what_waits_is_shared_out_among_the_free_threads_and_answered_in_order() -> None:
    asyncio.run(_shared_out())


def test_what_waited_longer_than_it_may_is_refused() -> None:
    asyncio.run(_late())


def test_no_batch_is_larger_than_allowed() -> None:
    asyncio.run(_bounded())


def test_a_slow_one_holds_no_other_slot_up() -> None:
    asyncio.run(_apart())


class Failing(Predictor):
    """Fails on every call, and counts them."""

    def __init__(self, error: Exception) -> None:
        self.signature = Signature(scenario="tabular-regression", inputs=(Field(name="x", kind="number"),), target="y")
        self.error = error
        self.calls = 0

    def predict(self, batch: Batch) -> NDArray[np.float32]:
        self.calls += 1
        raise self.error


@pytest.mark.parametrize(("error", "calls"), [(TimedOut("late"), 1), (Unavailable("rests"), 1), (Broken("died"), 4)])
def test_only_what_one_request_may_have_caused_is_tried_again_for_each(error: ModelyardError, calls: int) -> None:
    predictor = Failing(error)
    answers = Held(predictor, model="m", version="v1").answer([Request(b'{"x": 1}', 0)] * 3)
    assert [answer.status for answer in answers] == [error.status] * 3
    assert predictor.calls == calls
