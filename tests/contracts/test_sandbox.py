"""What every sandbox does, whatever shuts its commands in: starts, tells, limits, stops."""

import os
import sys
import threading
import time

import pytest

from modelyard.protocol.processes import Limits
from modelyard.sandbox.base import Command, Verdict
from modelyard.sandbox.choose import SANDBOXES, UNCONFINED

NAMES = SANDBOXES.names()


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture
def begin(name, tmp_path):
    """Start a Python program; the lines that it prints go into the list."""
    running = []

    def run(program: str, lines: list | None = None, **options):
        heard = lines if lines is not None else []
        options = {"limits": Limits(processes=500), "work": tmp_path, **options}
        command = Command(argv=[sys.executable, "-c", program], **options)
        one = SANDBOXES.get(name)().start(command, on_line=lambda *line: heard.append(line))
        running.append(one)
        return one

    yield run
    for one in running:
        one.stop()


def test_the_known_sandboxes_are_the_files_of_the_seam():
    assert NAMES == ["bwrap", "unconfined"]


def test_the_probe_says_whether_it_holds_and_if_not_why(name):
    verdict = SANDBOXES.get(name)().probe()
    assert isinstance(verdict, Verdict)
    assert verdict.holds == (name != UNCONFINED)
    assert verdict.holds or verdict.reason


def test_lines_of_both_streams_and_the_exit_code_come_back(begin):
    lines: list[tuple[str, str]] = []
    outcome = begin("import sys; print('one'); print('two', file=sys.stderr); sys.exit(3)", lines).wait(30)
    assert sorted(lines) == [("err", "two"), ("out", "one")]
    assert (outcome.exit_code, outcome.reason, outcome.limit) == (3, "", "")


def test_the_working_folder_is_the_current_one_and_home(begin, tmp_path):
    begin("import os; open('made', 'w').write(str(os.getcwd() == os.environ['HOME']))").wait(30)
    assert (tmp_path / "made").read_text() == "True"


def test_without_a_working_folder_it_gets_an_empty_one_that_is_gone_afterwards(begin):
    lines: list[tuple[str, str]] = []
    program = "import os; open('made', 'w').write('x'); print(os.listdir('.'), os.getcwd() == os.environ['HOME'])"
    for _ in range(2):
        assert begin(program, lines, work=None).wait(30).exit_code == 0
    assert lines == [("out", "['made'] True")] * 2


def test_nothing_of_the_platforms_environment_is_seen(begin, monkeypatch):
    monkeypatch.setenv("MODELYARD_SECRET", "planted")
    lines: list[tuple[str, str]] = []
    begin("import os; print('MODELYARD_SECRET' in os.environ, os.environ['A'])", lines, environment={"A": "b"}).wait(30)
    assert lines == [("out", "False b")]


def test_descriptor_three_carries_events(begin):
    read, write = os.pipe()
    begin("import os; os.write(3, b'event')", events_fd=write).wait(30)
    os.close(write)
    with os.fdopen(read, "rb") as events:
        assert events.read() == b"event"


def test_waiting_with_a_timeout_answers_none_while_it_runs_and_stop_ends_it(begin):
    one = begin("import time; time.sleep(1000)")
    assert one.wait(0.05) is None
    began = time.monotonic()
    one.stop()
    outcome = one.wait(5)
    assert time.monotonic() - began < 2
    assert outcome.exit_code == 137
    assert outcome.reason == ""
    one.stop()


def test_time_and_file_size_are_limited(begin):
    assert begin("import time; time.sleep(1000)", limits=Limits(seconds=0.3)).wait(30).limit == "seconds"
    big = "file = open('big', 'wb')\nwhile True: file.write(bytes(1 << 20))"
    assert begin(big, limits=Limits(disk=2 << 20)).wait(30).limit == "disk"


def test_it_can_be_started_from_a_thread_that_ends(begin):
    """The kernel ties the death signal to the starting thread."""
    started = []
    lines: list[tuple[str, str]] = []
    thread = threading.Thread(
        target=lambda: started.append(begin("import time; time.sleep(0.3); print('done')", lines))
    )
    thread.start()
    thread.join()
    assert started[0].wait(30).exit_code == 0
    assert lines == [("out", "done")]
