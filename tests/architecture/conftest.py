"""Where the repository is, and what files are in it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's folder."""
    return ROOT


@pytest.fixture(scope="session")
def files() -> list[Path]:
    """Every file that belongs to the repository, as git sees it: tracked, or new and not ignored."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return sorted(ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file())


@pytest.fixture(scope="session")
def graph() -> grimp.ImportGraph:
    """Which module imports which."""
    return grimp.build_graph("modelyard", cache_dir=None)


@pytest.fixture(scope="session")
def modules_after() -> Callable[[str], set[str]]:
    """The top-level modules that a fresh interpreter holds after it ran the given code."""

    def run(code: str) -> set[str]:
        tail = "\nimport sys\nprint('modules:', *sorted({name.partition('.')[0] for name in sys.modules}))"
        ran = subprocess.run([sys.executable, "-c", code + tail], cwd=ROOT, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        return set(ran.stdout.rpartition("modules:")[2].split())

    return run
