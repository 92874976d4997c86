"""The embedded lane: versions that this gateway holds itself, because they were measured to be quick.

They are decoded, batched and answered by the very code that replicas run (`serving/`). The heavy libraries come with
the first such version, in a thread; until a version is loaded, its replicas answer.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from modelyard.core.errors import ModelyardError
from modelyard.core.settings import Settings
from modelyard.gateway.exchange import Exchange
from modelyard.protocol.processes import HeldVersion

if TYPE_CHECKING:
    from modelyard.serving.batching import Batcher
    from modelyard.serving.held import Answer, Held

log = logging.getLogger("modelyard.gateway")

LARGEST_BATCH = 64


class Embedded:
    """One version in this process. `pending` counts the requests that it has not answered yet."""

    def __init__(self, slot: int) -> None:
        self.slot = slot
        self.pending = 0
        self.ready = False
        self._batcher: Batcher | None = None
        self._forms: frozenset[int] = frozenset()

    def takes(self, content: int) -> bool:
        """Whether it is loaded, and bodies of this form are read in this process."""
        return self.ready and content & 15 in self._forms

    def call(self, exchange: Exchange, slot: int) -> None:
        """Answer together with whatever else arrives in this turn of the loop."""
        assert self._batcher is not None
        self.pending += 1
        self._batcher.ask(slot, exchange.body, exchange.content, partial(self._reply, exchange))

    def serve(self, batcher: "Batcher", forms: frozenset[int]) -> None:
        """It is loaded: answer from now on."""
        self._batcher, self._forms, self.ready = batcher, forms, True

    def _reply(self, exchange: Exchange, answer: "Answer") -> None:
        self.pending -= 1
        exchange.answer(answer.status, answer.content, answer.rows, answer.body)


class Embedder:
    """All embedded versions of one gateway process, by what they are. `after` is called after each batch of answers."""

    def __init__(self, settings: Settings, *, after: Callable[[], None]) -> None:
        self._settings = settings
        self._after = after
        self._lanes: dict[tuple[str, str], Embedded] = {}
        self._held: dict[int, Held] = {}
        self._slots = 0
        self._batcher: Batcher | None = None
        # One thread: several that import and load at once would take the cores from the requests.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embed")
        self._tasks: set[asyncio.Task[None]] = set()
        self._wanted: set[tuple[str, str]] = set()

    def open(self, version: HeldVersion) -> Embedded:
        """The lane of a version; it is ready once it is loaded."""
        name = (version.label, version.checksum)
        lane = self._lanes.get(name)
        if lane is None:
            self._slots += 1
            lane = self._lanes[name] = Embedded(self._slots)
            task = asyncio.get_running_loop().create_task(self._load(version, lane))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return lane

    def keep(self, versions: set[tuple[str, str]]) -> None:
        """Let go of every other version, once it has answered what it was asked."""
        self._wanted = versions
        for name in [name for name, lane in self._lanes.items() if name not in versions and not lane.pending]:
            lane = self._lanes.pop(name)
            lane.ready = False
            self._held.pop(lane.slot, None)

    def sweep(self) -> None:
        """Let go of what was still busy when it was left out."""
        if len(self._lanes) > len(self._wanted):
            self.keep(self._wanted)

    def close(self) -> None:
        """Load nothing more."""
        for task in self._tasks:
            task.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _load(self, version: HeldVersion, lane: Embedded) -> None:
        try:
            loop = asyncio.get_running_loop()
            held, forms = await loop.run_in_executor(self._thread, partial(_load, version, self._settings))
            if self._batcher is None:
                from modelyard.serving.batching import Batcher

                self._batcher = Batcher(self._held, max_batch=LARGEST_BATCH, after=self._after)
        except ModelyardError as error:
            log.warning("%s is not embedded, its replicas answer: %s", version.label, error.message)
        except Exception:
            log.exception("%s is not embedded, its replicas answer", version.label)
        else:
            if self._lanes.get((version.label, version.checksum)) is not lane:
                return  # it left the table while it was loaded
            self._held[lane.slot] = held
            lane.serve(self._batcher, forms)
            log.info("%s is embedded", version.label)


def _load(version: HeldVersion, settings: Settings) -> "tuple[Held, frozenset[int]]":
    from modelyard.serving.folders import fetch, release
    from modelyard.serving.forms import EMBEDDABLE
    from modelyard.serving.held import load
    from modelyard.storage.objects.opened import open_store

    store = open_store(settings.objects_url)
    folder = fetch(version, store, settings.data / "cache" / "versions")
    try:
        held = load(version, folder)
        held.warm_up()
    finally:
        # A graph is in memory whole: its folder may be pruned.
        release(folder)
    return held, frozenset(EMBEDDABLE)
