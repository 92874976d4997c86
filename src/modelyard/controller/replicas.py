"""Starts and ends replicas, finds out which answer, and publishes the routing table."""

import logging
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from modelyard.features.deployments import observed
from modelyard.protocol import frames
from modelyard.protocol.processes import Process, ProcessSpec
from modelyard.runtimes.base import Runtime
from modelyard.web.platform import Platform

log = logging.getLogger("modelyard.controller")
PROBE_SECONDS = 0.5
STOPS_AT_ONCE = 8


class ReplicaKeeper:
    """The controller's hand on deployments."""

    def __init__(self, platform: Platform, runtime: Runtime) -> None:
        self._platform, self._runtime = platform, runtime
        self._pool = ThreadPoolExecutor(STOPS_AT_ONCE, thread_name_prefix="stop")
        self._stopping: set[str] = set()

    def turn(self, processes: Sequence[Process]) -> None:
        """One step for every deployment, then the table."""
        self._note_ready()
        settings = self._platform.settings
        alive = frozenset(process.id for process in processes if process.alive)
        said = {process.id: self._last_words(process) for process in processes if not process.alive}
        with self._platform.database.session() as session:
            plan = observed.plan(session, alive, said, settings)
            known = observed.known(session)
            number = observed.publish(session, observed.routing_table(session, settings))
        for item in plan.start:
            self._start(item)
        for replica_id in plan.stop:
            self._stop(replica_id)
        self._clear(processes, known | {item.spec.id for item in plan.start})
        log.debug("routing table %d", number)

    def _note_ready(self) -> None:
        with self._platform.database.session(read_only=True) as session:
            waiting = observed.starting(session)
        ready = [replica_id for replica_id, address in waiting if answers(address)]
        if ready:
            with self._platform.database.session() as session:
                observed.mark_ready(session, ready)

    def _start(self, item: observed.StartReplica) -> None:
        log.info(
            "%s: starting %s with %s", item.key, item.spec.id, ", ".join(held.label for held in item.spec.versions)
        )
        self._runtime.start(
            ProcessSpec(
                id=item.spec.id,
                role="replica",
                payload=msgspec.json.encode(item.spec),
                labels={"deployment": item.key},
                limits=item.limits,
            )
        )

    def _stop(self, replica_id: str) -> None:
        if replica_id in self._stopping:
            return
        self._stopping.add(replica_id)

        def work() -> None:
            try:
                self._runtime.stop(replica_id, grace=self._platform.settings.replicas.drain_seconds)
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
                self._stop(process.id)
            else:
                self._runtime.forget(process.id)

    def _last_words(self, process: Process) -> str:
        if process.failure:
            return process.failure.message
        lines = [line for line in self._runtime.logs(process.id, lines=20) if line.strip()]
        return lines[-1][:500] if lines else f"its process ended with code {process.exit_code}"


def answers(address: str) -> bool:
    """Whether a replica at this address says that it is ready."""
    kind, _, place = address.partition(":")
    family = socket.AF_UNIX if kind == "unix" else socket.AF_INET
    target = place if kind == "unix" else (place.rpartition(":")[0], int(place.rpartition(":")[2]))
    try:
        with socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.settimeout(PROBE_SECONDS)
            connection.connect(target)
            head = connection.recv(frames.HEADER.size, socket.MSG_WAITALL)
    except OSError:
        return False
    return len(head) == frames.HEADER.size and frames.HEADER.unpack(head)[2] == frames.Kind.READY
