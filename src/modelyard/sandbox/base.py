"""Seam: run a command shut in.

A sandbox holds when the command sees no host files, no network, no environment, and cannot outlive or outgrow its
limits.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from modelyard.protocol.processes import Limits


@dataclass(frozen=True, kw_only=True)
class Command:
    """What to run.

    `argv` is run with the working folder at `/job`. `work` is the host's folder that is writable as `/job`; None: an
    empty one in memory, of at most 64 MiB, so that the command writes nothing to the host's disk. `readable` maps
    absolute paths inside to host paths that are bound read-only. `events_fd`, when given, is an open descriptor that
    the command inherits as file descriptor 3. `python` makes the platform's own interpreter and packages readable at
    their own paths.

    While the command runs, `work` may belong to another user of the host; afterwards all in it belongs to the owner
    that `work` had before. What lies in it then is a stranger's: follow no links, believe no sizes.
    """

    argv: Sequence[str]
    limits: Limits
    work: Path | None = None
    readable: Mapping[str, Path] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    events_fd: int | None = None
    python: bool = True


Limit = Literal["", "memory", "seconds", "disk", "setup"]
"""What ended a command other than itself; `setup` where the sandbox itself could not be built."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How the command ended; `exit_code` is 128 + the signal's number where a signal ended it.

    `reason` is a clause for a person where a limit ended it ("used more than 512 MiB of memory"), else empty;
    `limit` says which one. `peak_memory` in bytes, None where nothing measured it.
    """

    exit_code: int
    seconds: float
    reason: str = ""
    limit: Limit = ""
    peak_memory: int | None = None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a probe found: whether this sandbox holds here, and why not. `reduced` names layers that are missing."""

    holds: bool
    reason: str = ""
    reduced: tuple[str, ...] = ()


class Running(ABC):
    """A command that was started."""

    @abstractmethod
    def wait(self, timeout: float | None = None) -> Outcome | None:
        """The outcome, or None where `timeout` seconds passed first. Enforces the time limit."""

    @abstractmethod
    def stop(self) -> None:
        """End the whole process tree at once and clean up. Safe to call again."""


class Sandbox(ABC):
    """One way to shut a command in."""

    @abstractmethod
    def probe(self) -> Verdict:
        """Try it here, by trying to break out. Cheap enough for every start of the platform."""

    @abstractmethod
    def start(self, command: Command, *, on_line: Callable[[str, str], None]) -> Running:
        """Start `command`. `on_line(stream, line)` is called for each line that it prints ("out" or "err").

        Raises Unavailable where this sandbox cannot hold it here.
        """
