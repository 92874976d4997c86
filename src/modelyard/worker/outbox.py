"""A job's events on their way to the api: in order, in batches, sent again until they are taken."""

import logging
import threading
import time
from collections import deque

from modelyard.core.errors import Fenced, ModelyardError
from modelyard.protocol.jobs import Event, EventBatch, LogLine
from modelyard.worker.api import Api, Away
from modelyard.worker.lease import Lease

log = logging.getLogger("modelyard.worker")

GATHER = 0.2
LARGEST_BATCH = 500
MOST_WAITING = 20_000
_RETRY = 0.5


class Outbox:
    """Takes events from any thread and never blocks. Each is numbered from 0, so that the api takes it once."""

    def __init__(self, api: Api, token: int, lease: Lease) -> None:
        self._api, self._token, self._lease = api, token, lease
        self._waiting: deque[Event] = deque()
        self._lost = 0
        self._sequence = 0
        self._closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="events", daemon=True)
        self._thread.start()

    def put(self, event: Event) -> None:
        """Send this soon. What does not fit while the api is away is counted and said so later."""
        with self._changed:
            if len(self._waiting) >= MOST_WAITING:
                self._lost += 1
                return
            if self._lost:
                line = f"{self._lost} lines and figures were lost while the platform could not take them."
                self._waiting.append(LogLine(line=line, at=time.time(), stream="platform"))
                self._lost = 0
            self._waiting.append(event)
            self._changed.notify_all()

    def close(self, timeout: float) -> bool:
        """Send what waits, for at most `timeout` seconds, and end; whether all is sent or given up. Safe to repeat."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while batch := self._next():
            while not self._send(batch):
                if not self._lease.lasts:
                    return
                time.sleep(_RETRY)
            with self._changed:
                for _ in batch:
                    self._waiting.popleft()
                self._sequence += len(batch)

    def _next(self) -> tuple[Event, ...]:
        """The next events, gathered for a moment; empty once closing and all is sent."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            self._changed.wait_for(lambda: self._closing or len(self._waiting) >= LARGEST_BATCH, GATHER)
            return tuple(self._waiting)[:LARGEST_BATCH]

    def _send(self, batch: tuple[Event, ...]) -> bool:
        """Whether the batch is done with."""
        try:
            self._api.events(EventBatch(token=self._token, sequence=self._sequence, events=batch))
        except Away as error:
            log.warning("Events wait: %s", error)
            return False
        except Fenced:
            self._lease.lose()
            return False
        except ModelyardError as error:
            log.error("%d events were refused and are dropped: %s", len(batch), error.message)
        return True
