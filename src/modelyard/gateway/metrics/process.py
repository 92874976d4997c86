"""What the kernel says of a process (proc(5)): the figures that Prometheus' client libraries show, by its rules."""

import os
from functools import cache
from pathlib import Path
from typing import NamedTuple

UNLIMITED = (1 << 64) - 1


class Process(NamedTuple):
    """CPU seconds used, resident bytes, open descriptors and how many there may be, and the Unix time of its start."""

    cpu_seconds: float
    resident_bytes: int
    open_fds: int
    max_fds: int
    started_at: float


def process(pid: int) -> Process | None:
    """The figures of a process of this user; None where it is gone, or the system has no /proc."""
    folder = Path("/proc") / str(pid)
    try:
        # The second field is the program's name in parentheses, which may hold anything.
        fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()
        return Process(
            cpu_seconds=(int(fields[11]) + int(fields[12])) / _ticks(),
            resident_bytes=int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
            open_fds=sum(1 for _ in (folder / "fd").iterdir()),
            max_fds=_max_fds(folder),
            started_at=_booted_at() + int(fields[19]) / _ticks(),
        )
    except (OSError, IndexError, ValueError):
        return None


def _max_fds(folder: Path) -> int:
    for line in (folder / "limits").read_text().splitlines():
        if line.startswith("Max open files"):
            soft = line.split()[3]
            return UNLIMITED if soft == "unlimited" else int(soft)
    return UNLIMITED


def _ticks() -> int:
    return os.sysconf("SC_CLK_TCK")


@cache
def _booted_at() -> int:
    lines = Path("/proc/stat").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("btime "))
