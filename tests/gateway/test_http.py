"""HTTP on the fast path is HTTP: order, limits, slow and leaving clients, with exact bytes over real sockets."""

import itertools
import json
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixtures.gateways import KEY, GatewayProcess, Wire, request, route, table
from fixtures.serving import ROW, is_answer, publish
from fixtures.waiting import wait_until
from modelyard.core.settings import Limits

BODY = json.dumps({"instances": [ROW]}).encode()
Connect = Callable[[], Wire]


def is_prediction(answer: Any, row: dict[str, Any] | None = None) -> bool:
    return answer.status == 200 and is_answer(answer.json()["predictions"][0], row or ROW, 2)


def test_a_connection_is_kept_alive(wire: Connect) -> None:
    one = wire()
    for _ in range(3):
        assert is_prediction(one.send(request(BODY)).answer())


def test_connection_close_is_honoured(wire: Connect) -> None:
    one = wire()
    answer = one.send(request(BODY, headers=["connection: close"])).answer()
    assert is_prediction(answer)
    assert answer.headers["connection"] == "close"
    assert one.is_closed()


def test_pipelined_requests_of_every_kind_are_answered_in_order(wire: Connect, shared: Any) -> None:
    """A refusal, a health check, a page of the api: nothing overtakes the prediction before it."""
    one = wire()
    rows = [{**ROW, "x": number / 7} for number in range(40)]
    kinds: list[tuple[int, str, Any]] = []
    data = b""
    for number, row in enumerate(rows):
        mark = f"x-request-id: r-{number}"
        kind = number % 5
        if kind in {0, 1}:
            data += request(json.dumps(row).encode(), headers=[mark])
        elif kind == 2:
            data += request(BODY, key="wrong", headers=[mark])
        elif kind == 3:
            data += request(b"x" * number, path=f"/echo/{number}", headers=[mark])
        else:
            data += request(method="GET", path="/healthz", headers=[mark])
        kinds.append((kind, f"r-{number}", row))
    shared.replicas[0].send(signal.SIGSTOP)
    try:
        one.send(data)
        time.sleep(0.2)  # long enough for anything that wants to overtake
    finally:
        shared.replicas[0].send(signal.SIGCONT)
    for number, (kind, mark, row) in enumerate(kinds):
        answer = one.answer()
        if kind != 3:
            assert answer.headers["x-request-id"] == mark
        if kind in {0, 1}:
            assert is_prediction(answer, row)
        elif kind == 2:
            assert answer.status == 401
        elif kind == 3:
            assert (answer.json()["path"], answer.json()["size"]) == (f"/echo/{number}", number)
        else:
            assert answer.json()["status"] == "ok"


def test_a_prediction_behind_a_slow_page_waits_its_turn(wire: Connect) -> None:
    one = wire()
    one.send(request(method="GET", path="/slow") + request(BODY) + request(method="GET", path="/slow") + request(BODY))
    assert one.answer().body == b"slow"
    assert is_prediction(one.answer())
    assert one.answer().body == b"slow"
    assert is_prediction(one.answer())


def test_what_follows_a_closing_request_is_not_done(wire: Connect) -> None:
    one = wire()
    one.send(request(BODY, headers=["connection: close"]) + request(BODY))
    assert is_prediction(one.answer())
    assert one.is_closed()


def test_a_request_in_single_bytes_is_read(wire: Connect) -> None:
    one = wire()
    one.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in request(BODY):
        one.send(bytes([byte]))
    assert is_prediction(one.answer())


def test_chunked_bodies_are_read_and_trailers_mean_nothing(wire: Connect) -> None:
    chunks = b"".join(
        b"%x;ext=1\r\n%b\r\n" % (len(BODY[at : at + 7]), BODY[at : at + 7]) for at in range(0, len(BODY), 7)
    )
    head = request(headers=["transfer-encoding: chunked"])
    one = wire()
    assert is_prediction(one.send(head + chunks + b"0\r\n\r\n").answer())
    nobody = request(headers=["transfer-encoding: chunked"], key="wrong")
    refused = one.send(nobody + chunks + b"0\r\nauthorization: Bearer " + KEY.encode() + b"\r\n\r\n").answer()
    assert refused.status == 401
    assert is_prediction(one.send(request(BODY)).answer())


def test_expect_100_continue_is_answered_before_the_body(wire: Connect) -> None:
    one = wire()
    one.send(request(headers=["expect: 100-continue"], length=len(BODY)))
    assert one.interim() == 100
    assert is_prediction(one.send(BODY).answer())


def test_expect_100_continue_of_a_pipelined_request_comes_after_the_answer_before_it(wire: Connect) -> None:
    one = wire()
    one.send(request(method="GET", path="/slow") + request(headers=["expect: 100-continue"], length=len(BODY)))
    assert one.answer().body == b"slow"
    assert one.interim() == 100
    assert is_prediction(one.send(BODY).answer())


def test_a_body_of_a_gigabyte_is_refused_by_its_announcement(wire: Connect, gateway: GatewayProcess) -> None:
    before = gateway.memory()
    one = wire()
    answer = one.send(request(length=1 << 30, headers=["expect: 100-continue"])).answer()
    assert (answer.status, answer.json()["error"]["code"]) == (413, "too_large")
    assert answer.headers["connection"] == "close"
    other = wire()
    answer = other.send(request(b"x" * 1000, length=1 << 30)).answer()
    assert answer.status == 413
    # A client that writes everything before it reads gets the answer too.
    third = wire()
    third.send(request(length=40 << 20))
    third.send(b"x" * (40 << 20))
    assert third.answer().status == 413
    assert gateway.memory() - before < 20_000_000


def test_a_chunked_body_beyond_the_limit_is_413_and_an_answer(wire: Connect, gateway: GatewayProcess) -> None:
    one = wire()
    one.send(request(headers=["transfer-encoding: chunked"]))
    chunk = b"%x\r\n%b\r\n" % (1 << 20, b" " * (1 << 20))
    for _ in range(17):
        one.send(chunk)
    assert one.answer().status == 413
    assert one.is_closed()
    assert gateway.health()["status"] == "ok"


def test_a_body_at_the_limit_is_read(wire: Connect) -> None:
    body = BODY + b" " * ((16 << 20) - len(BODY))
    assert is_prediction(wire().send(request(body)).answer())


@pytest.mark.parametrize(
    "head",
    [
        "x: " + "y" * 70_000,
        "\r\n".join(f"x{number}: y" for number in range(3000)),
        "x" * 70_000 + ": y",
    ],
)
def test_a_head_beyond_the_limit_is_431(wire: Connect, head: str) -> None:
    for path in ("/models/sales/churn/", "/echo"):
        one = wire()
        answer = one.send(request(BODY, path=path, headers=[head])).answer()
        assert (answer.status, answer.json()["error"]["code"]) == (431, "head_too_large")
        assert one.is_closed()


def test_an_endless_header_is_cut_off(wire: Connect) -> None:
    one = wire()
    one.send(b"POST /models/sales/churn/ HTTP/1.1\r\nx: ")
    for _ in range(20):
        one.send(b"y" * 10_000)
        time.sleep(0.005)
    assert one.answer().status == 431


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"POST /models/sales/churn/ HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        b"POST /models/sales/churn/ HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /models/sales/churn/ HTTP/1.1\r\ncontent-length: -5\r\n\r\n",
        b"POST /models/sales/churn/ HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"POST /models/sales/churn/ HTTP/1.1\r\nbad header\r\n\r\n",
        b"POST /models/sales/churn/ HTTP/1.1\r\nx: a\r\n  folded: b\r\n\x00\r\n\r\n",
        b"POST /models/sales/churn/ HTTP/1.1\r\nconnection: upgrade\r\nupgrade: h2c\r\ncontent-length: 5\r\n\r\nhello",
        b"GET /\xff HTTP/1.1\r\nhost: x\r\n\r\n",
    ],
)
def test_what_is_no_http_is_400_in_the_houses_form(wire: Connect, data: bytes) -> None:
    one = wire()
    answer = one.send(data).answer()
    assert answer.status == 400
    assert answer.json()["error"]["code"] in {"malformed", "upgrade_refused"}
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert one.is_closed()


def test_garbage_behind_a_request_does_not_cost_its_answer(wire: Connect, shared: Any) -> None:
    one = wire()
    shared.replicas[0].send(signal.SIGSTOP)
    try:
        one.send(request(BODY) + b"\x01garbage\r\n\r\n")
        time.sleep(0.1)
    finally:
        shared.replicas[0].send(signal.SIGCONT)
    assert is_prediction(one.answer())
    assert one.answer().status == 400
    assert one.is_closed()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/models/sales/churn?%ff", 200),
        ("/models/%ff/churn", 400),
        ("/models/sales/churn/%00", 404),
        ("/models/" + "a/" * 3000, 404),
        ("/models/../sales/churn", 404),
        ("/models//sales/churn", 404),
        ("http://elsewhere/models/sales/churn", 200),
    ],
)
def test_odd_targets_get_the_right_status(wire: Connect, path: str, status: int) -> None:
    answer = wire().send(request(BODY, path=path)).answer()
    assert answer.status == status


def test_other_methods_and_upgrades_without_a_body_go_to_the_api(wire: Connect) -> None:
    one = wire()
    answer = one.send(request(method="GET", path="/models/sales/churn/?get_meta=true")).answer()
    assert answer.json()["path"] == "/models/sales/churn/"
    answer = one.send(request(method="GET", path="/x", headers=["connection: upgrade", "upgrade: websocket"])).answer()
    assert answer.json()["path"] == "/x"
    assert is_prediction(one.send(request(BODY)).answer())


def test_a_half_closed_client_gets_its_answer(wire: Connect, shared: Any) -> None:
    one = wire()
    shared.replicas[0].send(signal.SIGSTOP)
    try:
        one.send(request(BODY) + request(BODY))
        one.socket.shutdown(socket.SHUT_WR)
        time.sleep(0.1)
    finally:
        shared.replicas[0].send(signal.SIGCONT)
    assert is_prediction(one.answer())
    assert is_prediction(one.answer())
    assert one.is_closed()
    other = wire()
    other.send(request(method="GET", path="/slow")).socket.shutdown(socket.SHUT_WR)
    assert other.answer().body == b"slow"


def test_a_half_sent_request_of_a_client_that_leaves_is_dropped(wire: Connect) -> None:
    one = wire()
    one.send(request(BODY)[:-5]).socket.shutdown(socket.SHUT_WR)
    assert one.is_closed()


def test_a_client_that_leaves_costs_nobody_else_an_answer(wire: Connect, shared: Any) -> None:
    shared.replicas[0].send(signal.SIGSTOP)
    try:
        leaving, staying = [wire() for _ in range(20)], wire()
        for one in leaving:
            one.send(request(BODY))
        staying.send(request(BODY))
        for one in leaving:
            one.close()
        time.sleep(0.1)
    finally:
        shared.replicas[0].send(signal.SIGCONT)
    assert is_prediction(staying.answer())


def test_a_client_that_does_not_read_is_not_read_from(wire: Connect, gateway: GatewayProcess) -> None:
    before = gateway.memory()
    one = wire()
    one.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.socket.settimeout(2)
    body = json.dumps([ROW] * 500).encode()
    one.socket.setblocking(False)
    sent = 0
    silent_since = time.monotonic()
    while time.monotonic() - silent_since < 1:
        try:
            sent += one.socket.send(request(body))
            silent_since = time.monotonic()
        except BlockingIOError:
            time.sleep(0.01)
    assert sent < 20_000_000
    assert gateway.memory() - before < 60_000_000
    assert gateway.health()["status"] == "ok"


def test_slow_clients_are_told_and_cut_off(stage: Any) -> None:
    version = publish(stage.settings, 2)
    stage.api.publish(table(1, route(version, stage.replica("r", version))))
    limits = Limits(request_seconds=1.0)
    gateway = stage.gateway(msgspec.structs.replace(stage.settings, limits=limits))
    in_head, in_body, dripping, busy = (stage.wire(gateway) for _ in range(4))
    in_head.send(request(BODY)[:30])
    in_body.send(request(BODY)[:-5])
    stop = threading.Event()

    def drip() -> None:
        try:
            while not stop.wait(0.1):
                dripping.send(b"x")
        except OSError:
            return

    dripping.send(b"POST /models/sales/churn/ HTTP/1.1\r\nx: ")
    thread = threading.Thread(target=drip)
    thread.start()
    began = time.monotonic()
    for one in (in_head, in_body, dripping):
        answer = one.answer()
        assert (answer.status, answer.json()["error"]["code"]) == (408, "request_timed_out")
    assert time.monotonic() - began < 4
    stop.set()
    thread.join()
    assert is_prediction(busy.send(request(BODY)).answer())


def test_a_stalled_upload_is_cut_off_and_the_api_told(stage: Any) -> None:
    limits = Limits(request_seconds=1.0)
    gateway = stage.gateway(msgspec.structs.replace(stage.settings, limits=limits))
    one = stage.wire(gateway)
    one.send(request(b"x" * 10, path="/echo", length=1000))
    assert one.is_closed()
    wait_until(lambda: stage.api.disconnects == 1)


def test_many_connections_at_once_each_get_their_own_answer(wire: Connect) -> None:
    rows = [{**ROW, "x": number / 10} for number in range(200)]
    wires = [wire() for _ in rows]
    for one, row in zip(wires, rows, strict=True):
        one.send(request(json.dumps(row).encode()))
    for one, row in zip(wires, rows, strict=True):
        assert is_prediction(one.answer(), row)


def chunked(body: bytes, size: int) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[bytes], list[Any]]:
    """Pipelined requests of all kinds, cut into pieces anywhere, and what each must be answered."""
    data, wanted = b"", []
    for number in range(draw(st.integers(1, 6))):
        row = {**ROW, "x": number / 3, "n": draw(st.integers(0, 9))}
        body = json.dumps(row).encode()
        kind = draw(st.sampled_from(["plain", "chunked", "refused", "invalid", "page", "health"]))
        if kind == "plain":
            data += request(body)
        elif kind == "chunked":
            data += request(headers=["Transfer-Encoding: chunked"]) + chunked(body, draw(st.integers(1, 50)))
        elif kind == "refused":
            data += request(body, key="wrong")
        elif kind == "invalid":
            data += request(json.dumps({**row, "x": "one"}).encode())
        elif kind == "page":
            data += request(body, path="/echo")
        else:
            data += request(method="GET", path="/healthz")
        wanted.append((kind, row, len(body)))
    cuts = sorted(draw(st.sets(st.integers(1, len(data)), max_size=8)))
    return [data[start:end] for start, end in itertools.pairwise([0, *cuts, len(data)])], wanted


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(conversation=conversations())
def test_however_a_conversation_is_cut_every_request_gets_its_own_answer_in_order(
    gateway: GatewayProcess, conversation: tuple[list[bytes], list[Any]]
) -> None:
    pieces, wanted = conversation
    one = Wire(gateway.address)
    one.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        for piece in pieces:
            one.send(piece)
        for kind, row, size in wanted:
            answer = one.answer()
            if kind in {"plain", "chunked"}:
                assert is_prediction(answer, row)
            elif kind == "page":
                assert answer.json()["size"] == size
            else:
                assert answer.status == {"refused": 401, "invalid": 422, "health": 200}[kind]
    finally:
        one.close()
