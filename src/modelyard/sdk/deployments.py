"""Deployments: which versions run where, which traffic each gets, and where they answer."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from modelyard.core.errors import TimedOut
from modelyard.features.deployments import schemas
from modelyard.features.deployments.errors import NoCanary
from modelyard.sdk import changes
from modelyard.sdk.calls import call, delete, fetch, get, pages, post
from modelyard.sdk.changes import HeaderRule, Shadows, version_path
from modelyard.sdk.deployment import LOOK, PUBLISH_SECONDS, Deployment, settle
from modelyard.sdk.entity import Listing
from modelyard.sdk.flow import Flow, Mode, Pause, Request, Resource, operation
from modelyard.sdk.models import Version

__all__ = ["Deployment"]
CANARY_SECONDS = 3600.0


class Deployments(Resource[Mode]):
    """The platform's deployments. A `version` is a Version, `prefix/model/vN`, or `prefix/model` for the latest."""

    @operation
    def publish(
        self,
        version: str | Version[Mode],
        *,
        key: str | None = None,
        environment: str = "small",
        replicas: int = 1,
        lane: schemas.Lane | None = None,
        wait: bool = True,
        timeout: float = PUBLISH_SECONDS,
    ) -> Flow[Deployment[Mode]]:
        """Make a version answer, alone, at its model's URL, in place of what answered there.

        With `wait` it returns when every gateway answers with this version. Raises DeploymentFailed with the reason
        (what answered before goes on), CanaryRunning, TimedOut.
        """
        wanted = {"model": version_path(version), "key": key, "environment": environment, "replicas": replicas}
        found = yield from self._send(post("deployments", "publish", body={**wanted, "lane": lane}))
        found.goal = "ready"
        if wait:
            yield from settle(found, timeout)
        return found

    @operation
    def create(
        self,
        key: str,
        *,
        environment: str = "small",
        replicas: int = 1,
        lane: schemas.Lane = "auto",
        models: Mapping[str, int] | Sequence[str] = (),
    ) -> Flow[Deployment[Mode]]:
        """A deployment that holds `models`: versions, or versions with their weights, which make 100 for each model.

        Raises KeyTaken, BadTraffic.
        """
        weights = models if isinstance(models, Mapping) else dict.fromkeys(models, 100)
        held = [{"model": model, "weight": weight} for model, weight in weights.items()]
        wanted = {"key": key, "environment": environment, "replicas": replicas, "lane": lane, "models": held}
        return (yield from self._send(post("deployments", body=wanted)))

    @operation
    def get(self, key: str) -> Flow[Deployment[Mode]]:
        """One deployment. Raises NotFound."""
        return (yield from self._send(get("deployments", key)))

    @operation
    def list(self, *, limit: int | None = None) -> Flow[Listing[Deployment[Mode]]]:
        """The deployments, newest first."""
        found = yield from pages(self, get("deployments"), schemas.Deployment, limit)
        return Listing(Deployment(self._connection, data) for data in found)

    @operation
    def add(self, key: str, version: str | Version[Mode], *, weight: int = 100) -> Flow[Deployment[Mode]]:
        """Let a deployment hold one more version; the model's other versions share what `weight` leaves."""
        return (yield from self._send(changes.add(key, version, weight)))

    @operation
    def remove(self, key: str, model: str | Version[Mode]) -> Flow[Deployment[Mode]]:
        """Take a version (`prefix/model/vN`), or all of a model's (`prefix/model`), out of a deployment.

        What is left of the model shares its traffic. Raises NotDeployed, NeedsTraffic, CanaryRunning.
        """
        return (yield from self._send(changes.remove(key, model)))

    @operation
    def set_traffic(
        self,
        key: str,
        model: str,
        *,
        weights: Mapping[str, int] | None = None,
        headers: Iterable[HeaderRule] | None = None,
        sticky: str | None = None,
        shadows: Shadows | None = None,
    ) -> Flow[Deployment[Mode]]:
        """Share out a model's traffic; no replica is restarted by that. What is left out (None) stays as it is.

        `weights` are shares by version, `{"v1": 90, "v2": 10}`, which make 100. `headers` are rules
        `("x-tier", "beta", "v2")`, tried in order: a request whose header has that value goes to that version. Requests
        with the same value in the `sticky` header get the same version. `shadows` are asked too, for a share of the
        requests (`{"v3": 50}`) or all of them (`["v3"]`); their answers are compared, never given. `()` and `""` take
        rules away. Raises BadTraffic, NotDeployed, CanaryRunning.
        """
        return (yield from self._send(changes.set_traffic(key, model, weights, headers, sticky, shadows)))

    @operation
    def start_canary(
        self,
        key: str,
        version: str | Version[Mode],
        *,
        steps: Sequence[int] = (5, 25, 50),
        step_seconds: float = 60,
        least_requests: int = 50,
        error_rate: float = 0.02,
        latency_ratio: float = 1.5,
    ) -> Flow[Deployment[Mode]]:
        """Give a version a growing share of its model's traffic: `steps` in per cent, then all of it.

        A step lasts `step_seconds` at the least and until the version gave `least_requests` good answers. The version
        gets back what it had before where more than `error_rate` of its answers are errors, or where the 95th
        percentile of their times is more than `latency_ratio` times that of the other versions. It is added where it is
        not held yet. `wait_canary` waits for the end. Raises CanaryRunning, CannotStartCanary.
        """
        settings: changes.CanarySettings = {
            "steps": steps,
            "step_seconds": step_seconds,
            "least_requests": least_requests,
            "error_rate": error_rate,
            "latency_ratio": latency_ratio,
        }
        return (yield from self._send(changes.start_canary(key, version, settings)))

    @operation
    def end_canary(self, key: str, model: str, *, promote: bool) -> Flow[Deployment[Mode]]:
        """End a running canary: with `promote` its version gets all of the traffic, else what it had before.

        Raises NoCanary.
        """
        return (yield from self._send(changes.end_canary(key, model, promote=promote)))

    @operation
    def wait_canary(self, key: str, model: str, *, timeout: float = CANARY_SECONDS) -> Flow[schemas.Canary]:
        """Wait until the last canary of a model has ended, whatever its end: see its `state` and `reason`.

        Raises NoCanary where there was none, TimedOut.
        """
        begun = time.monotonic()
        while True:
            data = yield from fetch(self, get("deployments", key), schemas.Deployment)
            found = next((canary for canary in data.canaries if canary.model == model), None)
            if found is None:
                raise NoCanary(f"There was no canary of {model} in {key}.")
            if found.state != "running":
                return found
            if time.monotonic() - begun > timeout:
                raise TimedOut(f"The canary of {model} in {key} is still at {found.share} % after {timeout:g} seconds.")
            yield Pause(LOOK)

    @operation
    def canaries(self, key: str, *, limit: int | None = None) -> Flow[Listing[schemas.Canary]]:
        """The canaries that a deployment has and had, newest first."""
        return Listing((yield from pages(self, get("deployments", key, "canaries"), schemas.Canary, limit)))

    @operation
    def rollback(self, key: str, revision: int | None = None) -> Flow[Deployment[Mode]]:
        """Make the content of an earlier revision the newest again; without a number, of the newest one that differs.

        Raises CannotRollBack, also where a version of it was deleted since; NotFound, CanaryRunning.
        """
        return (yield from self._send(changes.rollback(key, revision)))

    @operation
    def recreate(self, key: str) -> Flow[Deployment[Mode]]:
        """Replace all replicas by new ones, losing no request."""
        return (yield from self._send(changes.recreate(key)))

    @operation
    def scale(self, key: str, replicas: int) -> Flow[Deployment[Mode]]:
        """Change the number of replicas. Raises Autoscaled where it follows the load."""
        return (yield from self._send(changes.scale(key, replicas)))

    @operation
    def set_autoscale(self, key: str, settings: schemas.Autoscale | Mapping[str, Any] | None) -> Flow[Deployment[Mode]]:
        """Let the number of replicas follow the load: `{"minimum": 0, "maximum": 4, "target": 4, "idle_seconds": 300}`.

        `target` is how many requests each is to have in flight. With None the number stays as it is from now on.
        """
        return (yield from self._send(changes.set_autoscale(key, settings)))

    @operation
    def set_lane(self, key: str, lane: schemas.Lane) -> Flow[Deployment[Mode]]:
        """Say whether gateways may hold quick ONNX versions themselves (`auto`) or not (`isolated`)."""
        return (yield from self._send(changes.set_lane(key, lane)))

    @operation
    def stop(self, key: str) -> Flow[Deployment[Mode]]:
        """Stop answering, losing no request in flight."""
        found = yield from self._send(changes.stop(key))
        found.goal = "stopped"
        return found

    @operation
    def start(self, key: str) -> Flow[Deployment[Mode]]:
        """Answer again after a stop."""
        found = yield from self._send(changes.start(key))
        found.goal = "ready"
        return found

    @operation
    def delete(self, key: str) -> Flow[None]:
        """Take a deployment away, once its requests in flight are answered."""
        yield from call(self, delete("deployments", key))

    @operation
    def revisions(self, key: str, *, limit: int | None = None) -> Flow[Listing[schemas.Revision]]:
        """What a deployment held, newest first."""
        return Listing((yield from pages(self, get("deployments", key, "revisions"), schemas.Revision, limit)))

    @operation
    def events(self, key: str, *, limit: int | None = None) -> Flow[Listing[schemas.Event]]:
        """What happened to a deployment and why, newest first."""
        return Listing((yield from pages(self, get("deployments", key, "events"), schemas.Event, limit)))

    @operation
    def environments(self) -> Flow[Listing[schemas.Environment]]:
        """The computing environments to choose from."""
        return Listing((yield from pages(self, get("environments"), schemas.Environment)))

    def _send(self, request: Request) -> Flow[Deployment[Mode]]:
        return Deployment(self._connection, (yield from fetch(self, request, schemas.Deployment)))
