"""A client of a real api, and a way to it that breaks when told to."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from modelyard.sdk.client import Client


@pytest.fixture(autouse=True)
def no_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's own settings: a home of the test's own, no variables."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MODELYARD_URL", raising=False)
    monkeypatch.delenv("MODELYARD_API_KEY", raising=False)


@pytest.fixture
def client(api_url: str, login: dict[str, str]) -> Iterator[Client]:
    with Client(api_url, login["api_key"]) as opened:
        yield opened


class Way:
    """A TCP proxy to a server, one request a connection. Each connection takes the next of `faults`, none at its end.

    refuse: closed at once, before anything was sent on.
    lose: the request is carried out, its answer thrown away.
    cut: half of the answer comes through.
    busy: 503 with `Retry-After: 0`, as a proxy that is no Modelyard answers.
    """

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname, parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.faults: list[str] = []
        self.requests: list[bytes] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(ConnectionError, TimeoutError):
                connection.settimeout(30)
                self._handle(connection)

    def _handle(self, connection: socket.socket) -> None:
        request = read_message(connection)
        if not request:
            return
        self.requests.append(request)
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "refuse":
            return
        if fault == "busy":
            connection.sendall(
                b"HTTP/1.1 503 Busy\r\nretry-after: 0\r\ncontent-length: 4\r\nconnection: close\r\n\r\nbusy"
            )
            return
        answer = self._answer(request)
        if fault != "lose":
            connection.sendall(answer[: len(answer) // 2] if fault == "cut" else answer)

    def _answer(self, request: bytes) -> bytes:
        with socket.create_connection(self._upstream, timeout=30) as upstream:
            head, _, body = request.partition(b"\r\n\r\n")
            upstream.sendall(head + b"\r\nconnection: close\r\n\r\n" + body)
            pieces = []
            while piece := upstream.recv(65536):
                pieces.append(piece)
        return b"".join(pieces)


def read_message(connection: socket.socket) -> bytes:
    """A request with a body of a declared length."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    lines = [line.lower() for line in head.split(b"\r\n")]
    length = next((int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


@pytest.fixture
def way(api_url: str) -> Iterator[Way]:
    opened = Way(api_url)
    yield opened
    opened.close()


@pytest.fixture
def over(way: Way, login: dict[str, str]) -> Iterator[Client]:
    """A client that reaches the api by `way`."""
    with Client(way.url, login["api_key"]) as opened:
        yield opened
