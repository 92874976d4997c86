"""The local runtime with real processes, real kills and callers that die at the worst moments."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from modelyard.core.errors import Conflict, Invalid, NotFound, Unavailable
from modelyard.core.settings import Database, Replicas, Settings
from modelyard.protocol.jobs import Failure
from modelyard.runtimes import kernel, local
from modelyard.runtimes.local import LocalRuntime
from modelyard.runtimes.opened import open_runtime

ORPHANS = """
ignore = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
# One write each: print would write the end of the line apart, and two lines could run into one.
stay = "; os.write(1, b'%d\\\\n' % os.getpid()); time.sleep(600)"
away = "os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0)"
for how in ("pass", "os.setsid()", away):
    subprocess.Popen([sys.executable, "-c", ignore + how + stay])
while len(path.with_suffix(".log").read_text().split()) < 3: time.sleep(0.01)
print("ready")
time.sleep(600)
"""

# A caller in a process of its own, which can be killed. `moment` is code that runs before the start.
CALLER = """
import os, signal, sys
from pathlib import Path
from modelyard.core.settings import Settings
from modelyard.protocol.processes import ProcessSpec
from modelyard.runtimes.local import LocalRuntime
data, script, moment = sys.argv[1:]
commands = {role: (sys.executable, script) for role in ("worker", "replica")}
runtime = LocalRuntime(Settings(data=Path(data)), commands=commands)
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
exec(moment)
print("go", flush=True)
runtime.start(ProcessSpec(id="one", role="worker", payload=b'{"program": "time.sleep(600)"}'))
"""


def call(bench, moment: str = "pass") -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", CALLER, str(bench.settings.data), bench.commands["worker"][1], moment]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


def test_a_started_process_is_listed_with_its_labels_and_runs_in_a_session_of_its_own(bench):
    started = bench.runtime.start(bench.spec())
    (listed,) = bench.runtime.list()
    assert listed == started
    assert (listed.id, listed.role, listed.labels, listed.alive, listed.exit_code) == (
        "one",
        "worker",
        {"for": "one"},
        True,
        None,
    )
    assert os.getsid(listed.pid) == listed.pid
    assert abs(listed.started_at - time.time()) < 30


def test_starting_the_same_id_twice_is_one_process(bench):
    first = bench.runtime.start(bench.spec())
    assert bench.runtime.start(bench.spec()).pid == first.pid
    bench.wait(lambda: bench.ours() == [first.pid])


def test_many_callers_that_start_the_same_id_at_once_start_one_process(bench):
    gate = threading.Barrier(8)

    def start(_: int) -> int | None:
        gate.wait()
        return bench.open().start(bench.spec()).pid

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(start, range(8)))) == 1
    bench.wait(lambda: len(bench.ours()) == 1)


def test_starting_the_id_of_a_process_that_has_ended_answers_the_end_and_starts_nothing(bench):
    bench.runtime.start(bench.spec("sys.exit(3)"))
    bench.ended()
    again = bench.runtime.start(bench.spec())
    assert (again.alive, again.exit_code) == (False, 3)
    assert bench.ours() == []


def test_another_runtime_on_the_same_folder_sees_the_process_and_stops_it(bench):
    started = bench.runtime.start(bench.spec())
    other = bench.open()
    assert [process.pid for process in other.list()] == [started.pid]
    other.stop("one")
    assert bench.ours() == []
    assert bench.runtime.list()[0].exit_code == -signal.SIGTERM


@pytest.mark.parametrize(("program", "code"), [("sys.exit(7)", 7), ("os.kill(os.getpid(), 9)", -9), ("pass", 0)])
def test_an_end_is_told_with_its_exit_code_and_leaves_no_zombie(bench, program, code):
    pid = bench.runtime.start(bench.spec(program)).pid
    assert bench.ended().exit_code == code
    assert kernel.stat(pid) is None


def test_a_process_whose_caller_was_killed_goes_on_and_is_adopted(bench):
    caller = call(bench)
    bench.wait(lambda: [p for p in bench.runtime.list() if p.pid])
    caller.kill()
    caller.communicate()
    (process,) = bench.runtime.list()
    assert process.alive
    assert bench.runtime.start(bench.spec()).pid == process.pid
    bench.runtime.stop("one")
    assert bench.ours() == []


def test_a_caller_killed_before_the_spawn_leaves_an_intent_that_the_next_start_fulfils(bench):
    caller = call(bench, "LocalRuntime._spawn = die")
    caller.communicate()
    assert [process.alive for process in bench.runtime.list()] == [False]
    assert bench.runtime.start(bench.spec()).alive
    bench.wait(lambda: len(bench.ours()) == 1)


def test_a_caller_killed_right_after_the_spawn_leaves_a_process_that_is_found_and_not_started_again(bench):
    caller = call(bench, "LocalRuntime._begun = die")
    caller.communicate()
    started = bench.runtime.start(bench.spec())
    assert started.alive
    bench.wait(lambda: bench.ours() == [started.pid])
    assert [process.pid for process in bench.open().list()] == [started.pid]


def test_a_caller_killed_right_after_the_spawn_leaves_a_process_that_can_be_stopped(bench):
    call(bench, "LocalRuntime._begun = die").communicate()
    bench.runtime.stop("one", grace=2)
    assert bench.ours() == []
    assert not bench.runtime.list()[0].alive


def test_a_caller_killed_at_any_moment_leaves_one_process_after_the_next_start(bench):
    chance = random.Random(7)
    for _ in range(6):
        caller = call(bench)
        assert caller.stdout is not None
        caller.stdout.readline()
        time.sleep(chance.uniform(0, 0.006))
        caller.kill()
        caller.communicate()
        started = bench.runtime.start(bench.spec())
        bench.wait(lambda started=started: bench.ours() == [started.pid])
        bench.runtime.stop("one", grace=0)
        bench.runtime.forget("one")


def test_stop_ends_grandchildren_that_ignored_the_signal_left_the_session_or_forked_away(bench):
    bench.runtime.start(bench.spec(ORPHANS))
    bench.wait_for_line("ready")
    assert len(bench.ours()) == 4
    bench.runtime.stop("one", grace=0.5)
    assert bench.ours() == []


def test_stop_ends_what_a_process_that_was_killed_left_behind(bench):
    process = bench.runtime.start(bench.spec(ORPHANS))
    bench.wait_for_line("ready")
    os.kill(process.pid, signal.SIGKILL)
    bench.ended()
    assert len(bench.ours()) == 3
    bench.runtime.stop("one")
    assert bench.ours() == []


def test_forget_ends_what_a_process_that_was_killed_left_behind(bench):
    process = bench.runtime.start(bench.spec(ORPHANS))
    bench.wait_for_line("ready")
    os.kill(process.pid, signal.SIGKILL)
    bench.ended()
    bench.runtime.forget("one")
    assert bench.ours() == []


def test_stop_waits_for_a_process_that_ends_by_itself_in_its_grace(bench):
    bench.runtime.start(
        bench.spec(
            "signal.signal(15, lambda *_: (time.sleep(0.3), print('tidy'), sys.exit(4))); print('up'); time.sleep(600)"
        )
    )
    bench.wait_for_line("up")
    bench.runtime.stop("one", grace=10)
    assert bench.runtime.list()[0].exit_code == 4
    assert "tidy" in bench.runtime.logs("one")


def test_stop_kills_a_process_that_does_not_end_in_its_grace(bench):
    bench.runtime.start(bench.spec("signal.signal(15, signal.SIG_IGN); print('up'); time.sleep(600)"))
    bench.wait_for_line("up")
    began = time.monotonic()
    bench.runtime.stop("one", grace=0.3)
    assert 0.3 <= time.monotonic() - began < 3
    assert bench.runtime.list()[0].exit_code == -signal.SIGKILL


def test_stopping_and_forgetting_what_is_unknown_or_gone_is_no_error(bench):
    bench.runtime.stop("nobody")
    bench.runtime.forget("nobody")
    bench.runtime.start(bench.spec("pass"))
    bench.ended()
    bench.runtime.stop("one")
    bench.runtime.stop("one")


def test_forget_drops_every_file_of_a_dead_process_and_refuses_a_living_one(bench):
    bench.runtime.start(bench.spec("Path(f'{path}.failure').write_text('{}'); time.sleep(600)"))
    with pytest.raises(Conflict, match="Stop it first"):
        bench.runtime.forget("one")
    bench.runtime.stop("one")
    bench.runtime.forget("one")
    assert bench.runtime.list() == []
    assert list((bench.settings.run_folder / "processes").iterdir()) == []
    assert bench.runtime.start(bench.spec()).alive


def test_a_pid_that_the_kernel_gave_to_somebody_else_is_neither_alive_nor_killed(bench):
    bench.runtime.start(bench.spec("pass"))
    bench.ended()
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    try:
        path = bench.settings.run_folder / "processes" / "one.json"
        record = local.msgspec.json.decode(path.read_bytes(), type=local.Record)
        path.write_bytes(
            local.msgspec.json.encode(
                local.msgspec.structs.replace(record, ended=False, pid=stranger.pid, exit_code=None)
            )
        )
        bench.runtime.stop("one", grace=0)
        (process,) = bench.runtime.list()
        assert (process.alive, process.exit_code) == (False, None)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_record_of_an_earlier_boot_is_a_dead_process(bench):
    pid = bench.runtime.start(bench.spec()).pid
    path = bench.settings.run_folder / "processes" / "one.json"
    path.write_text(path.read_text().replace(kernel.boot(), "another-boot"))
    assert [process.alive for process in bench.open().list()] == [False]
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_the_reason_that_a_process_wrote_before_it_gave_up_is_told(bench):
    text = '{"code": "checksum", "message": "The version folder is damaged. Train again."}'
    bench.runtime.start(bench.spec(f"Path(str(path) + '.failure').write_text({text!r}); sys.exit(1)"))
    assert bench.ended().failure == Failure(code="checksum", message="The version folder is damaged. Train again.")


def test_the_address_is_told_once_the_socket_is_there(bench):
    socket = bench.folder / "r.sock"
    program = (
        "import socket; s = socket.socket(socket.AF_UNIX); input_ = path.with_name('go')\n"
        "while not input_.exists(): time.sleep(0.01)\n"
        "s.bind(payload['address'].removeprefix('unix:')); s.listen(); time.sleep(600)"
    )
    spec = bench.spec(program, role="replica", address=f"unix:{socket}")
    assert bench.runtime.start(spec).address is None
    (bench.settings.run_folder / "processes" / "go").touch()
    bench.wait(lambda: bench.runtime.list()[0].address == f"unix:{socket}")
    bench.runtime.stop("one", grace=0)
    assert bench.runtime.list()[0].address is None
    bench.runtime.forget("one")
    assert not socket.exists()


def test_the_last_lines_of_both_streams_are_kept(bench):
    bench.runtime.start(bench.spec("[print('line', n) for n in range(300)]; print('wrong', file=sys.stderr)"))
    bench.ended()
    assert bench.runtime.logs("one", lines=3) == ["line 298", "line 299", "wrong"]
    assert len(bench.runtime.logs("one", lines=1000)) == 301
    assert list(bench.runtime.logs("nobody")) == []


def test_a_log_that_grows_is_cut_and_the_last_lines_are_still_there(bench, monkeypatch):
    monkeypatch.setattr(local, "LOG_BYTES", 10_000)
    bench.runtime.start(bench.spec("[print('x' * 99) for n in range(200)]; print('before'); time.sleep(600)"))
    bench.wait_for_line("before")
    bench.runtime.list()
    log = bench.settings.run_folder / "processes" / "one.log"
    assert log.stat().st_size == 0
    assert bench.runtime.logs("one", lines=1) == ["before"]


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "x" * 101, "a b", "a\n"])
def test_an_id_that_is_no_file_name_is_refused(bench, name):
    with pytest.raises(Invalid, match="cannot be the id"):
        bench.runtime.start(bench.spec(name=name))
    assert bench.ours() == []


def test_a_program_that_is_not_there_is_an_error_and_leaves_no_record(bench):
    runtime = LocalRuntime(bench.settings, commands={"worker": ("/nowhere/python",), "replica": ("/nowhere/python",)})
    with pytest.raises(Unavailable, match="No such file"):
        runtime.start(bench.spec())
    assert runtime.list() == []


def test_the_process_reads_the_same_settings_and_no_database_url(bench):
    program = "print(sorted(name for name in os.environ if name.startswith('MODELYARD_')))"
    settings = Settings(data=bench.settings.data, log_level="debug", database=Database(url="postgresql://u:secret@h/d"))
    LocalRuntime(settings, commands=bench.commands).start(bench.spec(program))
    bench.ended()
    assert bench.runtime.logs("one") == ["['MODELYARD_DATA', 'MODELYARD_LOG_LEVEL']"]


def test_files_of_processes_are_for_their_owner_only(bench):
    bench.runtime.start(bench.spec())
    folder = bench.settings.run_folder / "processes"
    assert folder.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())


def test_runtimes_are_opened_by_their_name(tmp_path: Path):
    assert isinstance(open_runtime(Settings(data=tmp_path)), LocalRuntime)
    with pytest.raises(NotFound, match="local"):
        open_runtime(Settings(data=tmp_path, replicas=Replicas(runtime="moon")))
