"""Server-sent events (HTML standard, section 9.2), read from bytes as they come."""

import codecs
from collections.abc import Iterator
from typing import NamedTuple


class Event(NamedTuple):
    """One event; `id` is the last one that was given, so that a stream can be taken up again behind it."""

    name: str
    data: str
    id: str | None


class EventReader:
    """Puts pieces of a stream together into events."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._rest, self._name, self._data = "", "", list[str]()
        self._id: str | None = None

    def feed(self, piece: bytes) -> Iterator[Event]:
        """The events that are complete with this piece. Consume it before the next piece is fed."""
        # A line end may be CR, LF or both; a CR at the end of a piece may be half of one.
        text = self._rest + self._decode(piece)
        held = "\r" if text.endswith("\r") else ""
        *lines, self._rest = text.removesuffix(held).replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._rest += held
        for line in lines:
            if event := self._line(line):
                yield event

    def _line(self, line: str) -> Event | None:
        if not line:
            event = Event(self._name or "message", "\n".join(self._data), self._id) if self._data else None
            self._name, self._data = "", []
            return event
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            self._name = value
        elif field == "data":
            self._data.append(value)
        elif field == "id" and "\0" not in value:
            self._id = value
        return None
