"""A real worker process, and a real server on a unix socket that plays the api's part and keeps what it hears."""

import json
import secrets
import socketserver
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from modelyard.core.settings import Jobs, Settings, child_environment
from modelyard.credentials.internal import HEADER, holds, read_secret

JOB = "job_01TEST"
PLUGIN = Path(__file__).with_name("plugin")


class Hearing(BaseHTTPRequestHandler):
    """One message of a worker."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        status, answer = self.server.api.hear(self.path, self.headers[HEADER], body)
        content = json.dumps(answer).encode() if answer is not None else b""
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def address_string(self):
        return "worker"

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


class Api:
    """The api's part: knobs for what it answers, and what it heard."""

    def __init__(self, settings: Settings, lease_seconds: float = 10.0) -> None:
        self.settings = settings
        self.lease_seconds = lease_seconds
        self.token = 1
        self.attempt = 1
        self.kind, self.payload = "", {}
        self.stop = False
        self.failing = False
        self.refuse_finish = False
        self.events: dict[int, dict] = {}
        self.heard: list[tuple[float, str, dict]] = []
        self.finish: dict | None = None
        self.finished_at = 0.0
        self._server: Server | None = None
        self.come()

    def come(self) -> None:
        self.settings.api_socket.parent.mkdir(parents=True, exist_ok=True)
        self.settings.api_socket.unlink(missing_ok=True)
        self._server = Server(str(self.settings.api_socket), Hearing)
        self._server.api = self
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def go(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self.settings.api_socket.unlink(missing_ok=True)
            self._server = None

    def hear(self, path: str, credential: str | None, body: dict) -> tuple[int, Any]:
        if not holds(credential, read_secret(self.settings)):
            return 404, {"error": {"code": "not_found"}}
        verb = path.removeprefix(f"/internal/jobs/{JOB}/")
        self.heard.append((time.monotonic(), verb, body))
        if self.failing:
            return 500, {"error": {"code": "internal"}}
        if body["token"] != self.token:
            return 409, {"error": {"code": "fenced", "message": "later"}}
        return getattr(self, f"on_{verb}")(body)

    def on_claim(self, body):
        return 200, {
            "id": JOB, "kind": self.kind, "token": self.token, "lease_seconds": self.lease_seconds,
            "payload": self.payload, "attempt": self.attempt,
        }  # fmt: skip

    def on_heartbeat(self, body):
        return 200, {"stop": self.stop}

    def on_events(self, body):
        for number, event in enumerate(body["events"], start=body["sequence"]):
            self.events.setdefault(number, event)
        return 204, None

    def on_finish(self, body):
        if self.refuse_finish and body["outcome"] == "succeeded":
            return 422, {"error": {"code": "invalid", "message": "no"}}
        self.finish, self.finished_at = body, time.monotonic()
        return 204, None

    def verbs(self) -> list[str]:
        return [verb for _, verb, _ in self.heard]

    def of(self, kind: str) -> list[dict]:
        return [self.events[number] for number in sorted(self.events) if self.events[number]["type"] == kind]

    def lines(self) -> list[str]:
        return [event["line"] for event in self.of("log")]


@pytest.fixture
def settings(tmp_path, request) -> Settings:
    """Parametrize indirectly with other groups of settings."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    usual = {"jobs": Jobs(memory=1 << 30, processes=64, seconds=120, lease_seconds=10)}
    return Settings(data=folder, **{**usual, **getattr(request, "param", {})})


@pytest.fixture
def api(settings):
    api = Api(settings)
    yield api
    api.go()


class Worker:
    """A worker process."""

    def __init__(self, settings: Settings, folder: Path, entry: list[str], token: int) -> None:
        self.spec = folder / f"spec-{secrets.token_hex(4)}"
        order = {"job": JOB, "token": token, "api": f"unix:{settings.api_socket}"}
        self.spec.write_text(json.dumps(order))
        self.log = self.spec.with_suffix(".log")
        environment = {**child_environment(settings), "PYTHONPATH": str(PLUGIN)}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", *entry, str(self.spec)], env=environment, stdout=log, stderr=log
            )

    @property
    def failure(self) -> dict:
        return json.loads(self.spec.with_name(f"{self.spec.name}.failure").read_text())

    def end(self, seconds: float = 40.0) -> int:
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            pytest.fail(f"the worker does not end:\n{self.log.read_text()}")


@pytest.fixture
def begin(api, settings, tmp_path):
    """Start a worker on a job of this kind; it is killed at the end of the test."""
    workers: list[Worker] = []

    def start(kind: str, entry: list[str] | None = None, token: int = 1, **payload: Any) -> Worker:
        api.kind, api.payload = kind, payload
        workers.append(Worker(settings, tmp_path, entry or ["-m", "modelyard.worker"], token))
        return workers[-1]

    yield start
    for worker in workers:
        worker.process.kill()
        worker.process.wait()


@pytest.fixture
def mark() -> str:
    return secrets.token_hex(8)


@pytest.fixture
def marked():
    """Processes that have a mark in their command line."""

    def find(mark: str) -> list[int]:
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if mark.encode() in path.read_bytes():
                    found.append(int(path.parent.name))
            except OSError:
                continue
        return found

    return find
