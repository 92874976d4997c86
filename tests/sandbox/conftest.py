"""Running small Python programs in a sandbox."""

import json
import os
import sys
import textwrap
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from modelyard.protocol.processes import Limits
from modelyard.sandbox.base import Command, Outcome, Running, Sandbox
from modelyard.sandbox.bwrap import Bwrap

MIB = 1 << 20
LIMITS = Limits(memory=512 * MIB, processes=64, disk=64 * MIB, seconds=60)


@dataclass
class Started:
    """A running program and the lines that it has printed."""

    running: Running
    lines: list[tuple[str, str]] = field(default_factory=list)
    grew: threading.Condition = field(default_factory=threading.Condition)

    def hear(self, stream: str, line: str) -> None:
        with self.grew:
            self.lines.append((stream, line))
            self.grew.notify_all()

    def out(self) -> list[str]:
        return [line for stream, line in self.lines if stream == "out"]

    def await_line(self) -> str:
        """The first line of standard output."""
        with self.grew:
            assert self.grew.wait_for(self.out, timeout=30), self.lines
        return self.out()[0]

    def end(self) -> Outcome:
        outcome = self.running.wait(60)
        assert outcome is not None, "still running"
        return outcome


Start = Callable[..., Started]
Ask = Callable[..., Any]


@pytest.fixture
def sandbox() -> Sandbox:
    return Bwrap()


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def start(sandbox: Sandbox, work: Path):
    """Start a Python program shut in; it is stopped at the end of the test."""
    started: list[Started] = []

    def begin(program: str, *arguments: str, limits: Limits = LIMITS, **options: Any) -> Started:
        argv = [sys.executable, "-c", textwrap.dedent(program), *arguments]
        one = Started(running=None)  # type: ignore[arg-type]
        options = {"argv": argv, "work": work, "limits": limits, **options}
        one.running = sandbox.start(Command(**options), on_line=one.hear)
        started.append(one)
        return one

    yield begin
    for one in started:
        one.running.stop()


@pytest.fixture
def ask(start: Start) -> Ask:
    """Run a program that prints one JSON value, and answer that value."""

    def run(program: str, *arguments: str, **options: Any) -> Any:
        one = start(program, *arguments, **options)
        outcome = one.end()
        assert outcome.exit_code == 0, (outcome, one.lines)
        return json.loads(one.out()[-1])

    return run


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give jobs users of their own")
