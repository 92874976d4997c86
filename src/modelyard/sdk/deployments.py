"""Deployments: which versions run where, and where they answer."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from modelyard.core.errors import NotFound, TimedOut
from modelyard.features.deployments import schemas
from modelyard.sdk.calls import call, delete, fetch, get, pages, post
from modelyard.sdk.entity import Entity, Listing
from modelyard.sdk.errors import DeploymentFailed
from modelyard.sdk.flow import Flow, Mode, Pause, Resource, operation
from modelyard.sdk.models import Version
from modelyard.sdk.predictions import Predicting, Predictions, model_path

LOOK = 0.2
PUBLISH_SECONDS = 120.0
FAILED_SECONDS = 3.0
"""How long a deployment has to be failed until that is told: one that begins anew shows its old state for a moment."""


class Deployment(Entity[Mode, schemas.Deployment]):
    """The place where versions run. It is also the endpoint: `url`, `predict`."""

    goal: Literal["ready", "stopped"] | None = None
    """What was asked of it here: until the controller has seen that, its state is the one from before."""

    @property
    def url(self) -> str:
        """Where its model answers; the first one's, where it holds several."""
        if not self.data.models:
            raise NotFound(f"The deployment {self.data.key} holds no model. Add one: `.add('prefix/model')`.")
        return self._connection.url + model_path(self.data.models[0].model)

    @operation
    def predict(self, data: Any) -> Flow[Predictions]:
        """As `client.predict`, of the model that it holds."""
        if not self.data.models:
            raise NotFound(f"The deployment {self.data.key} holds no model. Add one: `.add('prefix/model')`.")
        return (yield from Predicting(self._connection).predict.flow(self.data.models[0].model, data))

    @operation
    def refresh(self) -> Flow[Deployment[Mode]]:
        """Look again; the same object with what is known now."""
        self.data = (yield from Deployments(self._connection).get.flow(self.data.key)).data
        return self

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
        self.data = (yield from Deployments(self._connection).add.flow(self.data.key, version, weight=weight)).data
        return self

    @operation
    def scale(self, replicas: int) -> Flow[Deployment[Mode]]:
        """Change the number of replicas."""
        self.data = (yield from Deployments(self._connection).scale.flow(self.data.key, replicas)).data
        return self

    @operation
    def stop(self) -> Flow[Deployment[Mode]]:
        """Stop answering, losing no request in flight."""
        self.data, self.goal = (yield from Deployments(self._connection).stop.flow(self.data.key)).data, "stopped"
        return self

    @operation
    def start(self) -> Flow[Deployment[Mode]]:
        """Answer again."""
        self.data, self.goal = (yield from Deployments(self._connection).start.flow(self.data.key)).data, "ready"
        return self

    @operation
    def delete(self) -> Flow[None]:
        """Take it away."""
        yield from Deployments(self._connection).delete.flow(self.data.key)

    def _label(self) -> str:
        held = ", ".join(f"{entry.model}/{entry.version}" for entry in self.data.models)
        return f"{self.data.key}: {held or 'empty'} ({self.data.state})"


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
        wait: bool = True,
        timeout: float = PUBLISH_SECONDS,
    ) -> Flow[Deployment[Mode]]:
        """Make a version answer, alone, at its model's URL, in place of what answered there.

        With `wait` it returns when every gateway answers with this version. Raises DeploymentFailed with the reason
        (what answered before goes on), TimedOut.
        """
        body = {"model": _path(version), "key": key, "environment": environment, "replicas": replicas}
        data = yield from fetch(self, post("deployments", "publish", body=body), schemas.Deployment)
        found: Deployment[Mode] = Deployment(self._connection, data)
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
        models: Mapping[str, int] | Sequence[str] = (),
    ) -> Flow[Deployment[Mode]]:
        """A deployment that holds `models`: versions, or versions with their weights, which make 100 for each model.

        Raises KeyTaken, BadTraffic.
        """
        weights = models if isinstance(models, Mapping) else dict.fromkeys(models, 100)
        held = [{"model": model, "weight": weight} for model, weight in weights.items()]
        body = {"key": key, "environment": environment, "replicas": replicas, "models": held}
        return self._deployment((yield from fetch(self, post("deployments", body=body), schemas.Deployment)))

    @operation
    def get(self, key: str) -> Flow[Deployment[Mode]]:
        """One deployment. Raises NotFound."""
        return self._deployment((yield from fetch(self, get("deployments", key), schemas.Deployment)))

    @operation
    def list(self, *, limit: int | None = None) -> Flow[Listing[Deployment[Mode]]]:
        """The deployments, newest first."""
        found = yield from pages(self, get("deployments"), schemas.Deployment, limit)
        return Listing(self._deployment(data) for data in found)

    @operation
    def add(self, key: str, version: str | Version[Mode], *, weight: int = 100) -> Flow[Deployment[Mode]]:
        """Let a deployment hold one more version."""
        body = {"model": _path(version), "weight": weight}
        return (yield from self._act(key, "models", body))

    @operation
    def scale(self, key: str, replicas: int) -> Flow[Deployment[Mode]]:
        """Change the number of replicas."""
        return (yield from self._act(key, "scale", {"replicas": replicas}))

    @operation
    def stop(self, key: str) -> Flow[Deployment[Mode]]:
        """Stop answering, losing no request in flight."""
        found = yield from self._act(key, "stop", None)
        found.goal = "stopped"
        return found

    @operation
    def start(self, key: str) -> Flow[Deployment[Mode]]:
        """Answer again after a stop."""
        found = yield from self._act(key, "start", None)
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

    def _act(self, key: str, verb: str, body: Any) -> Flow[Deployment[Mode]]:
        return self._deployment((yield from fetch(self, post("deployments", key, verb, body=body), schemas.Deployment)))

    def _deployment(self, data: schemas.Deployment) -> Deployment[Mode]:
        return Deployment(self._connection, data)


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


def _path(version: str | Version[Any]) -> str:
    return version if isinstance(version, str) else version.path
