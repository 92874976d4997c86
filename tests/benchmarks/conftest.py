"""The benchmarks, and the parts of their tests, are found from whichever folder a run is started."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]

from benchmarks.load import generator  # noqa: E402
from known_server import Answers, Known  # noqa: E402


@pytest.fixture
def known() -> Iterator[Callable[[Answers], Known]]:
    """Makes servers."""
    made: list[Known] = []

    def make(answers: Answers) -> Known:
        made.append(Known(answers))
        return made[-1]

    yield make
    for server in made:
        server.close()


@pytest.fixture(params=["compiled", "python"])
def load_generator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Both load generators in turn."""
    if request.param == "python":
        monkeypatch.setattr(generator.shutil, "which", lambda _: None)
    elif len(generator.command()) != 1:
        pytest.skip("no C compiler")
    return request.param
