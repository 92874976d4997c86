"""What the replica and the process that is shut in with a version say to each other over a socket pair.

    to it      u32 rows | u32 numeric columns | u32 length of the strings | numbers | strings
    from it    u8 kind | u32 first | u32 second | what follows (little endian throughout)

numbers    float32, row by row
strings    MessagePack, one list of all strings, row by row; nothing where there are no such columns
READY      once, when the version is loaded; nothing follows
ANSWER     `first` rows of `second` columns: float32, row by row
FAILED     `first` bytes of UTF-8 follow: why it cannot

Nothing here is a pickle: what comes from inside is a stranger's data, read as numbers of a known count or as a short
text. The end inside trusts what it gets.
"""

import socket
import struct
import time
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelyard.formats.base import Batch

ASK = struct.Struct("<III")
TELL = struct.Struct("<BII")
READY, ANSWER, FAILED = 1, 2, 3
LONGEST_TEXT = 2000
FLOATS = np.dtype("<f4")


class Nonsense(Exception):
    """The other end said what cannot be."""


class Refused(Exception):
    """The other end could not do it: its own words."""


def ask(connection: socket.socket, batch: Batch, deadline: float) -> None:
    """Send rows. Raises TimeoutError after `deadline` (time.monotonic), OSError where the other end is gone."""
    strings = msgspec.msgpack.encode(batch.strings.ravel().tolist()) if batch.strings.size else b""
    numbers = np.ascontiguousarray(batch.numbers, FLOATS)
    head = ASK.pack(batch.rows, numbers.shape[1], len(strings))
    connection.settimeout(_left(deadline))
    connection.sendall(b"".join((head, numbers.data.cast("B") if numbers.size else b"", strings)))


def answer(connection: socket.socket, rows: int, columns: int, deadline: float) -> NDArray[np.float32]:
    """Receive the answer to so many rows.

    Raises Refused, Nonsense where it is another one, TimeoutError, and EOFError or OSError where the other end is gone.
    """
    kind, first, second = TELL.unpack(_receive(connection, TELL.size, deadline))
    if kind == FAILED:
        raise Refused(_text(connection, first, deadline))
    if (kind, first, second) != (ANSWER, rows, columns):
        raise Nonsense(f"it answered {first} x {second} where {rows} x {columns} belong")
    data = _receive(connection, rows * columns * FLOATS.itemsize, deadline)
    return np.frombuffer(data, FLOATS).reshape(rows, columns).astype(np.float32, copy=False)


def ready(connection: socket.socket, deadline: float) -> None:
    """Wait until the other end can be asked; raises as `answer` does."""
    kind, first, _ = TELL.unpack(_receive(connection, TELL.size, deadline))
    if kind == FAILED:
        raise Refused(_text(connection, first, deadline))
    if kind != READY:
        raise Nonsense("it did not say that it is ready")


def asked(connection: socket.socket) -> Batch:
    """Inside: the next rows. Raises EOFError once nobody asks any more."""
    rows, width, length = ASK.unpack(_receive(connection, ASK.size))
    numbers = np.frombuffer(_receive(connection, rows * width * FLOATS.itemsize), FLOATS).reshape(rows, width)
    texts = msgspec.msgpack.decode(_receive(connection, length), type=list[str]) if length else []
    strings = np.array(texts, object).reshape(rows, len(texts) // max(1, rows))
    return Batch(numbers.astype(np.float32, copy=False), strings)


def told_ready() -> bytes:
    """Inside: what says that the version is loaded."""
    return TELL.pack(READY, 0, 0)


def told(values: NDArray[Any]) -> bytes:
    """Inside: what says the answer, which must be a matrix. Raises ValueError or TypeError where it is none."""
    matrix = np.ascontiguousarray(values, FLOATS)
    if matrix.ndim != 2:
        raise ValueError(f"it answered an array of shape {matrix.shape}")
    return TELL.pack(ANSWER, *matrix.shape) + matrix.tobytes()


def told_failure(text: str) -> bytes:
    """Inside: what says why it cannot be done."""
    data = text.encode(errors="replace")[:LONGEST_TEXT]
    return TELL.pack(FAILED, len(data), 0) + data


def _text(connection: socket.socket, length: int, deadline: float) -> str:
    if length > LONGEST_TEXT:
        raise Nonsense(f"it gave a reason of {length} bytes")
    return _receive(connection, length, deadline).decode(errors="replace")


def _receive(connection: socket.socket, count: int, deadline: float | None = None) -> bytearray:
    """Exactly `count` bytes, however slowly they come, but not after the deadline."""
    data = bytearray(count)
    view, got = memoryview(data), 0
    while got < count:
        connection.settimeout(None if deadline is None else _left(deadline))
        received = connection.recv_into(view[got:])
        if not received:
            raise EOFError
        got += received
    return data


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
