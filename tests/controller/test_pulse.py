"""Who answers: with sockets of this test's own on one end, and time that it moves."""

import socket
import threading
from contextlib import suppress

import msgspec
import pytest

from fixtures.waiting import wait_until
from modelyard.controller.pulse import Pulse
from modelyard.protocol import frames
from modelyard.protocol.framing import Incoming
from modelyard.protocol.processes import Holding

READY = msgspec.json.encode({"0": Holding("sales/churn/v1", 120.0)})


class Replica:
    """Accepts, says READY, and answers PING as long as `answers`."""

    def __init__(self, path):
        self.address = f"unix:{path}"
        self.answers = True
        self.pings = 0
        self.left = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._connections = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            connection.sendall(frames.HEADER.pack(len(READY), 0, frames.Kind.READY, 0, 0, 0) + READY)
            threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection):
        incoming = Incoming(1 << 20)
        with suppress(OSError):  # whoever hangs up need not have read everything
            while data := connection.recv(4096):
                for frame in incoming.feed(data):
                    assert frame.kind == frames.Kind.PING
                    self.pings += 1
                    if self.answers:
                        connection.sendall(frames.HEADER.pack(0, frame.id, frames.Kind.PONG, 0, 0, 0))
        self.left.set()

    def drains(self):
        for connection in self._connections:
            connection.sendall(frames.HEADER.pack(0, 0, frames.Kind.DRAIN, 0, 0, 0))

    def close(self):
        # Closing alone would leave a thread in `accept` or `recv` that goes on with what it holds.
        for one in (self._listener, *self._connections):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


class Time:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def pulse(time):
    made = Pulse(clock=time)
    yield made
    made.close()


@pytest.fixture
def replica(tmp_path):
    made = Replica(tmp_path / "r.sock")
    yield made
    made.close()


def turn(pulse, replica):
    return pulse.turn({"rep": replica.address})


def asked(pulse, replica, time):
    """Let the next question be due, and wait until it has arrived."""
    before = replica.pings
    time.now += 3.4
    found = turn(pulse, replica)
    wait_until(lambda: replica.pings > before)
    return found


def test_it_hears_what_a_replica_holds(pulse, replica):
    wait_until(lambda: turn(pulse, replica).holdings)
    assert turn(pulse, replica).holdings == {"rep": {0: Holding("sales/churn/v1", 120.0)}}


def test_one_that_is_not_there_yet_is_heard_once_it_is(pulse, tmp_path):
    assert pulse.turn({"rep": f"unix:{tmp_path / 'r.sock'}"}).holdings == {}
    late = Replica(tmp_path / "r.sock")
    wait_until(lambda: turn(pulse, late).holdings)
    late.close()


def test_one_that_answers_is_never_silent(pulse, replica, time):
    turn(pulse, replica)
    for _ in range(8):
        assert asked(pulse, replica, time).silent == {}
        wait_until(lambda: not turn(pulse, replica).silent)


def test_one_that_is_asked_three_times_in_vain_is_silent(pulse, replica, time):
    turn(pulse, replica)
    replica.answers = False
    wait_until(lambda: replica.pings == 1)
    asked(pulse, replica, time)
    assert asked(pulse, replica, time).silent == {}
    asked(pulse, replica, time)
    assert asked(pulse, replica, time).silent == {"rep": "it did not answer for 10 s"}


def test_an_answer_after_two_questions_in_vain_is_an_answer(pulse, replica, time):
    turn(pulse, replica)
    wait_until(lambda: replica.pings == 1)
    replica.answers = False
    asked(pulse, replica, time)
    asked(pulse, replica, time)
    replica.answers = True
    for _ in range(4):
        assert asked(pulse, replica, time).silent == {}
        wait_until(lambda: turn(pulse, replica).holdings)


def test_a_turn_that_comes_late_is_not_the_replicas_fault(pulse, replica, time):
    turn(pulse, replica)
    for _ in range(5):
        before = replica.pings
        time.now += 600
        assert turn(pulse, replica).silent == {}
        wait_until(lambda before=before: replica.pings > before)


def test_one_whose_socket_refuses_is_silent(pulse, replica, time):
    turn(pulse, replica)
    replica.close()
    for _ in range(5):
        time.now += 3.4
        found = turn(pulse, replica)
    assert found.silent


def test_one_that_leaves_need_not_wait_for_us(pulse, replica):
    wait_until(lambda: turn(pulse, replica).holdings)
    replica.drains()
    wait_until(lambda: turn(pulse, replica) and replica.left.is_set())


def test_those_that_are_no_longer_wanted_are_hung_up_on(pulse, replica):
    wait_until(lambda: turn(pulse, replica).holdings)
    assert pulse.turn({}) == ({}, {})
    assert replica.left.wait(10)


def test_what_speaks_something_else_is_hung_up_on(pulse, tmp_path, time):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "x.sock"))
        listener.listen()
        pulse.turn({"rep": f"unix:{tmp_path / 'x.sock'}"})
        connection, _ = listener.accept()
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 10)
        wait_until(
            lambda: pulse.turn({"rep": f"unix:{tmp_path / 'x.sock'}"}).holdings == {} and not connection.recv(4096)
        )
        connection.close()


def test_a_fault_of_our_own_is_held_against_nobody(pulse, replica, time, monkeypatch):
    def none_left(*_):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(socket, "socket", none_left)
    for _ in range(6):
        time.now += 3.4
        assert turn(pulse, replica).silent == {}
