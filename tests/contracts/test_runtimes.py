"""What every runtime promises: start once, list, stop the whole tree, forget, logs."""

import json
import shutil
import sys
import time
from pathlib import Path

import pytest

from modelyard.core.errors import Conflict, Invalid
from modelyard.core.settings import Settings
from modelyard.protocol.processes import Process, ProcessSpec
from modelyard.runtimes.base import Runtime
from modelyard.runtimes.opened import REGISTRY

SCRIPT = "import json, sys, time; exec(json.load(open(sys.argv[1]))['program'])"


@pytest.fixture(params=REGISTRY.names())
def runtime(request, tmp_path: Path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = (sys.executable, "-u", str(script))
    settings = Settings(data=tmp_path / "data")
    runtime = REGISTRY.get(request.param)(settings, commands={"worker": command, "replica": command})
    yield runtime
    for process in runtime.list():
        runtime.stop(process.id, grace=0)
    shutil.rmtree(settings.run_folder, ignore_errors=True)


def spec(name: str, program: str = "time.sleep(600)") -> ProcessSpec:
    return ProcessSpec(id=name, role="worker", payload=json.dumps({"program": program}).encode(), labels={"k": name})


def ended(runtime: Runtime, name: str) -> Process:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = next(process for process in runtime.list() if process.id == name)
        if not found.alive:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{name} did not end")


def test_what_was_started_is_listed_in_order_until_it_is_forgotten(runtime):
    for name in ("first", "second"):
        runtime.start(spec(name))
    assert [(process.id, process.alive, process.labels) for process in runtime.list()] == [
        ("first", True, {"k": "first"}),
        ("second", True, {"k": "second"}),
    ]
    runtime.stop("first", grace=5)
    runtime.forget("first")
    assert [process.id for process in runtime.list()] == ["second"]


def test_starting_twice_is_one_process(runtime):
    assert runtime.start(spec("same")).pid == runtime.start(spec("same")).pid
    assert len(runtime.list()) == 1


def test_an_end_has_its_exit_code_and_its_last_lines(runtime):
    runtime.start(spec("brief", "print('hello'); sys.exit(3)"))
    assert ended(runtime, "brief").exit_code == 3
    assert list(runtime.logs("brief")) == ["hello"]


def test_a_living_process_is_not_forgotten(runtime):
    runtime.start(spec("alive"))
    with pytest.raises(Conflict):
        runtime.forget("alive")


def test_unknown_ids_are_ignored_and_unusable_ones_refused(runtime):
    runtime.stop("nobody")
    runtime.forget("nobody")
    assert list(runtime.logs("nobody")) == []
    with pytest.raises(Invalid):
        runtime.start(spec("../etc"))
