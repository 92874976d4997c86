"""Starts and ends replicas, finds out which answer, and publishes the routing table."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import msgspec

from modelyard.controller.pulse import Heard, Pulse
from modelyard.features.deployments import observed, steps
from modelyard.features.deployments.snapshot import Photographer, Snapshot
from modelyard.features.deployments.table import TableMaker
from modelyard.protocol.processes import Process, ProcessSpec, ReplicaSpec
from modelyard.protocol.routing import RoutingTable
from modelyard.runtimes.base import Runtime
from modelyard.web.platform import Platform

log = logging.getLogger("modelyard.controller")
STOPS_AT_ONCE = 8


class Look(NamedTuple):
    """The rows at one moment, the routing table that they make, and the number of the one that is published."""

    snapshot: Snapshot
    table: RoutingTable
    newest: int

    @property
    def moving(self) -> bool:
        """Whether something is on its way, so that it is worth while to look again soon."""
        rows = [row for rows in self.snapshot.replicas.values() for row in rows]
        return any(row.state != "ready" or row.told_in is None for row in rows)


class ReplicaKeeper:
    """The controller's hand on deployments."""

    def __init__(self, platform: Platform, runtime: Runtime) -> None:
        self._platform, self._runtime = platform, runtime
        self._pool = ThreadPoolExecutor(STOPS_AT_ONCE, thread_name_prefix="stop")
        self._stopping: set[str] = set()
        self._pulse = Pulse()
        self._photographer = Photographer()
        self._tables = TableMaker(platform.settings)
        self._published: tuple[int, RoutingTable] | None = None

    def turn(self, processes: Sequence[Process]) -> Look:
        """One step for each deployment of which something is to be done, then the table where it says something new."""
        look = self._look()
        starting = look.snapshot.addresses("starting")
        heard = self._pulse.turn(starting | look.snapshot.addresses("ready"))
        if self._act(look.snapshot, processes, heard, starting.keys() & heard.holdings.keys()):
            look = self._look()
        self._publish(look)
        self._clear(processes, look.snapshot.replica_ids())
        return look

    def close(self) -> None:
        """Hang up. Replicas stay as they are."""
        self._pulse.close()

    def _look(self) -> Look:
        with self._platform.database.session(read_only=True) as session:
            snapshot = self._photographer.take(session)
            return Look(snapshot, self._tables.make(session, snapshot), observed.newest_number(session))

    def _act(self, snapshot: Snapshot, processes: Sequence[Process], heard: Heard, answering: set[str]) -> bool:
        """Write what was observed and do what follows from it; whether there was anything."""
        settings = self._platform.settings
        view = steps.View(
            alive=frozenset(process.id for process in processes if process.alive),
            hung=heard.silent,
            said={process.id: self._last_words(process) for process in processes if not process.alive},
            acknowledged=snapshot.acknowledged,
        )
        due = steps.due(snapshot, view, settings)
        if not due and not answering:
            return False
        with self._platform.database.session() as session:
            observed.mark_ready(session, {replica_id: heard.holdings[replica_id] for replica_id in answering})
            plan = steps.plan(session, due, view, settings)
        for spec in plan.start:
            self._start(spec)
        for replica_id in plan.kill:
            self._stop(replica_id, grace=0.0)
        for replica_id in plan.stop:
            self._stop(replica_id, grace=settings.replicas.drain_seconds)
        return True

    def _publish(self, look: Look) -> None:
        untold = any(
            row.told_in is None and row.state != "starting" for rows in look.snapshot.replicas.values() for row in rows
        )
        if not untold and self._published == (look.newest, look.table):
            return
        with self._platform.database.session() as session:
            number = observed.publish(session, look.table)
        self._published = (number, look.table)
        if number != look.newest:
            log.debug("routing table %d", number)

    def _start(self, spec: ReplicaSpec) -> None:
        log.info("%s: starting %s with %s", spec.deployment, spec.id, ", ".join(held.label for held in spec.versions))
        self._runtime.start(
            ProcessSpec(
                id=spec.id,
                role="replica",
                payload=msgspec.json.encode(spec),
                labels={"deployment": spec.deployment},
                limits=spec.limits,
            )
        )

    def _stop(self, replica_id: str, *, grace: float) -> None:
        if replica_id in self._stopping:
            return
        self._stopping.add(replica_id)

        def work() -> None:
            try:
                self._runtime.stop(replica_id, grace=grace)
                self._runtime.forget(replica_id)
                log.info("%s: ended", replica_id)
            except Exception:
                log.exception("%s could not be stopped; the next turn tries again", replica_id)
            finally:
                self._stopping.discard(replica_id)

        self._pool.submit(work)

    def _clear(self, processes: Sequence[Process], known: frozenset[str]) -> None:
        """Processes that no row wants any more.

        Ended ones are forgotten, living ones (of a deleted row) are stopped.
        """
        for process in processes:
            if process.id in known or process.id in self._stopping:
                continue
            if process.alive:
                self._stop(process.id, grace=self._platform.settings.replicas.drain_seconds)
            else:
                self._runtime.forget(process.id)

    def _last_words(self, process: Process) -> str:
        if process.failure:
            return process.failure.message
        lines = [line for line in self._runtime.logs(process.id, lines=20) if line.strip()]
        return lines[-1][:500] if lines else f"its process ended with code {process.exit_code}"
