"""A worker's hold on its job: signs of life in a thread of its own, and everything that ends the job from outside.

Time is this process's own monotonic clock, counted from before each message was sent: what the api granted lasts at
least that long.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Literal

from modelyard.core.errors import Fenced, ModelyardError
from modelyard.protocol.jobs import JobSpec
from modelyard.worker.api import Api, Away

log = logging.getLogger("modelyard.worker")

Ending = Literal["stopped", "released", "fenced", "lapsed"]
"""Why a job ends before it is done: somebody stopped it; this worker was asked to leave; another worker has it; the
lease could not be renewed in time. After the last two nothing may be written any more."""

EVERY = 0.5
_CERTAIN = 2 / 3  # the api writes a renewal only once a third of the lease has gone
_LONGEST_WAIT = 2.0


class Lease:
    """The lease of one job under one fencing token. `ending` is None as long as the job may go on."""

    def __init__(self, api: Api, token: int, *, patience: float) -> None:
        """`patience`: how long to try to claim the job while the api is away, in seconds."""
        self.ending: Ending | None = None
        self._api = api
        self._token = token
        self._until = time.monotonic() + patience
        self._seconds = patience
        # Its put() may be called from a signal handler that interrupted anything.
        self._inbox: queue.SimpleQueue[Ending | None] = queue.SimpleQueue()
        self._closed = False
        self._thread: threading.Thread | None = None

    @property
    def lasts(self) -> bool:
        """Whether the job is still surely this worker's."""
        return self.ending not in {"fenced", "lapsed"} and time.monotonic() < self._until

    def leave(self) -> None:
        """Give the job back: this worker was asked to go. Callable from a signal handler."""
        self._inbox.put("released")

    def lose(self) -> None:
        """Another worker has the job: somebody else's message was refused."""
        self.ending = "fenced"
        self._inbox.put(None)

    def claim(self) -> JobSpec | None:
        """The job; None where this worker was asked to leave first. Raises Away where no api came, Fenced."""
        while True:
            asked = time.monotonic()
            try:
                spec = self._api.claim(self._token)
            except Away:
                if not self.lasts:
                    raise
                self._listen(EVERY / 2)
                if self.ending is not None:
                    return None
            else:
                self._seconds = spec.lease_seconds
                self._until = asked + spec.lease_seconds
                return spec

    def hold(self, on_ending: Callable[[], None]) -> None:
        """Renew from now on, until `close`; `on_ending` is called once in the thread where the job must end."""
        self._thread = threading.Thread(target=self._keep, args=(on_ending,), name="lease", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Renew no more."""
        self._closed = True
        self._inbox.put(None)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_LONGEST_WAIT)

    def _keep(self, on_ending: Callable[[], None]) -> None:
        while self.ending is None and not self._closed:
            self._listen(EVERY)
            if self.ending is None and not self._closed:
                self._renew()
        if not self._closed:
            log.warning("The job ends here: %s.", self.ending)
            on_ending()

    def _listen(self, seconds: float) -> None:
        try:
            word = self._inbox.get(timeout=seconds)
        except queue.Empty:
            return
        self.ending = self.ending or word

    def _renew(self) -> None:
        asked = time.monotonic()
        try:
            patience = min(_LONGEST_WAIT, max(0.1, self._until - asked))
            stop = self._api.heartbeat(self._token, patience=patience).stop
        except Fenced:
            self.ending = "fenced"
        except (Away, ModelyardError) as error:
            log.warning("No renewal: %s", error)
            if time.monotonic() >= self._until:
                self.ending = "lapsed"
        else:
            self._until = asked + self._seconds * _CERTAIN
            self.ending = "stopped" if stop else self.ending
