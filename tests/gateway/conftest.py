"""A gateway with an api and replicas, all real, gone when the test is."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fixtures.gateways import Api, GatewayProcess, Wire
from fixtures.serving import ReplicaProcess
from modelyard.core.settings import Server, Settings
from modelyard.protocol.processes import HeldVersion


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    """A platform's settings on a fresh data folder."""
    made = Settings(data=tmp_path / "data", secret="0" * 64, log_level="warning", server=Server(port=0))
    yield made
    shutil.rmtree(made.run_folder, ignore_errors=True)


@pytest.fixture
def start_replica(settings: Settings) -> Iterator[Callable[..., ReplicaProcess]]:
    """Starts replicas; whatever still runs at the end of the test is killed."""
    started: list[ReplicaProcess] = []

    def start(name: str, *versions: HeldVersion, **more: Any) -> ReplicaProcess:
        started.append(ReplicaProcess(settings, name, *versions, **more))
        return started[-1].wait_ready()

    yield start
    for replica in started:
        if replica.process.poll() is None:
            os.kill(replica.process.pid, signal.SIGKILL)
        replica.process.wait()


@pytest.fixture
def api(settings: Settings) -> Iterator[Api]:
    """An api that runs; it may be stopped and started."""
    made = Api(settings).start()
    yield made
    made.stop()


@pytest.fixture
def start_gateway(settings: Settings) -> Iterator[Callable[..., GatewayProcess]]:
    """Starts gateways; whatever still runs at the end of the test is killed."""
    started: list[GatewayProcess] = []

    def start(changed: Settings | None = None) -> GatewayProcess:
        started.append(GatewayProcess(changed or settings))
        return started[-1]

    yield start
    for gateway in started:
        gateway.stop(signal.SIGKILL)


@pytest.fixture
def wire() -> Iterator[Callable[[GatewayProcess], Wire]]:
    """Opens connections to a gateway."""
    opened: list[Wire] = []

    def connect(gateway: GatewayProcess) -> Wire:
        opened.append(Wire(gateway.address))
        return opened[-1]

    yield connect
    for one in opened:
        one.close()
