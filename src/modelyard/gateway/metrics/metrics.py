"""One gateway process's counters: who counts, what is reported to the api, and the page for Prometheus.

On the page are the counters of all gateway processes of this machine, since a request for it reaches any one of them.
They never go back, whichever answers: it publishes its own before it shows them, so that the next one knows them. A
killed process takes with it what nobody has seen yet, at the most a second's: the usage journal is what is exact.

The page may be made in a thread of its own; everything else is for the thread of the event loop.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from modelyard.core.errors import Unavailable
from modelyard.credentials.scope import covers
from modelyard.gateway.metrics.counts import Counts, DeploymentGauge, Meter, MeterKey, Outcome, Snapshot, added_up
from modelyard.gateway.metrics.exposition import page
from modelyard.gateway.metrics.process import process
from modelyard.gateway.metrics.shared import Shared
from modelyard.protocol.load import DeploymentLoad, LoadReport, ShadowLoad, VersionLoad

log = logging.getLogger("modelyard.gateway")

EVERY_SECONDS = 1.0
IDLE_SECONDS = 24 * 3600.0
"""After so long without an answer, a version that no table names any more is shown no longer. Its counts are kept."""

TABLE_SECONDS = 60.0
"""The versions of one table are looked up within this time."""


class Metrics:
    """The counters of the gateway process `name`, kept for the others in `folder`.

    `gauges` is set by the gateway: what its deployments are doing now. `now` is the Unix time.
    """

    def __init__(self, folder: Path, *, name: str, now: Callable[[], float] = time.time) -> None:
        self._name = name
        self._now = now
        self._started_at = now()
        self._counts = Counts()
        self._requests: dict[MeterKey, int] = {}
        self._looked_up: dict[MeterKey, float] = {}
        self._last_look = 0.0
        self._warned = False
        self._publishing = threading.Lock()
        self._shared = Shared(folder, name)
        self.gauges: Callable[[], Iterable[DeploymentGauge]] = lambda: ()
        self._begin()

    def meter(self, model: str, version: int, deployment: str) -> Meter:
        """The meter of a version in a deployment, always the same one; asked for with each new table."""
        key = MeterKey(model, version, deployment)
        self._looked_up[key] = self._last_look = self._now()
        return self._counts.meters.setdefault(key, Meter())

    def refused(self, deployment: str) -> None:
        """Count a 503 that was given because the deployment's replicas are full."""
        self._counts.refused[deployment] = self._counts.refused.get(deployment, 0) + 1

    def shadow(self, model: str, version: int, outcome: Outcome) -> None:
        """Count one answer of a shadow: equal to the one given, not equal, or none."""
        outcomes = self._counts.shadows.setdefault((model, version), {})
        outcomes[outcome] = outcomes.get(outcome, 0) + 1

    def report(self) -> LoadReport:
        """What this process alone counted since it began."""
        self._notice()
        refused = self._counts.refused
        return LoadReport(
            gateway=self._name,
            started_at=self._started_at,
            at=self._now(),
            versions=tuple(_load(key, meter) for key, meter in self._shown(self._counts.meters).items()),
            deployments=tuple(
                DeploymentLoad(
                    key=gauge.key,
                    in_flight=gauge.in_flight,
                    waiting=gauge.waiting,
                    refused=refused.get(gauge.key, 0),
                )
                for gauge in self.gauges()
            ),
            shadows=tuple(
                ShadowLoad(
                    model=model,
                    version=version,
                    compared=outcomes.get("same", 0) + outcomes.get("different", 0),
                    different=outcomes.get("different", 0),
                    failed=outcomes.get("failed", 0),
                )
                for (model, version), outcomes in self._counts.shadows.items()
            ),
        )

    def text(self, prefixes: tuple[str, ...] | None, open_metrics: bool) -> bytes:
        """The page, with the models that a credential for `prefixes` reaches. Raises Unavailable."""
        counts, living = self._everybody()
        gauges = added_up([gauge for snapshot in living.values() for gauge in snapshot.gauges])
        meters = {
            key: meter
            for key, meter in self._shown(counts.meters).items()
            if covers(prefixes, key.model.rpartition("/")[0])
        }
        deployments = {key.deployment for key in meters}
        if prefixes is None:
            deployments |= {gauge.key for gauge in gauges}
        figures = {name: process(snapshot.pid) for name, snapshot in living.items()}
        return page(
            counts.only(meters, deployments),
            [gauge for gauge in gauges if gauge.key in deployments],
            {name: found for name, found in figures.items() if found is not None},
            open_metrics=open_metrics,
        )

    async def run(self) -> None:
        """Let the other processes see how far this one is, about once a second, until cancelled."""
        while True:
            try:
                self._publish()
            except Exception:
                log.exception("The metrics could not be published")
            await asyncio.sleep(EVERY_SECONDS)

    def close(self) -> None:
        """Leave behind what was counted."""
        self.gauges = lambda: ()
        self._publish()
        self._shared.close()

    def _begin(self) -> None:
        """Add up those who died, and where all did, forget what has been idle: nobody counts on from there."""
        try:
            with self._shared.alone():
                self._shared.others(keep=lambda counts: counts.only(self._shown(counts.meters)))
        except (OSError, Unavailable) as error:
            log.warning("The metrics of ended gateways are added up later: %s", error)

    def _everybody(self) -> tuple[Counts, dict[str, Snapshot]]:
        """All counts there ever were, and the living processes, this one among them."""
        try:
            with self._shared.alone():
                own = msgspec.msgpack.decode(self._publish(), type=Snapshot)
                counts, living = self._shared.others()
        except OSError as error:
            raise Unavailable(f"The metrics cannot be read: {error}.", retry_after=10) from error
        living = {self._name: own, **living}
        for snapshot in living.values():
            counts.add(snapshot.counts)
        return counts, living

    def _publish(self) -> bytes:
        """Let the others see how far this process is; the encoded Snapshot that they see."""
        # Two threads may come here: what is older must not be written later.
        with self._publishing:
            self._notice()
            # Encoding is one step for other threads, and what comes out changes no more.
            data = msgspec.msgpack.encode(Snapshot(os.getpid(), self._counts, list(self.gauges())))
            try:
                self._shared.publish(data)
                self._warned = False
            except OSError as error:
                # A full disk is no reason to show nothing.
                if not self._warned:
                    log.warning("The metrics cannot be shared with other gateways: %s", error)
                self._warned = True
        return data

    def _notice(self) -> None:
        """Date what has grown: too dear for every request."""
        now = self._now()
        for key, meter in list(self._counts.meters.items()):
            requests = meter.requests
            if requests != self._requests.get(key, 0):
                self._requests[key] = requests
                meter.grown_at = now

    def _shown(self, meters: dict[MeterKey, Meter]) -> dict[MeterKey, Meter]:
        """Those in the present table, and those that answered lately."""
        idle, table = self._now() - IDLE_SECONDS, self._last_look - TABLE_SECONDS
        return {
            key: meter
            for key, meter in meters.items()
            if meter.grown_at > idle or self._looked_up.get(key, float("-inf")) >= table
        }


def _load(key: MeterKey, meter: Meter) -> VersionLoad:
    return VersionLoad(
        model=key.model,
        version=key.version,
        deployment=key.deployment,
        requests=meter.requests,
        errors=meter.errors,
        rows=meter.rows,
        micros=round(meter.seconds * 1e6),
        buckets=tuple(meter.buckets),
    )
