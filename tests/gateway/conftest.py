"""A gateway with an api and replicas, all real, gone when the test is."""

import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fixtures.gateways import Api, GatewayProcess, Wire, route, table
from fixtures.limiters import Machines
from fixtures.serving import ReplicaProcess, publish
from modelyard.core.settings import Server, Settings
from modelyard.protocol.processes import HeldVersion


class Stage:
    """Everything that one test, or the tests of one file, play with."""

    def __init__(self, data: Path) -> None:
        self.settings = Settings(data=data, secret="0" * 64, log_level="warning", server=Server(port=0))
        self.api = Api(self.settings).start()
        self.gateways: list[GatewayProcess] = []
        self.replicas: list[ReplicaProcess] = []
        self.wires: list[Wire] = []

    def replica(self, name: str, *versions: HeldVersion, **more: Any) -> ReplicaProcess:
        """A replica that listens."""
        self.replicas.append(ReplicaProcess(self.settings, name, *versions, **more))
        return self.replicas[-1].wait_ready()

    def gateway(self, settings: Settings | None = None) -> GatewayProcess:
        """A gateway that has the present table."""
        self.gateways.append(GatewayProcess(settings or self.settings))
        self.gateways[-1].has_table(self.api.table.number)
        return self.gateways[-1]

    def wire(self, gateway: GatewayProcess | None = None) -> Wire:
        """A connection to a gateway, the first one unless another is meant."""
        self.wires.append(Wire((gateway or self.gateways[0]).address))
        return self.wires[-1]

    def close(self) -> None:
        """End everything."""
        for wire in self.wires:
            wire.close()
        for process in (*self.gateways, *self.replicas):
            process.stop(signal.SIGKILL)
        self.api.stop()
        shutil.rmtree(self.settings.run_folder, ignore_errors=True)


@contextmanager
def _staged(data: Path) -> Iterator[Stage]:
    made = Stage(data)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A stage of the test's own, with an api and nothing else."""
    with _staged(tmp_path / "data") as made:
        yield made


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A stage for all tests of a file that only look.

    A gateway with sales/churn: v1 (no weight, staging) and v2 (production) on one replica, v3 loading.
    """
    with _staged(tmp_path_factory.mktemp("shared") / "data") as made:
        versions = publish(made.settings, 1), publish(made.settings, 2, slot=1)
        replica = made.replica("r", *versions)
        made.api.publish(
            table(
                7,
                route(versions[0], replica, weight=0, stage="staging"),
                route(versions[1], replica, stage="production"),
                route(publish(made.settings, 3), state="loading", weight=0),
            )
        )
        made.gateway()
        yield made


@pytest.fixture
def gateway(shared: Stage) -> GatewayProcess:
    """The shared stage's gateway."""
    return shared.gateways[0]


@pytest.fixture
def wire(shared: Stage) -> Callable[[], Wire]:
    """Opens connections to the shared gateway."""
    return shared.wire


@pytest.fixture
def anyio_backend() -> str:
    """What coroutines of tests run on."""
    return "asyncio"


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machines]:
    """Makes settings of gateways on machines of this test's own."""
    made = Machines(tmp_path)
    yield made
    made.close()
