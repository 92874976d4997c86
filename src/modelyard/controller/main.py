"""The controller process: one loop that makes the running world match the wanted rows.

Each turn: hold the lease; look at what runs; take back the jobs of dead workers and start waiting ones; take each
deployment one step further; publish the routing table; once a second let the load decide about replicas and canaries.
It can be killed anywhere: the next one starts again from the rows and the processes.
"""

import logging
import os
import signal
import socket
import sys
import threading
import time

from modelyard.controller.jobs import JobKeeper
from modelyard.controller.loads import LoadKeeper
from modelyard.controller.replicas import ReplicaKeeper
from modelyard.controller.sweeping import Sweeper
from modelyard.core import ids
from modelyard.core.errors import ModelyardError
from modelyard.core.settings import Settings
from modelyard.features.deployments import observed
from modelyard.runtimes.opened import open_runtime
from modelyard.web.platform import Platform, open_platform

log = logging.getLogger("modelyard.controller")
TURN = 0.15
MOVING_TURN = 0.05
"""While replicas come and go somebody waits for them."""
LEASE_SECONDS = 5.0
MIGRATE_AFTER = 5.0
"""The api starts beside this process and brings the schema up to date: twice at once would only take longer."""


def main(settings: Settings) -> int:
    """Work until asked to stop; the exit code."""
    logging.basicConfig(level=settings.log_level.upper(), format="%(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        platform = open_platform(settings, migrate_after=MIGRATE_AFTER)
    except ModelyardError as error:
        log.error("%s", error.message)
        return 1
    Controller(platform).run(stop)
    return 0


class Controller:
    """The loop and what it keeps between turns: nothing that the next controller could not see for itself."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._owner = f"{socket.gethostname()}-{os.getpid()}-{ids.new('ctl')[-6:]}"
        runtime = open_runtime(platform.settings)
        self._runtime = runtime
        self._jobs = JobKeeper(platform, runtime)
        self._replicas = ReplicaKeeper(platform, runtime)
        self._loads = LoadKeeper(platform)
        self._sweeper = Sweeper(platform)
        self._renewed = float("-inf")

    def run(self, stop: threading.Event) -> None:
        """Turn until `stop` is set. An outage of the database is waited for, not died of."""
        log.info("the controller works as %s", self._owner)
        while not stop.is_set():
            try:
                pause = self.turn()
            except ModelyardError as error:
                log.warning("%s", error.message)
                pause = error.retry_after or 1.0
            except Exception:
                log.exception("this turn failed; the next one starts afresh")
                pause = 1.0
            stop.wait(pause)
        self._leave()

    def turn(self) -> float:
        """One turn, where this controller is the one that works; how many seconds there are until the next."""
        if not self._holds_lease():
            return TURN
        processes = self._runtime.list()
        self._jobs.turn([process for process in processes if process.role == "worker"])
        look = self._replicas.turn([process for process in processes if process.role == "replica"])
        self._loads.turn(look)
        self._sweeper.turn()
        return MOVING_TURN if look.moving else TURN

    def _holds_lease(self) -> bool:
        # Renewed when a third is gone: a turn that has nothing to do writes nothing.
        if time.monotonic() - self._renewed < LEASE_SECONDS / 3:
            return True
        begun = time.monotonic()
        with self._platform.database.session() as session:
            if not observed.take_lease(session, self._owner, LEASE_SECONDS):
                return False
        self._renewed = begun
        return True

    def _leave(self) -> None:
        self._replicas.close()
        try:
            with self._platform.database.session() as session:
                observed.give_lease_back(session, self._owner)
        except ModelyardError as error:
            log.warning("the lease could not be given back, it lapses by itself: %s", error.message)
        self._platform.database.dispose()
