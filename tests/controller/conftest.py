"""A real controller over real rows and real replica processes. No gateway: every table is known at once."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from fixtures.serving import publish
from fixtures.waiting import wait_until
from modelyard.controller.main import Controller
from modelyard.core import ids
from modelyard.core.settings import Settings
from modelyard.features.auth.permissions import Principal
from modelyard.features.auth.tables import UserRow
from modelyard.features.deployments import observed, operations, queries, schemas, shown
from modelyard.features.deployments.tables import EventRow, ReplicaRow
from modelyard.features.models import operations as models
from modelyard.formats.folder import read_signature
from modelyard.protocol.artifact import Artifact
from modelyard.protocol.routing import RoutingTable
from modelyard.runtimes.opened import open_runtime
from modelyard.web.platform import Platform, open_platform

START_SECONDS = 40.0


class World:
    """One user's deployments of sales/churn, as they are run."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.runtime = open_runtime(platform.settings)
        with platform.database.session(read_only=True) as session:
            user = session.query(UserRow).one()
        self.principal = Principal(user=user.id, username="admin", organisation=user.organisation, role=user.role)

    def version(self, number: int) -> None:
        """A version that answers, in the object store and as a row."""
        held = publish(self.platform.settings, number)
        folder = self.platform.settings.data / "made" / f"sales-churn-{number}"
        with self.platform.database.session() as session:
            now = self.platform.clock.now()
            row = models.ensure_model(session, self.principal, models.parse("sales/churn"), now)
            result = {
                "folder": held.folder,
                "checksum": held.checksum,
                "files": [{"path": path.name, "size": path.stat().st_size, "sha256": ""} for path in folder.iterdir()],
                "signature": msgspec.to_builtins(read_signature(folder)),
                "artifact": msgspec.to_builtins(Artifact(format="onnx", scenario="x", algorithm="linear")),
                "evaluation": {},
            }
            models.add_version(session, row, job=ids.new("job"), created_by="x", result=result, lineage={}, now=now)

    def do(self, operation: Callable[..., Any], *arguments: Any) -> schemas.Deployment:
        """The deployment as it is shown after an operation on it."""
        with self.platform.database.session() as session:
            row = operation(session, self.principal, *arguments, self.platform.clock.now())
            return shown.deployment(session, row)

    def create(self, key: str, replicas: int = 1, /, **weights: int) -> None:
        """A deployment, once it is ready."""
        held = [schemas.DeployedCreate(model=f"sales/churn/{name}", weight=share) for name, share in weights.items()]
        self.do(operations.create, schemas.DeploymentCreate(key=key, models=held, replicas=replicas))
        self.becomes(key, "ready")

    def see(self, key: str) -> schemas.Deployment:
        """A deployment as it is now."""
        with self.platform.database.session(read_only=True) as session:
            return shown.deployment(session, operations.get(session, self.principal, key))

    def becomes(self, key: str, state: str, timeout: float = START_SECONDS) -> schemas.Deployment:
        """A deployment once it is in this state."""
        wait_until(lambda: self.see(key).state == state, timeout, what=f"{key} is {state}")
        return self.see(key)

    def events(self, key: str) -> list[str]:
        """What happened to it, newest first."""
        with self.platform.database.session(read_only=True) as session:
            row = operations.get(session, self.principal, key)
            found = session.query(EventRow).filter_by(deployment=row.id).order_by(EventRow.id.desc())
            return [f"{event.kind}: {event.message}" for event in found]

    def replica(self, replica_id: str) -> ReplicaRow:
        """A replica's row."""
        with self.platform.database.session(read_only=True) as session:
            return session.get_one(ReplicaRow, replica_id)

    def table(self) -> RoutingTable:
        """The table that counts."""
        with self.platform.database.session(read_only=True) as session:
            document = observed.published(session, 0)
        assert document is not None
        return msgspec.json.decode(document, type=RoutingTable)

    def replicas(self) -> dict[str, int]:
        """The pid of every replica's living process, by id."""
        return {
            process.id: process.pid
            for process in self.runtime.list()
            if process.role == "replica" and process.alive and process.pid is not None
        }

    def send(self, replica_id: str, number: int) -> None:
        """A signal to a replica's process."""
        os.kill(self.replicas()[replica_id], number)

    def wish(self, key: str, **values: Any) -> None:
        """Write into a deployment's row what only the load writes otherwise."""
        with self.platform.database.session() as session:
            row = queries.deployment(session, self.principal.organisation, key)
            for name, value in values.items():
                setattr(row, name, value)


@pytest.fixture
def world(settings: Settings, platform_parts: Platform) -> Iterator[World]:
    made = World(platform_parts)
    made.version(1)
    made.version(2)
    # The controller closes what it was given.
    controller, stop = Controller(open_platform(settings)), threading.Event()
    thread = threading.Thread(target=controller.run, args=(stop,))
    thread.start()
    yield made
    stop.set()
    thread.join()
    for replica_id, pid in made.replicas().items():
        os.kill(pid, signal.SIGKILL)
        made.runtime.stop(replica_id, grace=0)
        made.runtime.forget(replica_id)
