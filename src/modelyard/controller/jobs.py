"""Starts workers for waiting jobs, and takes back the jobs of those that died."""

import logging
from collections.abc import Sequence

import msgspec

from modelyard.features.jobs import operations as jobs
from modelyard.protocol.processes import Process, ProcessSpec, WorkerSpec
from modelyard.runtimes.base import Runtime
from modelyard.web.platform import Platform

log = logging.getLogger("modelyard.controller")


class JobKeeper:
    """The controller's hand on jobs."""

    def __init__(self, platform: Platform, runtime: Runtime) -> None:
        self._platform, self._runtime = platform, runtime
        self._settings = platform.settings.jobs

    def turn(self, workers: Sequence[Process]) -> None:
        """One step: the dead are taken back first, so that their places are free."""
        self._bury(workers)
        for row in self._take_back():
            log.warning("%s: its worker fell silent; it is %s now", row[0], row[1])
        while (start := self._claim()) is not None:
            self._start(start)

    def _bury(self, workers: Sequence[Process]) -> None:
        dead = [worker for worker in workers if not worker.alive]
        if not dead:
            return
        with self._platform.database.session() as session:
            for worker in dead:
                jobs.expire(session, worker.labels["job"], int(worker.labels["token"]))
        for worker in dead:
            self._runtime.forget(worker.id)

    def _take_back(self) -> list[tuple[str, str]]:
        # A reading look first: every turn of an idle platform would write otherwise.
        with self._platform.database.session(read_only=True) as session:
            if not jobs.any_lapsed(session):
                return []
        with self._platform.database.session() as session:
            return [(row.id, row.state) for row in jobs.take_back_lapsed(session, self._settings)]

    def _claim(self) -> jobs.Start | None:
        with self._platform.database.session(read_only=True) as session:
            if not jobs.any_waiting(session):
                return None
        with self._platform.database.session() as session:
            return jobs.start_next(session, self._settings)

    def _start(self, start: jobs.Start) -> None:
        spec = WorkerSpec(job=start.job, token=start.token, api=f"unix:{self._platform.settings.api_socket}")
        self._runtime.start(
            ProcessSpec(
                id=f"worker-{start.job}-{start.token}",
                role="worker",
                payload=msgspec.json.encode(spec),
                labels={"job": start.job, "token": str(start.token)},
            )
        )
        log.info("%s: started as a worker (%s, start %d)", start.job, start.kind, start.token)
