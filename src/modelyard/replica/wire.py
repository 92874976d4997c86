"""What the replica and the process that is shut in with a version say to each other over a socket pair.

    to it      u32 rows | u32 numeric columns | u32 string columns | u32 bytes of strings | u32 bytes of options
               | numbers | strings | options
    from it    u8 kind | u32 first | u32 second | what follows (little endian throughout)

numbers    float32, row by row
strings    MessagePack, one list of all strings, row by row; nothing where there are none
options    MessagePack, what a request chose of a version that words its own answers (RequestPredictor); else nothing
READY      once, when the version is loaded; `first` is 1 where it words its own answers; nothing follows
ANSWER     `first` rows of `second` columns: float32, row by row
ENTRIES    `first` bytes of MessagePack follow: the list of entries of an answer to rows with options
FAILED     `first` bytes of UTF-8 follow: why it cannot; `second` is 1 where the request is at fault

Nothing here is a pickle: what comes from inside is a stranger's data, read as numbers of a known count or as a short
text. The end inside trusts what it gets.
"""

import socket
import struct
import time
from collections.abc import Collection
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelyard.formats._answers import is_finite
from modelyard.formats.base import Batch

ASK = struct.Struct("<IIIII")
TELL = struct.Struct("<BII")
READY, ANSWER, FAILED, ENTRIES = 1, 2, 3, 4
LONGEST_TEXT = 2000
LARGEST_ENTRIES = 256 << 20
FLOATS = np.dtype("<f4")


class Nonsense(Exception):
    """The other end said what cannot be."""


class Refused(Exception):
    """The other end could not do it: its own words. `invalid` says that the request is at fault."""

    def __init__(self, text: str, *, invalid: bool = False) -> None:
        super().__init__(text)
        self.invalid = invalid


class Question(NamedTuple):
    """What is asked: rows, and what their request chose; None where values are wanted, not entries."""

    batch: Batch
    options: dict[str, Any] | None


def ask(connection: socket.socket, batch: Batch, deadline: float, options: dict[str, Any] | None = None) -> None:
    """Send rows. Raises TimeoutError after `deadline` (time.monotonic), OSError where the other end is gone."""
    strings = msgspec.msgpack.encode(batch.strings.ravel().tolist()) if batch.strings.size else b""
    chosen = b"" if options is None else msgspec.msgpack.encode(options)
    numbers = np.ascontiguousarray(batch.numbers, FLOATS)
    head = ASK.pack(batch.rows, numbers.shape[1], batch.strings.shape[1], len(strings), len(chosen))
    connection.settimeout(_left(deadline))
    connection.sendall(b"".join((head, numbers.data.cast("B") if numbers.size else b"", strings, chosen)))


def answer(
    connection: socket.socket, rows: int, columns: int | Collection[int], deadline: float
) -> NDArray[np.float32]:
    """Receive the answer to so many rows: so many columns, or any of these numbers of them.

    Raises Refused, Nonsense where it is another one, TimeoutError, and EOFError or OSError where the other end is gone.
    """
    kind, first, second = TELL.unpack(_receive(connection, TELL.size, deadline))
    if kind == FAILED:
        raise Refused(_text(connection, first, deadline), invalid=second == 1)
    allowed = (columns,) if isinstance(columns, int) else columns
    if (kind, first) != (ANSWER, rows) or second not in allowed:
        wanted = " or ".join(map(str, allowed))
        raise Nonsense(f"it answered {first} x {second} where {rows} x {wanted} belong")
    data = _receive(connection, rows * second * FLOATS.itemsize, deadline)
    return np.frombuffer(data, FLOATS).reshape(rows, second).astype(np.float32, copy=False)


def entries(connection: socket.socket, deadline: float) -> list[dict[str, Any]]:
    """Receive the entries of an answer; raises as `answer` does."""
    kind, first, second = TELL.unpack(_receive(connection, TELL.size, deadline))
    if kind == FAILED:
        raise Refused(_text(connection, first, deadline), invalid=second == 1)
    if kind != ENTRIES or first > LARGEST_ENTRIES:
        raise Nonsense(f"it answered {first} x {second} where entries belong")
    try:
        found = msgspec.msgpack.decode(_receive(connection, first, deadline), type=list[dict[str, Any]])
        # What JSON has no word for, such as bytes or half a surrogate pair, is found here and not on the way out.
        plain: list[dict[str, Any]] = msgspec.json.decode(msgspec.json.encode(found))
    except (msgspec.MsgspecError, UnicodeError, RecursionError, TypeError, ValueError) as error:
        raise Nonsense(f"it answered what is no list of entries ({type(error).__name__})") from None
    if any(entry.keys() != plain[0].keys() for entry in plain) or not is_finite(found):
        raise Nonsense("it answered entries with different keys, or numbers that are none")
    return plain


def ready(connection: socket.socket, deadline: float) -> bool:
    """Wait until the other end can be asked; whether it words its own answers. Raises as `answer` does."""
    kind, first, _ = TELL.unpack(_receive(connection, TELL.size, deadline))
    if kind == FAILED:
        raise Refused(_text(connection, first, deadline))
    if kind != READY:
        raise Nonsense("it did not say that it is ready")
    return bool(first == 1)


def asked(connection: socket.socket) -> Question:
    """Inside: the next rows. Raises EOFError once nobody asks any more."""
    rows, width, columns, length, chosen = ASK.unpack(_receive(connection, ASK.size))
    numbers = np.frombuffer(_receive(connection, rows * width * FLOATS.itemsize), FLOATS).reshape(rows, width)
    texts = msgspec.msgpack.decode(_receive(connection, length), type=list[str]) if length else []
    strings = np.array(texts, object).reshape(rows, columns)
    options = msgspec.msgpack.decode(_receive(connection, chosen)) if chosen else None
    return Question(Batch(numbers.astype(np.float32, copy=False), strings), options)


def told_ready(*, words: bool = False) -> bytes:
    """Inside: what says that the version is loaded, and whether it words its own answers."""
    return TELL.pack(READY, words, 0)


def told(values: NDArray[Any]) -> bytes:
    """Inside: what says the answer, which must be a matrix. Raises ValueError or TypeError where it is none."""
    matrix = np.ascontiguousarray(values, FLOATS)
    if matrix.ndim != 2:
        raise ValueError(f"it answered an array of shape {matrix.shape}")
    return TELL.pack(ANSWER, *matrix.shape) + matrix.tobytes()


def told_entries(found: list[dict[str, Any]]) -> bytes:
    """Inside: what says the entries of an answer."""
    data = msgspec.msgpack.encode(found)
    return TELL.pack(ENTRIES, len(data), 0) + data


def told_failure(text: str, *, invalid: bool = False) -> bytes:
    """Inside: what says why it cannot be done, and whether the request is at fault."""
    data = text.encode(errors="replace")[:LONGEST_TEXT]
    return TELL.pack(FAILED, len(data), invalid) + data


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
