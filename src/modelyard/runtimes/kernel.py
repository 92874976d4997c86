"""What the kernel knows of processes (proc(5)): who lives, since when, who belongs to whom, and how to end them all.

A pid alone names nobody, because the kernel gives it out again; a pid with its start time does.
A process that left its parent and its session is still known by its mark: an environment variable it inherited.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

MARK = "_MODELYARD_MARK"
PAUSE = 0.02


class Stat(NamedTuple):
    """A line of /proc/<pid>/stat. `started` is in clock ticks since boot, `status` as from wait(2) once it is dead."""

    pid: int
    state: str
    parent: int
    session: int
    started: int
    status: int

    @property
    def dead(self) -> bool:
        """Whether it has ended and only waits for its parent to notice."""
        return self.state in {"Z", "X"}

    @property
    def identity(self) -> tuple[int, int]:
        """What names this process and no later one."""
        return self.pid, self.started


def stat(pid: int) -> Stat | None:
    """What is known of `pid`, None where there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    # The command's name stands in parentheses and may itself hold any character, also ")" and blanks.
    rest = text.rpartition(")")[2].split()
    return Stat(pid, rest[0], int(rest[1]), int(rest[3]), int(rest[19]), int(rest[49]))


def everyone() -> Iterator[Stat]:
    """All processes that this one can see."""
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal() and (found := stat(int(entry.name))) is not None:
            yield found


def boot() -> str:
    """Names this boot of the machine: start times count from it."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def arguments(pid: int) -> list[str]:
    """The command line of `pid`, empty where it cannot be read."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def mark(pid: int) -> str | None:
    """The mark that `pid` was started with, None where it bears none or is not ours to read."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return None
    wanted = f"{MARK}=".encode()
    found = next((entry for entry in environment.split(b"\0") if entry.startswith(wanted)), None)
    return None if found is None else found[len(wanted) :].decode(errors="replace")


class Tree:
    """A process with all that came of it, however it tried to leave: by setsid, by a double fork, by ignoring signals.

    `marked` tells the marks of its members. `root` is its first process, by pid and start time.
    Once seen, a member stays a member, so that one whose parent has ended meanwhile is not lost.
    """

    def __init__(self, marked: Callable[[str], bool], root: tuple[int, int] | None = None) -> None:
        self._marked = marked
        self._known = {root} if root else set[tuple[int, int]]()
        self._sessions = set[int]()

    def members(self) -> list[Stat]:
        """Those that are alive now."""
        living = [found for found in everyone() if not found.dead and found.pid != os.getpid()]
        self._known |= {found.identity for found in living if self._bears_mark(found)}
        while new := self._relatives(living):
            self._known |= new
        return [found for found in living if found.identity in self._known]

    def kill(self, *, seconds: float = 5.0) -> bool:
        """End every member at once, again and again until none is left; False where some outlive `seconds` of that."""
        deadline = time.monotonic() + seconds
        while members := self.members():
            for member in members:
                send(member.identity, signal.SIGKILL)
            if time.monotonic() > deadline:
                return False
            time.sleep(PAUSE)
        return True

    def _bears_mark(self, found: Stat) -> bool:
        if found.identity in self._known:
            return False
        text = mark(found.pid)
        return text is not None and self._marked(text)

    def _relatives(self, living: Sequence[Stat]) -> set[tuple[int, int]]:
        present = {found.pid: found for found in living if found.identity in self._known}
        # Only sessions that a member leads: another's session is not ours to end.
        self._sessions |= {found.session for found in present.values() if found.session == found.pid}
        return {
            found.identity
            for found in living
            if found.identity not in self._known and (found.parent in present or found.session in self._sessions)
        }


def send(identity: tuple[int, int], number: int) -> None:
    """Send a signal to exactly this process; nothing happens where it is gone or not ours."""
    found = stat(identity[0])
    if found is not None and found.identity == identity:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(found.pid, number)
