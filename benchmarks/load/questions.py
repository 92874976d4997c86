"""What is asked and what is right: requests as bytes, and the bodies of their right answers, learned and proved once.

An answer is right when it is the one that was learned, but for the rounding of its numbers: servers that gather
requests into batches compute the last digits of the same row differently.
"""

import math
import re
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httptools

RELATIVE, ABSOLUTE = 1e-4, 1e-5
_NUMBER = re.compile(rb"(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)")


@dataclass(frozen=True)
class Question:
    """A request's bytes and the bodies of the answers that are right (up to four)."""

    data: bytes
    answers: tuple[bytes, ...] = ()


def post(path: str, body: bytes, headers: Sequence[tuple[str, str]] = ()) -> bytes:
    """The bytes of a POST request."""
    lines = [f"POST {path} HTTP/1.1", "host: localhost", "content-type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + f"\r\ncontent-length: {len(body)}\r\n\r\n").encode() + body


def same(got: bytes, right: bytes) -> bool:
    """Whether both are the same but for the rounding of numbers."""
    if got == right:
        return True
    ours, theirs = _NUMBER.split(got), _NUMBER.split(right)
    return len(ours) == len(theirs) and all(
        one == other if place % 2 == 0 else close(float(one), float(other))
        for place, (one, other) in enumerate(zip(ours, theirs, strict=True))
    )


def close(got: float, right: float) -> bool:
    """Whether a probability counts as the same one."""
    return math.isclose(got, right, rel_tol=RELATIVE, abs_tol=ABSOLUTE)


def write(path: Path, questions: Sequence[Question]) -> None:
    """The file that load.c reads."""
    with path.open("wb") as file:
        file.write(struct.pack("=I", len(questions)))
        for question in questions:
            file.write(_run(question.data) + struct.pack("=I", len(question.answers)))
            file.write(b"".join(map(_run, question.answers)))


def _run(data: bytes) -> bytes:
    return struct.pack("=I", len(data)) + data


class Reply:
    """One answer as it is read; httptools fills it."""

    def __init__(self) -> None:
        self.body = b""
        self.whole = False

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.whole = True


def ask(port: int, request: bytes, timeout: float = 30.0) -> tuple[int, bytes]:
    """Status and body of the answer to one request, on a connection of its own. Raises OSError."""
    reply = Reply()
    parser = httptools.HttpResponseParser(reply)
    with socket.create_connection(("127.0.0.1", port), timeout) as connection:
        connection.sendall(request)
        while not reply.whole:
            data = connection.recv(65536)
            if not data:
                raise ConnectionResetError("the server closed before its answer was whole")
            parser.feed_data(data)
    return parser.get_status_code(), reply.body
