"""One deployment: its URL, its predictions, and every change of it, each as the call of `client.deployments`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Unpack

from modelyard.core.errors import NotFound, TimedOut
from modelyard.features.deployments import schemas
from modelyard.sdk import changes
from modelyard.sdk.calls import call, delete, fetch, get
from modelyard.sdk.changes import CanarySettings, HeaderRule, Shadows
from modelyard.sdk.entity import Entity
from modelyard.sdk.errors import DeploymentFailed
from modelyard.sdk.flow import Flow, Mode, Pause, Request, operation
from modelyard.sdk.models import Version
from modelyard.sdk.predictions import Predicting, Predictions, model_path

LOOK = 0.2
PUBLISH_SECONDS = 120.0
FAILED_SECONDS = 3.0
"""How long a deployment has to be failed until that is told: one that begins anew shows its old state for a moment."""


class Deployment(Entity[Mode, schemas.Deployment]):
    """The place where versions run. It is also the endpoint: `url`, `predict`.

    Where a call is about a model and none is named, the first one that it holds is meant.
    """

    goal: Literal["ready", "stopped"] | None = None
    """What was asked of it here: until the controller has seen that, its state is the one from before."""

    @property
    def url(self) -> str:
        """Where its model answers; the first one's, where it holds several."""
        return self._connection.url + model_path(self._model)

    @operation
    def predict(self, data: Any = None, *, parameters: dict[str, Any] | None = None) -> Flow[Predictions]:
        """As `client.predict`, of the model that it holds."""
        return (yield from Predicting(self._connection).predict.flow(self._model, data, parameters=parameters))

    @operation
    def refresh(self) -> Flow[Deployment[Mode]]:
        """Look again; the same object with what is known now."""
        return (yield from self._now(get("deployments", self.data.key)))

    @operation
    def wait(self, *, timeout: float = PUBLISH_SECONDS) -> Flow[Deployment[Mode]]:
        """Wait until it is as wanted: all its replicas ready, or stopped where that is wanted.

        Raises DeploymentFailed with its own reason, TimedOut.
        """
        yield from settle(self, timeout)
        return self

    @operation
    def add(self, version: str | Version[Mode], *, weight: int = 100) -> Flow[Deployment[Mode]]:
        """Hold one more version; the model's other versions share what `weight` leaves of its traffic."""
        return (yield from self._now(changes.add(self.data.key, version, weight)))

    @operation
    def remove(self, model: str | Version[Mode]) -> Flow[Deployment[Mode]]:
        """Take a version, or all of a model's, out of it."""
        return (yield from self._now(changes.remove(self.data.key, model)))

    @operation
    def set_traffic(
        self,
        model: str | None = None,
        *,
        weights: Mapping[str, int] | None = None,
        headers: Iterable[HeaderRule] | None = None,
        sticky: str | None = None,
        shadows: Shadows | None = None,
    ) -> Flow[Deployment[Mode]]:
        """Share out a model's traffic, as `client.deployments.set_traffic` says."""
        return (
            yield from self._now(
                changes.set_traffic(self.data.key, model or self._model, weights, headers, sticky, shadows)
            )
        )

    @operation
    def start_canary(
        self, version: str | Version[Mode], /, **settings: Unpack[CanarySettings]
    ) -> Flow[Deployment[Mode]]:
        """Give a version a growing share of its model's traffic, as `client.deployments.start_canary` says."""
        return (yield from self._now(changes.start_canary(self.data.key, version, settings)))

    @operation
    def end_canary(self, model: str | None = None, *, promote: bool) -> Flow[Deployment[Mode]]:
        """End a running canary: with `promote` its version gets all of the traffic, else what it had before."""
        return (yield from self._now(changes.end_canary(self.data.key, model or self._model, promote=promote)))

    @operation
    def rollback(self, revision: int | None = None) -> Flow[Deployment[Mode]]:
        """Make an earlier revision's content the newest again; without a number, that of the last one that differs."""
        return (yield from self._now(changes.rollback(self.data.key, revision)))

    @operation
    def recreate(self) -> Flow[Deployment[Mode]]:
        """Replace all its replicas by new ones, losing no request."""
        return (yield from self._now(changes.recreate(self.data.key)))

    @operation
    def scale(self, replicas: int) -> Flow[Deployment[Mode]]:
        """Change the number of replicas. Raises Autoscaled where it follows the load."""
        return (yield from self._now(changes.scale(self.data.key, replicas)))

    @operation
    def set_autoscale(self, settings: schemas.Autoscale | Mapping[str, Any] | None) -> Flow[Deployment[Mode]]:
        """Let the number of replicas follow the load, as `client.deployments.set_autoscale` says."""
        return (yield from self._now(changes.set_autoscale(self.data.key, settings)))

    @operation
    def set_lane(self, lane: schemas.Lane) -> Flow[Deployment[Mode]]:
        """Say whether gateways may hold quick ONNX versions themselves (`auto`) or not (`isolated`)."""
        return (yield from self._now(changes.set_lane(self.data.key, lane)))

    @operation
    def stop(self) -> Flow[Deployment[Mode]]:
        """Stop answering, losing no request in flight."""
        yield from self._now(changes.stop(self.data.key))
        self.goal = "stopped"
        return self

    @operation
    def start(self) -> Flow[Deployment[Mode]]:
        """Answer again."""
        yield from self._now(changes.start(self.data.key))
        self.goal = "ready"
        return self

    @operation
    def delete(self) -> Flow[None]:
        """Take it away."""
        yield from call(self, delete("deployments", self.data.key))

    @property
    def _model(self) -> str:
        if not self.data.models:
            raise NotFound(f"The deployment {self.data.key} holds no model. Add one: `.add('prefix/model')`.")
        return self.data.models[0].model

    def _now(self, request: Request) -> Flow[Deployment[Mode]]:
        """This object, with what the platform answers."""
        self.data = yield from fetch(self, request, schemas.Deployment)
        return self

    def _label(self) -> str:
        held = ", ".join(f"{entry.model}/{entry.version}" for entry in self.data.models)
        return f"{self.data.key}: {held or 'empty'} ({self.data.state})"


def settle(deployment: Deployment[Mode], timeout: float) -> Flow[None]:
    """Look at a deployment until it is as wanted. Raises as `Deployment.wait` says."""
    begun, failed_since = time.monotonic(), None
    while True:
        yield from deployment.refresh.flow()
        data, now = deployment.data, time.monotonic()
        whole = data.state == "stopped" or (data.state == "ready" and data.ready_replicas >= data.replicas)
        if whole and deployment.goal in {None, data.state}:
            deployment.goal = None
            return
        failed = data.state in {"failed", "degraded"}
        failed_since = (failed_since or now) if failed else None
        if failed_since is not None and now - failed_since >= FAILED_SECONDS:
            raise DeploymentFailed(
                f"The deployment {data.key} is {data.state}: {data.message or 'no replica came up'} "
                f"`modelyard deployment events {data.key}` says more."
            )
        if now - begun > timeout:
            raise TimedOut(
                f"The deployment {data.key} is still {data.state} after {timeout:g} seconds. "
                f"Look again: `modelyard deployment show {data.key}`."
            )
        yield Pause(LOOK)
