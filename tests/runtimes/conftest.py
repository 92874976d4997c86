"""A runtime on an empty data folder, whose workers and replicas are the small programs of these tests."""

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from modelyard.core.settings import Settings
from modelyard.protocol.processes import Limits, ProcessSpec
from modelyard.runtimes import kernel
from modelyard.runtimes.local import LocalRuntime

# The spec file is {"program": "<python>", …}; the program sees it as `payload`, its path as `path`.
INTERPRETER = """
import json, os, signal, subprocess, sys, time
from pathlib import Path
path = Path(sys.argv[1])
payload = json.loads(path.read_text())
exec(payload["program"])
"""


class Bench:
    """A data folder, ways to open runtimes on it, and ways to make specs and to wait."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = Settings(data=folder / "data")
        script = folder / "interpreter.py"
        script.write_text(INTERPRETER)
        self.commands = {"worker": (sys.executable, str(script)), "replica": (sys.executable, str(script))}
        self.runtime = self.open()

    def open(self, **settings: Any) -> LocalRuntime:
        return LocalRuntime(Settings(data=self.folder / "data", **settings), commands=self.commands)

    def spec(
        self, program: str = "time.sleep(600)", *, name: str = "one", role: str = "worker", **payload: Any
    ) -> ProcessSpec:
        limits = payload.pop("limits", Limits())
        text = json.dumps({"program": program, **payload}).encode()
        return ProcessSpec(id=name, role=role, payload=text, labels={"for": name}, limits=limits)

    def ours(self) -> list[int]:
        """Every living process that came of this folder, wherever it went."""
        mark = str(self.settings.run_folder)
        return [found.pid for found in kernel.everyone() if not found.dead and mark in (kernel.mark(found.pid) or "")]

    def wait(self, question: Callable[[], Any], *, seconds: float = 20.0) -> Any:
        deadline = time.monotonic() + seconds
        while not (answer := question()):
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.01)
        return answer

    def wait_for_line(self, line: str, *, name: str = "one") -> None:
        self.wait(lambda: line in self.runtime.logs(name))

    def ended(self, name: str = "one") -> Any:
        return self.wait(lambda: next((p for p in self.runtime.list() if p.id == name and not p.alive), None))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    for process in bench.runtime.list():
        with suppress(Exception):
            bench.runtime.stop(process.id, grace=0)
    kernel.Tree(lambda mark: str(bench.settings.run_folder) in mark).kill()
    shutil.rmtree(bench.settings.run_folder, ignore_errors=True)
