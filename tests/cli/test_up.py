"""`modelyard up` with real processes that stand in for the platform's, real signals and real kills."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from modelyard.cli.supervisor import lock
from modelyard.cli.supervisor.child import Backoff, described
from modelyard.cli.supervisor.log import Lines, Log, Tail, short
from modelyard.cli.supervisor.services import listen, services, url
from modelyard.core.errors import Conflict, Forbidden, Invalid
from modelyard.core.settings import Server, Settings
from modelyard.runtimes import kernel
from modelyard.runtimes.local import LocalRuntime

# What stands in for a process of the platform. argv: kind, then words that change how it behaves.
SERVICE = """
import http.server, json, os, signal, socket, socketserver, subprocess, sys, time
from pathlib import Path
kind, words = sys.argv[1], sys.argv[2:]
data = Path(os.environ["MODELYARD_DATA"])
print(f"INFO {kind} begins", flush=True)
if f"{kind}-fails" in words:
    sys.exit("ERROR no such table: jobs")
if "stubborn" in words:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, lambda *_: (print(f"{kind} leaves at {time.time()}", flush=True), sys.exit(0)))

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    def address_string(self): return ""
    def log_message(self, *_): pass

if kind == "api":
    first = data / "first-login.json"
    if not first.exists():
        first.write_text(json.dumps({"url": "", "username": "admin", "password": "once-1", "api_key": "my_key_1"}))
    from modelyard.core.settings import from_environment
    path = from_environment().api_socket
    path.unlink(missing_ok=True)
    socketserver.UnixStreamServer(str(path), Handler).serve_forever()
if kind == "gateway":
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
    server.socket = socket.socket(fileno=int(os.environ["MODELYARD_SERVER_LISTEN_FD"]))
    server.serve_forever()

from modelyard.core.settings import from_environment
from modelyard.protocol.processes import ProcessSpec
from modelyard.runtimes.local import LocalRuntime
commands = {role: (sys.executable, __file__, role, *words) for role in ("worker", "replica")}
runtime = LocalRuntime(from_environment(), commands=commands)
if kind == "controller":
    for role in ("worker", "replica"):
        held = runtime.start(ProcessSpec(id=f"{role}_1", role=role, payload=b"{}"))
        if not held.alive:
            runtime.forget(held.id)
            runtime.start(ProcessSpec(id=held.id, role=role, payload=b"{}"))
if kind == "worker":
    script = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    subprocess.Popen([sys.executable, "-c", script], start_new_session=True)
print("WARNING deep in " + kind, flush=True)
while True: time.sleep(600)
"""

UP = """
import dataclasses, sys
from pathlib import Path
import modelyard.cli.main as frame
from modelyard.cli import up
from modelyard.cli.supervisor.services import services
from modelyard.runtimes.local import LocalRuntime
service, data, port, gateways, *words = sys.argv[1:]
run = up.run
def wanted(settings):
    return [dataclasses.replace(s, argv=[sys.executable, service, s.kind, *words]) for s in services(settings)]
up.run = lambda settings: run(settings, wanted=wanted)
frame.main(["up", "--data", data, "--port", port])
"""


class Up:
    """One `up` in a process of its own."""

    def __init__(self, folder: Path, *words: str, port: int = 0, before: tuple[str, ...] = ()) -> None:
        self.settings = Settings(data=folder / "data")
        self.runtime = LocalRuntime(self.settings)
        service = folder / "service.py"
        service.write_text(SERVICE)
        argv = [*before, sys.executable, "-c", UP, str(service), str(self.settings.data), str(port), "1", *words]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def ready(self) -> "Up":
        wait(lambda: "Ctrl-C stops everything" in self.text, self)
        return self

    def pid(self, kind: str) -> int | None:
        """Of the process that stands in for `kind`."""
        found = [s.pid for s in self.ours() if kernel.arguments(s.pid)[2:3] == [kind]]
        assert len(found) < 2, f"{kind} runs {len(found)} times"
        return found[0] if found else None

    def ours(self) -> list[kernel.Stat]:
        """Every living process that came of it, wherever it went."""
        mark = f"{self.settings.run_folder}/"
        return [s for s in kernel.everyone() if not s.dead and (kernel.mark(s.pid) or "").startswith(mark)]

    def all_there(self) -> "Up":
        for kind in ("api", "controller", "gateway", "worker", "replica"):
            wait(lambda kind=kind: self.pid(kind), self)
            wait(lambda kind=kind: kind in ("api", "gateway") or f"deep in {kind}" in self.text, self)
        return self

    def ask(self, number: int) -> float:
        """Send a signal; the seconds until it ended."""
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(timeout=20)
        self._reader.join(timeout=5)
        return time.monotonic() - began


def wait(question, up=None, *, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not (answer := question()):
        assert time.monotonic() < deadline, f"waited in vain\n{up.text if up else ''}"
        time.sleep(0.02)
    return answer


def healthy(address: str) -> bool:
    with contextlib.suppress(OSError):
        return urllib.request.urlopen(f"{address}/healthz", timeout=2).status == 200
    return False


@pytest.fixture
def start(tmp_path):
    started: list[Up] = []

    def start(*words: str, **options) -> Up:
        started.append(Up(tmp_path, *words, **options))
        return started[-1]

    yield start
    for up in started:
        up.process.kill()
        up.process.wait()
        up._reader.join(timeout=5)
        up.process.stdout.close()
        up.process.stderr.close()
    if started:
        kernel.Tree(lambda mark: mark.startswith(f"{started[0].settings.run_folder}/")).kill()
        shutil.rmtree(started[0].settings.run_folder, ignore_errors=True)


def test_everything_starts_at_once_and_the_banner_says_where_and_how_to_log_in(start):
    began = time.monotonic()
    up = start().ready()
    assert time.monotonic() - began < 3
    address = (up.settings.data / "url").read_text().strip()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", address)
    assert healthy(address)
    assert f"URL       {address}" in up.text
    assert f"Data      {up.settings.data}" in up.text
    assert all(text in up.text for text in ("Modelyard is up.", "admin", "once-1", "my_key_1", "first-login.json"))


def test_the_first_login_is_shown_at_the_first_start_only(start):
    start().ready().ask(signal.SIGINT)
    second = start().ready()
    assert "once-1" not in second.text
    assert "my_key_1" not in second.text


def test_a_first_login_that_was_made_by_a_start_that_failed_is_shown_by_the_next_one(start):
    up = start("controller-fails")
    up.process.wait(timeout=30)
    assert (up.settings.data / "first-login.json").exists()
    assert "once-1" not in up.text
    assert "once-1" in start().ready().text


def test_the_log_says_when_who_and_how_grave_also_for_workers_and_replicas(start):
    up = start().ready().all_there()
    shape = r"^\d\d:\d\d:\d\d\.\d{3} %s +%s +%s$"
    assert re.search(shape % ("api", "info", "api begins"), up.text, re.MULTILINE)
    assert re.search(shape % ("controller", "warning", "deep in controller"), up.text, re.MULTILINE)
    assert re.search(shape % ("replica_1", "warning", "deep in replica"), up.text, re.MULTILINE)
    assert "\x1b" not in up.text


@pytest.mark.parametrize("kind", ["api", "controller", "gateway"])
def test_what_is_killed_starts_again_and_the_log_says_why(start, kind):
    up = start().ready().all_there()
    address = (up.settings.data / "url").read_text().strip()
    others = {other: up.pid(other) for other in ("api", "controller", "gateway", "worker", "replica") if other != kind}
    before = up.pid(kind)
    os.kill(before, signal.SIGKILL)
    wait(lambda: up.pid(kind) not in {before, None}, up)
    wait(lambda: healthy(address), up)
    assert {other: up.pid(other) for other in others} == others
    assert re.search(rf"{kind} +warning +was killed by SIGKILL after \d+\.\d s; starts again in 0\.2 s", up.text)


def test_a_second_up_on_the_same_data_folder_is_refused_with_pid_and_url(start):
    up = start().ready()
    address = (up.settings.data / "url").read_text().strip()
    second = start()
    _, message = second.process.communicate(timeout=20)
    assert second.process.returncode == 5
    assert f"process {up.process.pid}" in message
    assert address in message
    assert "--data" in message
    assert "Traceback" not in message
    assert healthy(address)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_asked_to_leave_it_leaves_in_order_and_nothing_is_left(start, number):
    up = start().ready().all_there()
    assert up.ask(number) < 5
    assert up.process.returncode == 0
    assert up.ours() == []
    assert not (up.settings.data / "url").exists()
    at = {kind: float(moment) for kind, moment in re.findall(r"(\w+) leaves at ([\d.]+)", up.text)}
    assert len(at) == 5
    assert at["controller"] < at["worker"] < at["api"]
    assert at["gateway"] < at["replica"] < at["api"]
    assert {process.exit_code for process in up.runtime.list()} == {0}


def test_started_by_nohup_it_outlives_its_terminal(start):
    up = start(before=("nohup",)).ready()
    up.process.send_signal(signal.SIGHUP)
    os.kill(up.pid("gateway"), signal.SIGKILL)
    wait(lambda: "starts again" in up.text, up)
    assert "stopping" not in up.text
    assert up.ask(signal.SIGTERM) < 5


def test_stubborn_processes_are_gone_within_five_seconds(start):
    up = start("stubborn").ready().all_there()
    assert len(up.ours()) == 6
    assert up.ask(signal.SIGINT) < 5
    assert up.ours() == []


def test_a_second_request_to_leave_kills_at_once(start):
    up = start("stubborn").ready().all_there()
    up.process.send_signal(signal.SIGINT)
    wait(lambda: "Ctrl-C again kills at once" in up.text, up)
    assert up.ask(signal.SIGINT) < 2
    assert up.ours() == []


def test_a_killed_up_takes_its_services_along_and_the_next_one_adopts_workers_and_replicas(start):
    up = start().ready().all_there()
    held = {role: up.pid(role) for role in ("worker", "replica")}
    up.ask(signal.SIGKILL)
    wait(lambda: [up.pid(kind) for kind in ("api", "controller", "gateway")] == [None] * 3, up)
    second = start().ready()
    wait(lambda: "controller begins" in second.text and "deep in controller" in second.text, second)
    assert {role: second.pid(role) for role in held} == held
    assert second.ask(signal.SIGINT) < 5
    assert second.ours() == []


def test_stubborn_services_of_a_killed_up_are_ended_before_the_next_one_starts(start):
    up = start("stubborn").ready().all_there()
    before = {kind: up.pid(kind) for kind in ("api", "controller", "gateway")}
    up.ask(signal.SIGKILL)
    second = start().ready()
    assert all(second.pid(kind) != pid for kind, pid in before.items())


def test_orphans_of_a_killed_controller_leave_no_zombies_and_their_exit_code_is_known(start):
    up = start().ready().all_there()
    os.kill(up.pid("controller"), signal.SIGKILL)
    wait(lambda: up.text.count("deep in controller") == 2, up)
    pid = up.pid("replica")
    assert kernel.stat(pid).parent == up.process.pid
    os.kill(pid, signal.SIGTERM)
    wait(lambda: kernel.stat(pid) is None, up)

    def ended():
        (replica,) = [process for process in up.runtime.list() if process.role == "replica"]
        return (replica.alive, replica.exit_code) == (False, 0)

    # It is taken leave of a moment before the record says how it ended.
    wait(ended, up)


def test_a_platform_that_does_not_come_up_ends_with_1_and_its_reason_and_leaves_nothing(start):
    up = start("api-fails")
    up.process.wait(timeout=30)
    up._reader.join(timeout=5)
    assert up.process.returncode == 1
    assert re.search(r"api +error +no such table: jobs", up.text)
    assert "does not come up" in up.text
    assert up.ours() == []


def test_a_port_that_is_taken_is_refused_with_what_to_do(start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        up = start(port=taken.getsockname()[1])
        _, message = up.process.communicate(timeout=20)
    assert up.process.returncode == 5
    assert "--port" in message


def test_a_data_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Forbidden, match="file is in the way"):
        lock.hold(tmp_path / "file")


def test_the_lock_tells_its_holder_to_others_and_falls_with_it(tmp_path):
    assert lock.holder(tmp_path) is None
    script = "import sys; from pathlib import Path; from modelyard.cli.supervisor import lock\n"
    script += "lock.hold(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    argv = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        assert lock.holder(tmp_path) == other.pid
        with pytest.raises(Conflict, match=f"process {other.pid}"):
            lock.hold(tmp_path)
        other.kill()
    assert lock.holder(tmp_path) is None
    os.close(lock.hold(tmp_path))


def test_pauses_between_starts_double_to_ten_seconds_and_begin_again_after_a_healthy_life():
    backoff = Backoff()
    assert [backoff.pause(1) for _ in range(8)] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10]
    assert [backoff.pause(31), backoff.pause(1)] == [0.2, 0.4]


def test_exit_codes_are_told_in_words():
    assert described(3) == "ended with exit code 3"
    assert described(-9) == "was killed by SIGKILL"
    assert described(-200) == "was killed by signal 200"


def test_every_gateway_is_a_service_of_its_own_and_urls_can_be_opened(tmp_path):
    settings = Settings(data=tmp_path, server=Server(host="0.0.0.0", port=81, gateways=2))
    assert [service.name for service in services(settings)] == ["api", "controller", "gateway-1", "gateway-2"]
    assert url(settings) == "http://127.0.0.1:81"
    assert url(Settings(server=Server(host="::", port=81))) == "http://[::1]:81"
    assert url(Settings(server=Server(public_url="https://ml.example/"))) == "https://ml.example"


def test_an_address_that_cannot_be_listened_on_is_refused():
    with pytest.raises(Invalid, match="--host"):
        listen("::1%nowhere", 80)
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(Conflict, match="cannot be used"):
        listen("127.0.0.1", taken.getsockname()[1])


@pytest.fixture
def said(monkeypatch):
    log = Log(sys.stdout)
    said: list[tuple[str, str, str]] = []
    monkeypatch.setattr(log, "say", lambda line, *, level="info", name="up": said.append((name, level, line)))
    return log, said


def test_lines_are_put_together_however_they_were_cut(said):
    log, lines = said
    printed = Lines(log, "api")
    for piece in (
        b"INFO on",
        b"e\nERROR two\n  more\nTrace",
        b"back (last)\n  File x\nKeyError: 1\n\nplain\n\xff",
        b" four",
    ):
        printed.feed(piece)
    printed.end()
    assert [(level, line) for _, level, line in lines] == [
        ("info", "INFO one"),
        ("error", "ERROR two"),
        ("error", "  more"),
        ("error", "Traceback (last)"),
        ("error", "  File x"),
        ("error", "KeyError: 1"),
        ("info", "plain"),
        ("info", "\ufffd four"),
    ]


def test_a_line_without_an_end_is_not_kept_for_ever(said):
    log, lines = said
    Lines(log, "api").feed(b"x" * 70_000)
    assert len(lines) == 1


def test_log_files_are_followed_through_cuts_and_old_lines_are_not_repeated(tmp_path, said):
    log, lines = said
    (tmp_path / "old.log").write_text("yesterday\n")
    tail = Tail(tmp_path, log)
    tail.follow(every=0)
    with (tmp_path / "old.log").open("a") as file:
        file.write("today\n")
    (tmp_path / "new.log").write_text("first\n")
    tail.follow(every=0)
    (tmp_path / "new.log").write_text("cut\n")
    tail.follow(every=0)
    assert sorted(line for *_, line in lines) == ["cut", "first", "today"]


def test_long_names_keep_their_beginning_and_their_end():
    assert short("gateway") == "gateway"
    assert short("worker_01JABCDEFGHIJKLMNOPQRSTUVW") == "worker_0…OPQRSTUVW"
    assert len(short("x" * 99)) == 18
