"""Whether replicas answer: a connection to each, a PING every few seconds, and never a wait.

A process that runs is not a process that works: one that is stopped or caught in a lock keeps its socket open and says
nothing. Replicas answer PING from their loop while a model works in its thread.
"""

import errno
import logging
import selectors
import socket
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from modelyard.core.errors import Broken
from modelyard.protocol import frames
from modelyard.protocol.framing import Frame, Incoming
from modelyard.protocol.processes import Holding

log = logging.getLogger("modelyard.controller")

SILENT_SECONDS = 10.0
TRIES = 3
FRESH_SECONDS = 0.02
"""How long a turn waits for the first word on connections that it has just made: replicas have it ready."""
LARGEST = 16 << 20
READ_BYTES = 1 << 16
# These are the replica's own: nobody is there, or nobody accepts.
NOT_THERE = frozenset({errno.ENOENT, errno.ECONNREFUSED, errno.EAGAIN, errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT})
_holdings = msgspec.json.Decoder(dict[int, Holding])


class Heard(NamedTuple):
    """What replicas said: what they hold at which slot, by replica, and who is silent, with the reason."""

    holdings: Mapping[str, Mapping[int, Holding]]
    silent: Mapping[str, str]


class Beat:
    """One replica: its connection, and what became of the questions."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.connection: socket.socket | None = None
        self.incoming = Incoming(LARGEST)
        self.holdings: dict[int, Holding] | None = None
        self.asked_at: float | None = None
        self.waits = False
        self.missed = 0


class Pulse:
    """All connections. One turn reads what has come, and asks whoever is due."""

    def __init__(self, *, silent_seconds: float = SILENT_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._every = silent_seconds / TRIES
        self._reason = f"it did not answer for {silent_seconds:g} s"
        self._clock = clock
        self._beats: dict[str, Beat] = {}
        self._selector = selectors.DefaultSelector()

    def turn(self, addresses: Mapping[str, str]) -> Heard:
        """Listen to exactly these replicas (address by id); what is known of them now."""
        for replica_id in self._beats.keys() - addresses.keys():
            self._hang_up(self._beats.pop(replica_id))
        for replica_id in addresses.keys() - self._beats.keys():
            self._beats[replica_id] = Beat(addresses[replica_id])
        made = [self._connect(beat) for beat in self._beats.values() if beat.connection is None]
        # What has come is read before anybody is judged: a turn that comes late is not the replicas' fault.
        self._read(FRESH_SECONDS if any(made) else 0.0)
        now = self._clock()
        for beat in self._beats.values():
            if beat.asked_at is None or now - beat.asked_at >= self._every:
                self._ask(beat, now)
        return Heard(
            holdings={name: beat.holdings for name, beat in self._beats.items() if beat.holdings is not None},
            silent={name: self._reason for name, beat in self._beats.items() if beat.missed >= TRIES},
        )

    def close(self) -> None:
        """Hang up everywhere."""
        for beat in self._beats.values():
            self._hang_up(beat)
        self._beats.clear()
        self._selector.close()

    def _connect(self, beat: Beat) -> bool:
        kind, _, place = beat.address.partition(":")
        unix = kind == "unix"
        target = place if unix else (place.rpartition(":")[0], int(place.rpartition(":")[2]))
        try:
            connection = socket.socket(socket.AF_UNIX if unix else socket.AF_INET, socket.SOCK_STREAM)
        except OSError as error:
            self._fail(beat, error)
            return False
        connection.setblocking(False)
        try:
            connection.connect(target)
        except BlockingIOError as error:
            # A unix socket either takes the connection or has no room for it; TCP takes its time.
            if error.errno != errno.EINPROGRESS:
                connection.close()
                return False
        except OSError as error:
            connection.close()
            self._fail(beat, error)
            return False
        beat.connection, beat.incoming = connection, Incoming(LARGEST)
        self._selector.register(connection, selectors.EVENT_READ, beat)
        return True

    def _fail(self, beat: Beat, error: OSError) -> None:
        if error.errno not in NOT_THERE:
            # It is this process that cannot ask (no descriptors are left, say): no replica is judged by that.
            log.warning("%s cannot be asked whether it works: %s", beat.address, error)
            beat.waits, beat.missed = False, 0

    def _read(self, seconds: float) -> None:
        for key, _ in self._selector.select(seconds):
            beat: Beat = key.data
            try:
                data = beat.connection.recv(READ_BYTES) if beat.connection else b""
                for frame in beat.incoming.feed(data):
                    self._receive(beat, frame)
            except BlockingIOError:
                continue
            except (OSError, Broken, msgspec.DecodeError) as error:
                log.debug("%s: %s", beat.address, error)
                data = b""
            if not data:
                self._hang_up(beat)

    def _receive(self, beat: Beat, frame: Frame) -> None:
        if frame.kind == frames.Kind.READY:
            beat.holdings = _holdings.decode(frame.body)
        elif frame.kind == frames.Kind.DRAIN:
            # It leaves, and waits for whoever might still ask: not for us.
            self._hang_up(beat)
            return
        elif frame.kind != frames.Kind.PONG:
            return
        beat.waits, beat.missed = False, 0

    def _ask(self, beat: Beat, now: float) -> None:
        beat.missed = beat.missed + 1 if beat.waits else 0
        beat.asked_at, beat.waits = now, True
        if beat.connection is not None:
            try:
                beat.connection.send(frames.HEADER.pack(0, 0, frames.Kind.PING, 0, 0, 0))
            except BlockingIOError:
                pass
            except OSError as error:
                self._fail(beat, error)
                self._hang_up(beat)

    def _hang_up(self, beat: Beat) -> None:
        if beat.connection is not None:
            self._selector.unregister(beat.connection)
            beat.connection.close()
            beat.connection = None
