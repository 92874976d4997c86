"""A data folder, and replicas on it that are gone when the test is."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fixtures.serving import ReplicaProcess
from modelyard.core.settings import Settings
from modelyard.protocol.processes import HeldVersion


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    """A platform's settings on a fresh data folder."""
    made = Settings(data=tmp_path / "data", secret="0" * 64, log_level="warning")
    yield made
    shutil.rmtree(made.run_folder, ignore_errors=True)


@pytest.fixture
def start_replica(settings: Settings) -> Iterator[Callable[..., ReplicaProcess]]:
    """Starts replicas; whatever still runs at the end of the test is killed."""
    started: list[ReplicaProcess] = []

    def start(name: str, *versions: HeldVersion, **more: Any) -> ReplicaProcess:
        started.append(ReplicaProcess(settings, name, *versions, **more))
        return started[-1]

    yield start
    for replica in started:
        if replica.process.poll() is None:
            os.kill(replica.process.pid, signal.SIGKILL)
        replica.process.wait()
