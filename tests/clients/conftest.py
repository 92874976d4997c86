"""A gateway for the tests of a file, in either lane, and the clients to use on it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from fixtures.clients import ENVIRONMENT, Client, serving
from fixtures.gateways import GatewayProcess
from fixtures.shared_server import missing


@pytest.fixture(scope="session")
def installed() -> None:
    """Leaves tests out where there are no clients."""
    if not (ENVIRONMENT / ".made").exists():
        missing("the protocols' clients are not installed: run `make .venv-clients/.made`")


@pytest.fixture(scope="module")
def client_of(installed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Client]]:
    """Starts a script's client, for all tests of a file."""
    with ExitStack() as ends:

        def start(script: str) -> Client:
            started = Client(script, tmp_path_factory.mktemp(script) / "log")
            ends.callback(started.close)
            return started

        yield start


@pytest.fixture(scope="module", params=["isolated", "embedded"])
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway for all tests of a file that only look; see `serving`."""
    with serving(tmp_path_factory.mktemp("clients") / "data", embedded=request.param == "embedded") as made:
        yield made
