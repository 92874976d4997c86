"""The command in this process, through its own frame, against a real api or a whole platform."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fixtures.platform import DATA, RunningPlatform
from modelyard.cli.main import run

TABLE = DATA / "titanic" / "train.csv"


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def rows(self) -> list[list[str]]:
        """A table as it is written where there is no terminal."""
        return [line.split("\t") for line in self.out.splitlines()]


Modelyard = Callable[..., Ran]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own, and no variables of the client."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("MODELYARD_URL", raising=False)
    monkeypatch.delenv("MODELYARD_API_KEY", raising=False)
    return folder


@pytest.fixture
def bare(home: Path, capfd: pytest.CaptureFixture[str]) -> Modelyard:
    """`modelyard …` without any profile."""

    def call(*arguments: str | Path) -> Ran:
        capfd.readouterr()
        code = run([str(argument) for argument in arguments])
        said = capfd.readouterr()
        assert "Traceback" not in said.err
        return Ran(code, said.out, said.err)

    return call


@pytest.fixture
def at_api(bare: Modelyard, api_url: str, login: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Modelyard:
    """`modelyard …` against an api of the test's own: no jobs run, nothing is served."""
    monkeypatch.setenv("MODELYARD_URL", api_url)
    monkeypatch.setenv("MODELYARD_API_KEY", login["api_key"])
    return bare


@pytest.fixture
def modelyard(bare: Modelyard, platform: RunningPlatform, monkeypatch: pytest.MonkeyPatch) -> Modelyard:
    """`modelyard …` against the platform that all tests share."""
    monkeypatch.setenv("MODELYARD_URL", platform.url)
    monkeypatch.setenv("MODELYARD_API_KEY", platform.key)
    return bare


@pytest.fixture(scope="session")
def command_line_model(platform: RunningPlatform) -> str:
    """A model with a version, published."""
    from modelyard.sdk.client import Client

    with Client(platform.url, platform.key) as client:
        build = client.builds.create("predict who survived", TABLE, "command/titanic").wait()
        client.deployments.publish(build.version)
    return "command/titanic"
