"""What comes out of a sandbox, made safe: lines, events and the failure note. All of it is a stranger's data."""

import logging
import math
import os
import re
import stat
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from modelyard.protocol.jobs import Failure, LogLine, MetricPoint, Progress, Told

log = logging.getLogger("modelyard.worker")

LONGEST_LINE = 4000
LONGEST_NAME = 200
LARGEST_EVENT = 64 * 1024
LARGEST_NOTE = 64 * 1024
PER_SECOND, AT_ONCE = 500.0, 5000.0
MOST_LINES = 100_000

NOTE = "failure.json"
_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")
# Tabs stay; what moves a terminal's cursor, or what PostgreSQL cannot keep, goes.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


def clean(text: str, longest: int = LONGEST_LINE) -> str:
    """`text` in one line, without control characters and lone surrogates, cut to `longest` characters."""
    text = _CONTROL.sub("", text.replace("\n", " ").encode(errors="replace").decode())
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


class Rate:
    """At most `per_second` on the long run and `at_once` in one go."""

    def __init__(self, per_second: float = PER_SECOND, at_once: float = AT_ONCE) -> None:
        self._per_second, self._at_once = per_second, at_once
        self._left, self._at = at_once, time.monotonic()

    def allows(self) -> bool:
        """Whether one more fits now."""
        now = time.monotonic()
        self._left = min(self._at_once, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Ear:
    """Reads events from a pipe, one JSON object on each line, and hands on those that make sense.

    What does not is dropped, and the log says so once for each kind of nonsense.
    """

    def __init__(self, descriptor: int, on_event: Callable[[Told], None], warn: Callable[[str], None]) -> None:
        self._descriptor = descriptor
        self._on_event = on_event
        self._warn = warn
        self._warned: set[str] = set()
        self._rate = Rate()

    def listen(self) -> None:
        """Until the other end is closed by all that hold it."""
        with os.fdopen(self._descriptor, "rb") as pipe:
            whole = True
            while line := pipe.readline(LARGEST_EVENT):
                ends = line.endswith(b"\n")
                if whole and ends:
                    self._hear(line)
                elif whole:
                    self._once("an event was longer than 64 KiB or broken off")
                whole = ends

    def _hear(self, line: bytes) -> None:
        try:
            event = sound(msgspec.json.decode(line, type=Told))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._once("an event could not be read")
            return
        if event is None:
            self._once("an event held no finite number")
        elif self._rate.allows():
            self._on_event(event)
        else:
            self._once(f"there were more than {PER_SECOND:.0f} events a second")

    def _once(self, what: str) -> None:
        if what not in self._warned:
            self._warned.add(what)
            self._warn(f"Some of what the training reported was dropped: {what}.")


def sound(event: Told) -> Told | None:
    """The event with clean texts, its time taken here, and figures in range; None where they make no sense."""
    if isinstance(event, LogLine):
        return LogLine(line=clean(event.line), at=time.time(), stream="err" if event.stream == "err" else "out")
    if isinstance(event, MetricPoint):
        if not math.isfinite(event.value) or not 0 <= event.step < 1 << 53:
            return None
        return MetricPoint(name=clean(event.name, LONGEST_NAME), step=event.step, value=event.value, at=time.time())
    eta = event.eta_seconds
    if not math.isfinite(event.fraction):
        return None
    return Progress(
        phase=clean(event.phase, LONGEST_NAME),
        fraction=min(1.0, max(0.0, event.fraction)),
        eta_seconds=eta if eta is not None and math.isfinite(eta) and eta >= 0 else None,
    )


def read_note(work: Path) -> Failure | None:
    """What a command left as its reason for failing; None where there is none that can be believed."""
    content = _read_plain(work / NOTE)
    try:
        note = msgspec.json.decode(content, type=Failure)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    code = note.code if _CODE.fullmatch(note.code) else "training_failed"
    told = Failure(code=code, message=clean(note.message))
    # Neither can be kept by every database; what is free in form is not worth cleaning.
    if b"\\u0000" in content or b"\\ud" in content.lower():
        return told
    return msgspec.structs.replace(told, detail=note.detail, fields=note.fields[:50])


def _read_plain(path: Path) -> bytes:
    """A plain file of a believable size; empty where it is anything else."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        found = os.fstat(descriptor)
        believable = stat.S_ISREG(found.st_mode) and found.st_size <= LARGEST_NOTE
        return os.read(descriptor, LARGEST_NOTE) if believable else b""
    finally:
        os.close(descriptor)
