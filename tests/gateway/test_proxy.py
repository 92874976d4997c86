"""Everything that is no prediction reaches the api and comes back unchanged, streamed, whoever leaves when."""

import hashlib
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import httpx
import msgspec
import pytest

from fixtures.gateways import GatewayProcess, Wire, request
from fixtures.waiting import wait_until
from modelyard.core.settings import child_environment


def test_a_request_passes_with_its_query_and_body_and_says_who_asked(gateway: GatewayProcess, shared: Any) -> None:
    body = bytes(range(256)) * 10
    sent = {"x-forwarded-for": "6.6.6.6", "x-modelyard-internal": "guess", "x-request-id": "mine", "x-own": "kept"}
    answer = httpx.put(f"{gateway.url}/api/v1/ä%2Fb?q=1&q=2", content=body, headers=sent)
    assert answer.json() == {"path": "/api/v1/ä/b", "size": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    assert answer.headers["x-from"] == "api"
    assert "server" not in answer.headers
    assert len(answer.headers.get_list("date")) == 1
    seen = shared.api.seen[-1]
    assert (seen["method"], seen["query"]) == ("PUT", "q=1&q=2")
    headers = seen["headers"]
    assert headers["x-forwarded-for"] in {"127.0.0.1", "6.6.6.6"}  # a proxy on this machine is believed
    assert headers["x-forwarded-host"] == headers["host"] == f"127.0.0.1:{gateway.address[1]}"
    assert headers["x-forwarded-proto"] == "http"
    assert (headers["x-request-id"], headers["x-own"]) == ("mine", "kept")
    assert "x-modelyard-internal" not in headers


def test_headers_of_the_hop_go_no_further(gateway: GatewayProcess, shared: Any) -> None:
    wire = Wire(gateway.address)
    lines = ["connection: keep-alive, x-secret", "x-secret: 1", "te: trailers", "keep-alive: 5", "upgrade: h2c"]
    assert wire.send(request(method="GET", path="/x", headers=lines)).answer().status == 200
    assert not {"x-secret", "te", "keep-alive", "upgrade", "connection"} & set(shared.api.seen[-1]["headers"])
    wire.close()


def test_chunked_uploads_stay_chunked_and_whole(gateway: GatewayProcess) -> None:
    parts = [b"a" * 70_000, b"b", b"c" * 200_000]
    answer = httpx.post(f"{gateway.url}/echo", content=iter(parts))
    assert answer.json()["sha256"] == hashlib.sha256(b"".join(parts)).hexdigest()


@pytest.mark.parametrize(
    "path",
    [
        "/internal/routing",
        "/internal",
        "//internal/x",
        "/INTERNAL/x",
        "/%69nternal/x",
        "/./internal/x",
        "/x/../internal",
    ],
)
def test_the_internal_routes_are_not_there(gateway: GatewayProcess, shared: Any, path: str) -> None:
    before = len(shared.api.seen)
    wire = Wire(gateway.address)
    answer = wire.send(request(method="GET", path=path)).answer()
    wire.close()
    if path == "/x/../internal":  # whatever a server makes of it, the token is missing
        assert "x-modelyard-internal" not in shared.api.seen[-1]["headers"]
        return
    assert (answer.status, answer.json()["error"]["code"]) == (404, "not_found")
    assert len(shared.api.seen) == before


def test_an_upload_of_300_megabytes_needs_little_memory_and_arrives_whole(gateway: GatewayProcess) -> None:
    piece, count = bytes(range(256)) * 4096, 300
    digest = hashlib.sha256()
    for _ in range(count):
        digest.update(piece)
    before = gateway.memory()
    answer = httpx.post(f"{gateway.url}/upload", content=(piece for _ in range(count)), timeout=60)
    assert answer.json()["sha256"] == digest.hexdigest()
    assert gateway.memory() - before < 20_000_000


def test_a_large_download_waits_for_a_slow_reader(gateway: GatewayProcess) -> None:
    before = gateway.memory()
    with httpx.stream("GET", f"{gateway.url}/large", timeout=30) as answer:
        size = 0
        for number, part in enumerate(answer.iter_raw()):
            size += len(part)
            if number < 5:
                time.sleep(0.05)
    assert size == 30_000_000
    assert gateway.memory() - before < 20_000_000


def test_an_early_refusal_of_an_upload_reaches_the_client(gateway: GatewayProcess) -> None:
    wire = Wire(gateway.address)
    wire.send(request(path="/refuse", length=50_000_000))
    sender = threading.Thread(target=lambda: wire.send(b"x" * 50_000_000))
    sender.start()
    answer = wire.answer()
    assert (answer.status, answer.headers["x-from"]) == (413, "api")
    sender.join()
    assert wire.send(request(method="GET", path="/healthz")).answer().status == 200
    wire.close()


def test_events_come_one_by_one_and_the_api_learns_that_the_client_left(gateway: GatewayProcess, shared: Any) -> None:
    before = shared.api.disconnects
    with httpx.stream("GET", f"{gateway.url}/stream", timeout=10) as answer:
        began = time.monotonic()
        lines = answer.iter_lines()
        assert [next(lines) for _ in range(3)] == ["data: 0", "", "data: 1"]
        assert time.monotonic() - began < 5
    wait_until(lambda: shared.api.disconnects > before)


def test_the_api_learns_that_an_uploading_client_left(gateway: GatewayProcess, shared: Any) -> None:
    before = shared.api.disconnects
    wire = Wire(gateway.address)
    wire.send(request(b"x" * 100_000, path="/echo", length=1_000_000))
    wire.close()
    wait_until(lambda: shared.api.disconnects > before)


def test_an_answer_that_breaks_off_is_seen_to_break_off(gateway: GatewayProcess) -> None:
    wire = Wire(gateway.address)
    wire.send(request(method="GET", path="/die"))
    with pytest.raises(AssertionError, match="without a whole answer"):
        wire.answer()
    wire.close()
    assert gateway.health()["status"] == "ok"


def test_head_is_answered_without_a_body(gateway: GatewayProcess) -> None:
    answer = httpx.head(f"{gateway.url}/large")
    assert (answer.status_code, answer.headers["content-length"], answer.content) == (200, "30000000", b"")


def test_without_an_api_there_is_a_clear_503_and_health_goes_on(stage: Any) -> None:
    gateway = stage.gateway()
    stage.api.stop()
    began = time.monotonic()
    answer = httpx.post(f"{gateway.url}/api/v1/datasets", json={}, timeout=10)
    assert 1.5 < time.monotonic() - began < 6
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert answer.json()["error"]["code"] == "unavailable"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    wait_until(lambda: gateway.health()["api"] is False)


def test_a_restart_of_the_api_costs_no_get(stage: Any) -> None:
    gateway = stage.gateway()
    stage.api.stop()
    timer = threading.Timer(0.8, stage.api.start)
    timer.start()
    assert httpx.get(f"{gateway.url}/api/v1/x", timeout=10).status_code == 200
    timer.join()


def test_a_port_that_is_taken_is_said_so(stage: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = msgspec.structs.replace(stage.settings.server, port=taken.getsockname()[1])
        environment = child_environment(msgspec.structs.replace(stage.settings, server=server))
        done = subprocess.run(
            [sys.executable, "-m", "modelyard.gateway"], check=False, env=environment, capture_output=True, timeout=30
        )
    assert done.returncode == 1
    assert b"cannot be used" in done.stderr
    assert b"Traceback" not in done.stderr
