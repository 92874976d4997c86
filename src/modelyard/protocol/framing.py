"""Cutting frames out of a byte stream and gathering frames for one write. No I/O: both ends feed and empty it.

The layout is `protocol/frames.py`.
"""

from typing import NamedTuple

from modelyard.core.errors import Broken
from modelyard.protocol.frames import HEADER


class Frame(NamedTuple):
    """One frame; the meaning of `tag` and `value` depends on `kind`."""

    id: int
    kind: int
    content: int
    tag: int
    value: int
    body: bytes


class Incoming:
    """What has arrived of a stream of frames. `largest` is the longest body that is believed, in bytes."""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._rest = bytearray()
        self._wanted = HEADER.size

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes. Raises Broken where the stream is no stream of frames."""
        if self._rest:
            # Whole bodies are waited for, so that a large one is not cut out of a growing buffer again and again.
            self._rest += data
            if len(self._rest) < self._wanted:
                return []
            data, self._rest = bytes(self._rest), bytearray()
        frames: list[Frame] = []
        at, end = 0, len(data)
        self._wanted = HEADER.size
        while end - at >= HEADER.size:
            length, number, kind, content, tag, value = HEADER.unpack_from(data, at)
            if length > self._largest:
                raise Broken(f"A frame of {length} bytes was announced; the longest is {self._largest}.")
            body_at = at + HEADER.size
            if end - body_at < length:
                self._wanted = HEADER.size + length
                break
            at = body_at + length
            frames.append(Frame(number, kind, content, tag, value, data[body_at:at]))
        if at < end:
            self._rest += data[at:]
        return frames


class Outgoing:
    """Frames that leave together, in one write for each turn of the event loop."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def add(self, number: int, kind: int, content: int = 0, tag: int = 0, value: int = 0, body: bytes = b"") -> bool:
        """Append a frame; whether it is the first since `take`, so that the caller schedules the write."""
        first = not self._parts
        self._parts.append(HEADER.pack(len(body), number, kind, content, tag, value))
        self._parts.append(body)
        return first

    def take(self) -> bytes:
        """Everything appended, as one piece."""
        parts, self._parts = self._parts, []
        return b"".join(parts)
