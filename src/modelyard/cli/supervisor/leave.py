"""How `modelyard up` leaves: in an order in which nothing is lost, within five seconds, with nothing left behind.

controller   first, so that it starts nothing again
gateways     finish the requests that they have; replicas live until then
workers      give their jobs back through the api, as soon as the controller is gone
replicas     when no gateway asks them any more
api          last
"""

import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from modelyard.cli.supervisor.child import Child
from modelyard.cli.supervisor.log import Log
from modelyard.core.errors import ModelyardError
from modelyard.protocol.processes import Role
from modelyard.runtimes.base import Runtime

# Seconds since the leaving began.
CONTROLLER_UNTIL = 1.5
WORKER_GRACE = 2.5
GATEWAYS_UNTIL = 3.8
REPLICA_GRACE = 0.4
ALL_UNTIL = 4.4
TURN_SECONDS = 0.03


class Leaving:
    """One leaving, which may become `hurried` at any moment: then everything is killed at once.

    `turn(seconds)` keeps the loop going while there is waiting to do.
    """

    def __init__(
        self,
        children: Sequence[Child],
        *,
        runtime: Runtime,
        log: Log,
        turn: Callable[[float], None],
        hurried: Callable[[], bool],
    ) -> None:
        self._children = children
        self._runtime = runtime
        self._log = log
        self._turn = turn
        self._hurried = hurried
        self._began = time.monotonic()
        self._pool = ThreadPoolExecutor(max_workers=32)
        self._stops: list[Future[None]] = []

    def go(self) -> None:
        """Leave."""
        self._send(signal.SIGTERM, "controller", "gateway")
        self._wait(lambda: self._gone("controller"), until=CONTROLLER_UNTIL)
        self._send(signal.SIGKILL, "controller")
        self._stop("worker", grace=WORKER_GRACE)
        self._wait(lambda: self._gone("gateway"), until=GATEWAYS_UNTIL)
        self._send(signal.SIGKILL, "gateway")
        self._stop("replica", grace=REPLICA_GRACE)
        self._wait(lambda: all(stop.done() for stop in self._stops), until=ALL_UNTIL - 0.2)
        self._send(signal.SIGTERM, "api")
        self._wait(lambda: self._gone("api"), until=ALL_UNTIL)
        self._send(signal.SIGKILL, "api")
        if not all(stop.done() for stop in self._stops):
            self._stop("worker", grace=0)
            self._stop("replica", grace=0)
        self._pool.shutdown()
        # What was printed last is still to be shown.
        self._wait(lambda: self._gone("api"), until=ALL_UNTIL + 0.2)
        self._turn(0)

    def _gone(self, kind: str) -> bool:
        return not any(child.alive() for child in self._children if child.service.kind == kind)

    def _send(self, number: int, *kinds: str) -> None:
        for child in self._children:
            if child.service.kind in kinds:
                child.send(number)

    def _wait(self, done: Callable[[], bool], *, until: float) -> None:
        while not done() and not self._hurried() and time.monotonic() - self._began < until:
            self._turn(TURN_SECONDS)

    def _stop(self, role: Role, *, grace: float) -> None:
        """Ask all of a role to end, side by side."""
        grace = 0 if self._hurried() else grace
        for process in self._runtime.list():
            if process.role == role and process.alive:
                self._stops.append(self._pool.submit(self._stop_one, process.id, grace))

    def _stop_one(self, process_id: str, grace: float) -> None:
        try:
            self._runtime.stop(process_id, grace=grace)
        except ModelyardError as error:
            self._log.say(error.message, level="error")
