"""What a computing environment allows, held for real: by control groups where they can be made, else by rlimits."""

import json
import os
import signal
from pathlib import Path

import pytest

from modelyard.core.cgroups import CONTROLLERS, Leaf
from modelyard.protocol.jobs import Failure
from modelyard.protocol.processes import Limits
from modelyard.runtimes.local import LocalRuntime

MIB = 1 << 20
HOG = "kept = []\nwhile True: kept.append(b'x' * (4 << 20))"
HOG_WHEN_ASKED = f"go = path.with_name('go')\nwhile not go.exists(): time.sleep(0.01)\n{HOG}"


def missing() -> tuple[str, ...]:
    leaf = Leaf.make()
    leaf.remove()
    return leaf.missing


MISSING = missing()
needs_cgroups = pytest.mark.skipif(MISSING != (), reason=f"no cgroup can be written here for {', '.join(MISSING)}")


def places(bench, name: str = "one") -> dict[str, str]:
    """Where the cgroups of a process are."""
    return json.loads((bench.settings.run_folder / "processes" / f"{name}.json").read_text())["cgroups"]


def go(bench) -> None:
    (bench.settings.run_folder / "processes" / "go").touch()


@needs_cgroups
def test_a_process_that_uses_too_much_memory_is_ended_and_the_reason_is_told(bench):
    bench.runtime.start(bench.spec(HOG_WHEN_ASKED, limits=Limits(memory=200 * MIB)))
    leaf = places(bench)
    go(bench)
    ended = bench.ended()
    assert ended.exit_code == -signal.SIGKILL
    assert ended.failure == Failure(
        code="out_of_memory", message="it used more than its 200 MiB of memory", detail={"memory": 200 * MIB}
    )
    assert not any(Path(place).exists() for place in leaf.values())


@needs_cgroups
def test_what_comes_of_a_process_is_bound_with_it(bench):
    program = f"subprocess.Popen([sys.executable, '-c', {HOG!r}]).wait(); print('child ended'); time.sleep(600)"
    bench.runtime.start(bench.spec(program, limits=Limits(memory=200 * MIB)))
    bench.wait(lambda: Leaf(places(bench)).out_of_memory())
    bench.runtime.stop("one", grace=0)
    assert bench.ours() == []


@needs_cgroups
def test_a_process_that_is_killed_by_somebody_gives_no_such_reason(bench):
    process = bench.runtime.start(bench.spec(limits=Limits(memory=200 * MIB, cpus=1)))
    os.kill(process.pid, signal.SIGKILL)
    assert bench.ended().failure is None


@needs_cgroups
def test_cores_and_processes_are_limited(bench):
    program = (
        "for _ in range(20):\n"
        "    try: subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "    except BlockingIOError: print('refused')\n"
        "while True: pass"
    )
    bench.runtime.start(bench.spec(program, limits=Limits(cpus=0.3, processes=8)))
    stat = Path(places(bench)["cpu"], "cpu.stat")
    bench.wait(lambda: dict(line.split() for line in stat.read_text().splitlines())["nr_throttled"] >= "1")
    bench.wait(lambda: list(bench.runtime.logs("one")).count("refused") == 13)
    bench.wait(lambda: len(bench.ours()) == 8)


@needs_cgroups
def test_a_process_found_by_a_later_runtime_keeps_its_limits(bench):
    started = bench.runtime.start(bench.spec(HOG_WHEN_ASKED, limits=Limits(memory=200 * MIB)))
    other = bench.open()
    assert [process.pid for process in other.list()] == [started.pid]
    assert Leaf(places(bench)).pids() == {started.pid}
    go(bench)
    ended = bench.wait(lambda: next((process for process in other.list() if not process.alive), None))
    assert ended.failure.message == "it used more than its 200 MiB of memory"


@needs_cgroups
def test_a_process_whose_start_was_not_noted_is_limited_once_it_is_found_with_its_children(bench, monkeypatch):
    child = "import time; time.sleep(600)"
    program = f"subprocess.Popen([sys.executable, '-c', {child!r}]); print('up'); time.sleep(600)"
    with monkeypatch.context() as patch:
        patch.setattr(LocalRuntime, "_begun", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            bench.runtime.start(bench.spec(program, limits=Limits(memory=200 * MIB, cpus=1)))
    bench.wait_for_line("up")
    (found,) = bench.open().list()
    assert found.alive
    bench.wait(lambda: len(bench.ours()) == 2)
    assert Leaf(places(bench)).pids() == set(bench.ours())


@needs_cgroups
def test_no_control_group_remains_of_what_was_killed_with_its_controller(bench):
    process = bench.runtime.start(bench.spec(limits=Limits(memory=200 * MIB, cpus=1, processes=50)))
    leaf = places(bench)
    assert all(Path(place).is_dir() for place in leaf.values())
    os.kill(process.pid, signal.SIGKILL)
    os.waitpid(process.pid, 0)
    bench.open().list()
    assert not any(Path(place).exists() for place in leaf.values())


@needs_cgroups
@pytest.mark.parametrize("grace", [5.0, 0.0])
def test_no_control_group_remains_of_what_is_stopped(bench, grace):
    child = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
    program = f"subprocess.Popen([sys.executable, '-c', {child!r}], start_new_session=True); time.sleep(600)"
    bench.runtime.start(bench.spec(program, limits=Limits(memory=200 * MIB)))
    leaf = places(bench)
    bench.wait(lambda: len(bench.ours()) == 2)
    bench.runtime.stop("one", grace=grace)
    assert bench.ours() == []
    assert not any(Path(place).exists() for place in leaf.values())


def test_without_control_groups_memory_is_limited_by_the_kernels_other_means_and_the_log_says_so(bench, caplog):
    caplog.set_level("INFO", logger="modelyard.runtimes")
    program = (
        "import resource\n"
        "while resource.getrlimit(resource.RLIMIT_DATA)[0] != 200 << 20: time.sleep(0.01)\n"
        "try: bytearray(400 << 20)\n"
        "except MemoryError: print('memory')\n"
    )
    runtime = LocalRuntime(bench.settings, commands=bench.commands, cgroups=False)
    runtime.start(bench.spec(program, limits=Limits(memory=200 * MIB, cpus=1, processes=50)))
    assert bench.ended().failure is None
    assert bench.runtime.logs("one") == ["memory"]
    assert places(bench) == {}
    assert caplog.messages == [
        "one: memory limited for each process alone (RLIMIT_DATA); pids, cpu not limited: "
        "no control group can be used here"
    ]


@needs_cgroups
def test_the_log_says_what_control_groups_limit(bench, caplog):
    caplog.set_level("INFO", logger="modelyard.runtimes")
    bench.runtime.start(bench.spec(limits=Limits(memory=200 * MIB, cpus=1, processes=50)))
    assert caplog.messages == [f"one: {', '.join(CONTROLLERS)} limited by control groups"]


def test_a_file_above_the_limit_is_refused(bench):
    program = (
        "import resource; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "while resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1000: time.sleep(0.01)\n"
        "try: path.with_name('big').write_bytes(b'x' * 2000)\n"
        "except OSError: print('disk')\n"
    )
    bench.runtime.start(bench.spec(program, limits=Limits(disk=1000)))
    bench.ended()
    assert bench.runtime.logs("one") == ["disk"]
    assert places(bench) == {}


@pytest.mark.parametrize(("cpus", "threads"), [(0.5, 1), (1, 1), (1.5, 2), (1000, 1000)])
def test_numeric_libraries_get_as_many_threads_as_there_are_cores_for_them(bench, cpus, threads):
    bench.runtime.start(bench.spec("print(os.environ['OMP_NUM_THREADS'])", limits=Limits(cpus=cpus)))
    bench.ended()
    assert bench.runtime.logs("one") == [str(min(threads, len(os.sched_getaffinity(0))))]
