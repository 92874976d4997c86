"""Cgroup leaves with real processes: what they limit, whom they end, and that none is left behind."""

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixtures.waiting import wait_until
from modelyard.core import cgroups
from modelyard.core.cgroups import Leaf

MIB = 1 << 20
HOG = "kept = []\nwhile True: kept.append(b'x' * (4 << 20))"
SLEEP = "import time; time.sleep(600)"
JOIN = "import sys\nfor path in sys.argv[2:]: open(path, 'w').write('0')\nexec(sys.argv[1])"


@pytest.fixture(scope="module", autouse=True)
def _writable() -> None:
    leaf = Leaf.make()
    leaf.remove()
    if leaf.missing:
        pytest.skip(f"no cgroup can be written here for {', '.join(leaf.missing)}")


@pytest.fixture
def name() -> Iterator[str]:
    made = secrets.token_hex(8)
    yield made
    assert not list(Path("/sys/fs/cgroup").glob(f"**/modelyard-run-{made}"))


Run = Callable[[Leaf, str], subprocess.Popen[bytes]]


@pytest.fixture
def run() -> Iterator[Run]:
    """Starts a Python program as a member of a leaf."""
    started = []

    def begin(leaf: Leaf, program: str) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, "-c", JOIN, program, *leaf.members]))
        wait_until(lambda: started[-1].pid in leaf.pids() or started[-1].poll() is not None)
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()


def test_a_member_that_outgrows_the_memory_is_ended_and_the_leaf_knows_why(name: str, run: Run) -> None:
    leaf = Leaf.make(name, memory=64 * MIB)
    quiet = run(leaf, "pass")
    assert quiet.wait(20) == 0
    assert not leaf.out_of_memory()
    assert run(leaf, HOG).wait(20) == -9
    assert leaf.out_of_memory()
    assert Leaf(leaf.places).out_of_memory()
    assert 32 * MIB < (leaf.peak_memory() or 0) <= 64 * MIB
    leaf.remove()


def test_a_process_that_is_brought_in_is_bound_from_then_on(name: str) -> None:
    leaf = Leaf.make(name, memory=64 * MIB)
    outside = subprocess.Popen([sys.executable, "-c", f"input()\n{HOG}"], stdin=subprocess.PIPE)
    assert leaf.join(outside.pid)
    assert leaf.pids() == {outside.pid}
    outside.communicate(b"\n", timeout=20)
    assert outside.returncode == -9
    assert not leaf.join(outside.pid)
    leaf.remove()


def test_a_lasting_leaf_is_the_same_for_whoever_names_it(name: str, run: Run) -> None:
    first, second = Leaf.make(name, memory=64 * MIB), Leaf.make(name, memory=64 * MIB)
    assert first.places == second.places
    member = run(first, SLEEP)
    assert second.pids() == Leaf(first.places).pids() == {member.pid}
    second.kill()
    assert member.wait(20) == -9
    first.remove()


def test_what_a_member_makes_below_is_bound_ended_and_removed_with_it(name: str, run: Run) -> None:
    outer = Leaf.make(name, memory=64 * MIB)
    program = f"""
import os, subprocess, sys
from modelyard.core.cgroups import Leaf
inner = Leaf.make(memory=1 << 40)
for program in ({SLEEP!r}, {HOG!r}):
    subprocess.Popen([sys.executable, "-c", {JOIN!r}, program, *inner.members])
{SLEEP}
"""
    member = run(outer, program)
    # The one that grows meets the outer limit, although its own leaf would let it; a unified tree ends them together.
    wait_until(lambda: len(outer.pids()) in {0, 2} and (member.poll() is not None or grown(outer)))
    outer.kill()
    member.wait(20)
    wait_until(lambda: not outer.pids())
    outer.remove()


def grown(leaf: Leaf) -> bool:
    """Whether the leaf has met its limit."""
    return (leaf.peak_memory() or 0) > 60 * MIB


def test_cores_are_shared_out_by_the_quota(name: str, run: Run) -> None:
    leaf = Leaf.make(name, cpus=0.2)
    member = run(leaf, "while True: pass")
    folder = Path(leaf.places["cpu"])

    def throttled() -> int:
        return int(dict(line.split() for line in (folder / "cpu.stat").read_text().splitlines())["nr_throttled"])

    wait_until(lambda: throttled() >= 5, 30)
    before, began = cpu_seconds(member.pid), time.monotonic()
    wait_until(lambda: time.monotonic() - began >= 1)
    assert (cpu_seconds(member.pid) - before) / (time.monotonic() - began) < 0.4
    leaf.kill()
    member.wait()
    leaf.remove()


def cpu_seconds(pid: int) -> float:
    """What a process has used."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def test_no_more_processes_than_allowed_can_be_started(name: str, run: Run) -> None:
    leaf = Leaf.make(name, processes=5)
    program = """
import os, time
for _ in range(10):
    try:
        if os.fork() == 0: time.sleep(600)
    except BlockingIOError: pass
time.sleep(600)
"""
    run(leaf, program)
    wait_until(lambda: len(leaf.pids()) == 5)
    leaf.kill()
    wait_until(lambda: not leaf.pids())
    leaf.remove()


def test_an_empty_leaf_is_missing_everything_and_does_nothing() -> None:
    leaf = Leaf()
    assert leaf.missing == cgroups.CONTROLLERS
    assert (leaf.places, leaf.members, leaf.pids(), leaf.peak_memory()) == ({}, [], set(), None)
    assert not leaf.out_of_memory()
    assert leaf.join(os.getpid())
    leaf.kill()
    leaf.remove()


def test_a_leaf_of_a_process_that_is_gone_is_swept_and_a_living_one_is_not(name: str, run: Run) -> None:
    program = "from modelyard.core.cgroups import Leaf; print(*Leaf.make().places.values(), sep='\\n')"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    left = [Path(line) for line in said.splitlines()]
    assert left
    assert all(folder.is_dir() for folder in left)
    kept = Leaf.make(name)
    run(kept, SLEEP)
    Leaf.make().remove()
    assert not any(folder.exists() for folder in left)
    assert all(Path(place).is_dir() for place in kept.places.values())
    kept.kill()
    wait_until(lambda: not kept.pids())
    kept.remove()


def test_a_lasting_leaf_without_members_is_swept_once_it_is_old(name: str) -> None:
    kept = Leaf.make(name)
    Leaf.make().remove()
    assert all(Path(place).is_dir() for place in kept.places.values())
    for place in kept.places.values():
        os.utime(place, (0, time.time() - 61))
    Leaf.make().remove()
    assert not any(Path(place).exists() for place in kept.places.values())
