"""What gateways may do to a replica, and what its log says of requests that a trace leads to."""

import json
import os
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures.replicas import BODY, JSON, MISDEED, hop, publish_code
from fixtures.serving import ROW, ReplicaProcess, is_answer, publish
from fixtures.waiting import wait_until
from modelyard.core.settings import Settings
from modelyard.protocol.frames import HEADER, TRACED, Kind
from modelyard.replica import server

Start = Callable[..., ReplicaProcess]
TRACE, PARENT = os.urandom(16), os.urandom(8)


def memory(pid: int) -> int:
    """Private memory of a process, bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


def test_a_traced_request_is_answered_as_any_other_and_not_logged(settings: Settings, start_replica: Start) -> None:
    replica = start_replica("r", publish(settings, 1)).wait_ready()
    with hop(replica) as connection:
        connection.outgoing.add(1, Kind.REQUEST | TRACED, JSON, 0, 0, TRACE + PARENT + b"\1" + BODY)
        connection.add(2)
        connection.outgoing.add(3, Kind.REQUEST | TRACED, JSON, 0, 5000, TRACE + PARENT + b"\0" + BODY)
        connection.flush()
        replies = connection.replies(3)
    assert all(is_answer(json.loads(frame.body)["predictions"][0], ROW, 1) for frame in replies.values())
    assert "trace=" not in replica.log.read_text()


def test_failed_and_slow_requests_are_logged_with_their_trace(settings: Settings, start_replica: Start) -> None:
    version = publish_code(settings, misdeed="raise ValueError('no')")
    slow = publish_code(settings, misdeed="time.sleep(1.2)", number=2, slot=1)
    replica = start_replica("r", version, slow).wait_ready()
    body = json.dumps({"instances": [MISDEED]}).encode()
    with hop(replica) as connection:
        for slot in (0, 1):
            connection.outgoing.add(slot, Kind.REQUEST | TRACED, JSON, slot, 0, TRACE + PARENT + b"\1" + body)
        connection.outgoing.add(2, Kind.REQUEST, JSON, 0, 0, body)
        connection.flush()
        connection.replies(3)

    def logged() -> list[str]:
        return [line for line in replica.log.read_text().splitlines() if " status=" in line]

    wait_until(lambda: len(logged()) == 3)
    failed, untraced, late = sorted(logged(), key=lambda line: ("v2" in line, "trace=" not in line))
    assert failed.startswith("WARNING sales/code/v1 status=500 seconds=")
    assert failed.endswith(f" trace={TRACE.hex()}")
    assert late.startswith("WARNING sales/code/v2 status=200 seconds=1.")
    assert late.endswith(f" trace={TRACE.hex()}")
    assert "trace=" not in untraced


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff" * 64,
        HEADER.pack((1 << 32) - 1, 1, Kind.REQUEST, JSON, 0, 0),
        HEADER.pack((16 << 20) + 26, 1, Kind.REQUEST, JSON, 0, 0),
        HEADER.pack(24, 1, Kind.REQUEST | TRACED, JSON, 0, 0) + b"x" * 24,
    ],
    ids=["noise", "largest", "too large", "no room for a trace"],
)
def test_what_is_no_frame_closes_its_connection_only_and_keeps_no_memory(
    settings: Settings, start_replica: Start, garbage: bytes
) -> None:
    replica = start_replica("r", publish(settings, 1)).wait_ready()
    before = memory(replica.process.pid)
    with hop(replica) as good:
        for _ in range(20):
            with hop(replica) as bad:
                bad.socket.sendall(garbage)
                assert bad.closed()
        good.add(1)
        good.flush()
        assert good.replies(1)[1].tag == 200
    assert memory(replica.process.pid) < before + (16 << 20)


def test_frames_in_pieces_of_any_size_are_read(settings: Settings, start_replica: Start) -> None:
    replica = start_replica("r", publish(settings, 1)).wait_ready()
    with hop(replica) as connection:
        for number in range(3):
            connection.add(number)
        data = connection.outgoing.take()
        for at in range(0, len(data), 7):
            connection.socket.sendall(data[at : at + 7])
        assert {frame.tag for frame in connection.replies(3).values()} == {200}


def test_a_gateway_that_never_reads_is_not_read_from_for_ever(settings: Settings, start_replica: Start) -> None:
    replica = start_replica("r", publish(settings, 1)).wait_ready()
    with hop(replica) as deaf, hop(replica) as other:
        before = memory(replica.process.pid)
        sent = flood(deaf.socket, json.dumps({"instances": [ROW] * 50}).encode())
        other.add(1)
        other.flush()
        assert other.replies(1)[1].tag == 200
        assert sent < 100 << 20
        assert memory(replica.process.pid) < before + (64 << 20)
        # Once it reads, it is read from again.
        deaf.socket.settimeout(20)
        deaf.replies(1)


def test_a_model_that_hangs_bounds_what_a_gateway_can_ask_meanwhile(settings: Settings, start_replica: Start) -> None:
    replica = start_replica("r", publish_code(settings, misdeed="time.sleep(1000)")).wait_ready()
    with hop(replica) as connection:
        body = json.dumps({"instances": [MISDEED]}).encode() + b" " * (1 << 20)
        assert flood(connection.socket, body) < 2 * server.OWED_BYTES
        assert memory(replica.process.pid) < 4 * server.OWED_BYTES
        with hop(replica) as other:
            other.outgoing.add(9, Kind.PING)
            other.flush()
            assert other.next().kind == Kind.PONG


def flood(connection: socket.socket, body: bytes) -> int:
    """Send requests until nobody has taken any for a second; the bytes that were taken."""
    connection.settimeout(1)
    sent, number = 0, 0
    end = time.monotonic() + 60
    while time.monotonic() < end:
        number += 1
        frame = struct.pack("<IIBBHI", len(body), number, Kind.REQUEST, JSON, 0, 0) + body
        view = memoryview(frame)
        while view:
            try:
                taken = connection.send(view)
            except TimeoutError:
                return sent
            sent += taken
            view = view[taken:]
    raise AssertionError(f"{sent} bytes were taken and it still goes on")
