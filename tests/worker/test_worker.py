"""The worker process: claims, renews, reports, finishes, and ends when it should. Real processes on a real socket."""

import fcntl
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from modelyard.core.settings import Jobs, Sandbox, child_environment

SLEEPER = """
import os, sys, time
open('started', 'w').close()
print('started', flush=True)
if os.fork() == 0:
    os.setsid()
time.sleep(1000)
"""


@pytest.fixture
def until():
    def wait(what, seconds: float = 20.0):
        deadline = time.monotonic() + seconds
        while not (value := what()):
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.01)
        return value

    return wait


def scratch(settings) -> list[Path]:
    return list((settings.data / "scratch").glob("*")) if (settings.data / "scratch").exists() else []


def test_a_job_is_claimed_reported_and_finished(api, begin, settings):
    worker = begin("test-greet", greeting="hello")
    assert worker.end() == 0
    assert api.finish["outcome"] == "succeeded", (api.finish, worker.log.read_text())
    assert api.finish["result"]["greeting"] == "hello"
    assert api.verbs()[0] == "claim"
    assert api.verbs()[-1] == "finish"
    assert [event["fraction"] for event in api.of("progress")] == [0.5, 0.5]
    assert api.lines() == ["hello[2Jthere"]
    assert api.of("metric")[0]["value"] == 0.25
    assert (settings.data / "objects" / "answers" / "one").read_bytes() == b"1"


def test_nothing_remains_in_scratch_even_of_a_dead_worker(api, begin, settings):
    api.token, api.attempt = 2, 2
    left = settings.data / "scratch" / "job_01TEST-1"
    (left / "closed").mkdir(parents=True)
    (left / "closed" / "file").write_text("x")
    (left / "closed").chmod(0)
    other = settings.data / "scratch" / "job_01TESTING-1"
    other.mkdir()
    assert begin("test-greet", token=2, greeting="").end() == 0
    assert Path(api.finish["result"]["scratch"]).name == "job_01TEST-2"
    assert scratch(settings) == [other]
    assert any("Attempt 2" in line for line in api.lines())


def test_signs_of_life_come_twice_a_second_while_the_recipe_is_busy(api, begin, until):
    begin("test-busy")
    until(lambda: api.verbs().count("heartbeat") >= 4)
    times = [at for at, verb, _ in api.heard if verb == "heartbeat"]
    assert (times[-1] - times[0]) / (len(times) - 1) < 1.0


def test_what_runs_shut_in_reports_through_the_worker(api, begin):
    program = """
import json, os, sys
def tell(**event): os.write(3, json.dumps(event).encode() + b"\\n")
print("from inside"); print("a warning", file=sys.stderr)
tell(type="progress", phase="fitting", fraction=0.5, eta_seconds=10)
tell(type="metric", name="loss", step=3, value=0.5, at=0)
tell(type="log", line="forged", at=0, stream="platform")
open("model.onnx", "w").close()
"""
    worker = begin("test-shut-in", program=program, span=[0.2, 0.6])
    assert worker.end() == 0
    assert api.finish["result"] == {"files": ["model.onnx"]}, (api.finish, worker.log.read_text())
    progress = api.of("progress")[0]
    assert (progress["phase"], progress["fraction"]) == ("fitting", pytest.approx(0.4))
    assert progress["eta_seconds"] >= 10
    assert api.of("metric")[0]["at"] > 1e9
    streams = {event["line"]: event["stream"] for event in api.of("log")}
    assert streams == {"from inside": "out", "a warning": "err", "forged": "out"}


def test_nonsense_from_inside_is_dropped_and_said_once(api, begin):
    program = """
import os
for _ in range(3):
    os.write(3, b'not json\\n')
    os.write(3, b'{"type":"finish","token":1}\\n')
os.write(3, b'{"type":"progress","phase":"x","fraction":NaN}\\n')
os.write(3, b'{"type":"metric","name":"x","step":1,"value":1e999,"at":0}\\n')
os.write(3, b'[' * 60000 + b'\\n')
with os.fdopen(3, "wb") as events:
    events.write(b'{"type":"log","at":0,"line":"' + b'x' * 300_000 + b'"}\\n')
    events.write(b'{"type":"progress","phase":"kept","fraction":7.5}\\n')
"""
    worker = begin("test-shut-in", program=program)
    assert worker.end() == 0
    assert api.finish["outcome"] == "succeeded", (api.finish, worker.log.read_text())
    assert [(event["phase"], event["fraction"]) for event in api.of("progress")] == [("kept", 1.0)]
    assert not api.of("metric")
    assert sum("could not be read" in line for line in api.lines()) == 1
    assert len(api.lines()) == len(set(api.lines())) <= 3


def test_a_flood_of_events_is_thinned(api, begin):
    program = """
import os
with os.fdopen(3, "wb") as events:
    for step in range(30_000):
        events.write(b'{"type":"metric","name":"loss","step":%d,"value":0.5,"at":0}\\n' % step)
"""
    assert begin("test-shut-in", program=program).end() == 0
    assert 5_000 <= len(api.of("metric")) < 15_000
    assert any("500 events a second" in line for line in api.lines())


@pytest.mark.parametrize(
    ("note", "code", "message"),
    [
        (
            '{"code":"no_variance","message":"All values are equal.\\u001b[2J"}',
            "no_variance",
            "All values are equal.[2J",
        ),
        ('{"code":"NOT A CODE","message":"x"}', "training_failed", "x"),
        ("nonsense", "training_failed", "The job ended with exit code 4 without saying why."),
    ],
)
def test_the_reason_that_the_command_leaves_is_the_jobs(api, begin, note, code, message):
    begin("test-shut-in", program=f"open('failure.json', 'w').write({note!r}); raise SystemExit(4)").end()
    assert api.finish["outcome"] == "failed"
    assert api.finish["failure"]["code"] == code
    assert api.finish["failure"]["message"].startswith(message)
    assert api.finish["failure"]["message"] in api.lines()[-1]


@pytest.mark.parametrize(
    "program",
    [
        "import os; os.symlink('/etc/hostname', 'failure.json'); raise SystemExit(4)",
        "import os; os.mkfifo('failure.json'); raise SystemExit(4)",
        "import os; os.mkdir('failure.json'); raise SystemExit(4)",
        "open('failure.json', 'w').write(' ' * 70_000 + '{\"code\":\"x\",\"message\":\"y\"}'); raise SystemExit(4)",
    ],
)
def test_a_trap_in_place_of_the_reason_is_not_followed(api, begin, program):
    assert begin("test-shut-in", program=program).end() == 0
    assert api.finish["failure"]["code"] == "training_failed"


@pytest.mark.parametrize("settings", [{"jobs": Jobs(memory=160 << 20, lease_seconds=10)}], indirect=True)
def test_a_limit_is_the_reason_where_one_ended_it(api, begin):
    begin("test-shut-in", program="kept = []\nwhile True: kept.append(bytearray(8 << 20))").end()
    failure = api.finish["failure"]
    assert failure["code"] == "out_of_memory"
    assert failure["message"].startswith("The job used more than 160 MiB of memory. ")


@pytest.mark.parametrize(
    ("how", "code", "message"),
    [
        ("job", "no_rows", "There are no rows."),
        ("platform", "invalid", "The target is missing."),
        ("disk", "out_of_space", "The disk of the machine"),
        ("bug", "internal", "The job ended because of an error in the platform itself."),
    ],
)
def test_every_way_to_break_ends_in_a_sentence(api, begin, settings, how, code, message):
    worker = begin("test-raise", how=how)
    assert worker.end() == 0
    failure = api.finish["failure"]
    assert (api.finish["outcome"], failure["code"]) == ("failed", code)
    assert failure["message"].startswith(message)
    assert "hunter2" not in str(api.finish) + str(api.lines())
    assert ("hunter2" in worker.log.read_text()) == (how == "bug")
    assert not scratch(settings)


def test_an_unknown_kind_of_job_fails_with_the_known_ones(api, begin):
    begin("test-nothing").end()
    assert api.finish["failure"]["code"] == "not_found"
    assert "test-greet" in api.finish["failure"]["message"]


def test_stop_reaches_what_runs_shut_in_within_two_seconds(api, begin, until, settings, mark, marked):
    begin("test-shut-in", program=SLEEPER, arguments=[mark])
    until(lambda: "started" in api.lines())
    assert marked(mark)
    asked = time.monotonic()
    api.stop = True
    until(lambda: api.finish)
    assert api.finished_at - asked < 2
    assert api.finish["outcome"] == "stopped"
    assert not marked(mark)
    assert not scratch(settings)


def test_stop_reaches_a_recipe_that_does_not_come_back(api, begin, until):
    worker = begin("test-busy")
    until(lambda: api.of("progress"))
    asked = time.monotonic()
    api.stop = True
    until(lambda: api.finish)
    assert api.finished_at - asked < 2
    assert api.finish["outcome"] == "stopped"
    assert worker.end() == 0


def test_stop_reaches_a_recipe_in_its_next_call(api, begin, until):
    worker = begin("test-chatty")
    until(lambda: api.of("metric"))
    api.stop = True
    assert worker.end(5) == 0
    assert api.finish["outcome"] == "stopped"


def test_a_worker_that_is_asked_to_leave_gives_the_job_back(api, begin, until, settings, mark, marked):
    worker = begin("test-shut-in", program=SLEEPER, arguments=[mark])
    until(lambda: "started" in api.lines())
    worker.process.send_signal(signal.SIGTERM)
    assert worker.end(5) == 0
    assert api.finish["outcome"] == "released"
    assert not marked(mark)
    assert not scratch(settings)


def test_a_fenced_worker_kills_its_child_and_writes_nothing_more(api, begin, until, settings, mark, marked):
    worker = begin("test-shut-in", program=SLEEPER, arguments=[mark])
    until(lambda: "started" in api.lines())
    api.token = 2
    assert worker.end(5) == 76
    assert api.finish is None
    assert "finish" not in api.verbs()
    assert not marked(mark)
    assert not scratch(settings)


def test_a_worker_that_comes_too_late_does_nothing(api, begin):
    api.token = 2
    assert begin("test-greet", greeting="").end() == 76
    assert api.verbs() == ["claim"]


def test_an_api_that_comes_back_finds_every_event_once_and_in_order(api, begin, until):
    worker = begin("test-chatty")
    until(lambda: len(api.of("metric")) > 20)
    api.go()
    time.sleep(1.5)  # the outage itself
    api.come()
    api.failing = True
    heard = len(api.heard)
    until(lambda: len(api.heard) > heard + 1)
    api.failing = False
    count = len(api.of("metric"))
    until(lambda: len(api.of("metric")) > count + 100)
    api.stop = True
    assert worker.end(5) == 0
    assert sorted(api.events) == list(range(len(api.events)))
    assert [event["step"] for event in api.of("metric")] == list(range(len(api.events)))


def test_a_worker_without_an_api_ends_its_child_before_its_lease_is_over(api, begin, until, settings, mark, marked):
    api.lease_seconds = 3.0
    worker = begin("test-shut-in", program=SLEEPER, arguments=[mark])
    until(lambda: "started" in api.lines())
    went = time.monotonic()
    api.go()
    assert worker.end(10) == 75
    assert time.monotonic() - went < 3.5
    assert not marked(mark)
    assert not scratch(settings)


def test_the_last_word_is_repeated_until_it_is_taken(api, begin, until):
    worker = begin("test-shut-in", program="print('started', flush=True); import time; time.sleep(1)")
    until(lambda: "started" in api.lines())
    api.go()
    time.sleep(2)  # the program ends meanwhile
    assert worker.process.poll() is None
    api.come()
    assert worker.end(5) == 0
    assert api.finish["outcome"] == "succeeded"


def test_a_result_that_the_api_refuses_is_a_failure(api, begin):
    api.refuse_finish = True
    assert begin("test-greet", greeting="").end() == 0
    assert (api.finish["outcome"], api.finish["failure"]["code"]) == ("failed", "refused")


def test_a_killed_worker_takes_what_runs_shut_in_with_it(api, begin, until, mark, marked):
    worker = begin("test-shut-in", program=SLEEPER, arguments=[mark])
    until(lambda: "started" in api.lines())
    assert len(marked(mark)) >= 2
    worker.process.kill()
    until(lambda: not marked(mark), 2)


@pytest.mark.parametrize("settings", [{"jobs": Jobs(lease_seconds=0.5)}], indirect=True)
def test_where_no_api_answers_at_all_the_reason_is_left_beside_the_orders(api, begin):
    api.go()
    worker = begin("test-greet", greeting="")
    assert worker.end(10) == 3
    assert worker.failure["code"] == "unavailable"
    assert "job_01TEST could not be claimed" in worker.failure["message"]


@pytest.mark.parametrize("orders", ["", "{}", '{"job": 1}', "\ud800"])
def test_orders_that_cannot_be_read_are_answered_with_a_sentence(settings, tmp_path, orders):
    spec = tmp_path / "spec"
    spec.write_text(orders, errors="surrogatepass")
    done = subprocess.run(
        [sys.executable, "-m", "modelyard.worker", str(spec)],
        env=child_environment(settings),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert json.loads((tmp_path / "spec.failure").read_text())["code"] == "malformed"


NO_SANDBOX = [{"sandbox": Sandbox(kind="unconfined", allow_builtin=True)}]


@pytest.mark.parametrize("settings", NO_SANDBOX, indirect=True)
def test_without_a_sandbox_built_in_code_runs_where_allowed_and_the_log_says_so(api, begin):
    program = 'import os; os.write(3, b\'{"type":"progress","phase":"x","fraction":1}\\n\'); open(\'made\', \'w\')'
    begin("test-built-in", program=program).end()
    assert api.finish["result"] == {"files": ["made"]}
    assert api.lines()[0].startswith("No sandbox holds on this machine")
    assert api.of("progress")[0]["fraction"] == 1.0


@pytest.mark.parametrize("settings", NO_SANDBOX, indirect=True)
def test_without_a_sandbox_foreign_code_is_refused(api, begin):
    begin("test-shut-in", program="open('made', 'w')").end()
    assert api.finish["failure"]["code"] == "sandbox_missing"


ALONE = """
import sys, pathlib, msgspec
from modelyard.core.settings import from_environment
from modelyard.protocol.processes import WorkerSpec
from modelyard.worker.main import run
spec = msgspec.json.decode(pathlib.Path(sys.argv[1]).read_bytes(), type=WorkerSpec)
sys.exit(run(spec, from_environment(), alone_seconds=0.5))
"""


def test_a_worker_leaves_once_nobody_runs_the_platform_any_more(api, begin, until, settings, tmp_path):
    entry = tmp_path / "alone.py"
    entry.write_text(ALONE)
    with (settings.data / "up.lock").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        worker = begin("test-busy", entry=[str(entry)])
        until(lambda: api.verbs().count("heartbeat") >= 3)
        assert worker.process.poll() is None
    assert worker.end(10) == 0
    assert api.finish["outcome"] == "released"
