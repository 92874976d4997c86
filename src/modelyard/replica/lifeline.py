"""A replica outlives a killed `up`, so that models go on answering, but not a platform that nobody runs any more.

Whoever runs the platform holds a POSIX record lock on `up.lock` in the data folder. Asking for it (F_GETLK, fcntl(2))
takes nothing and disturbs nobody. Where there is no such file, something else looks after the replica.
"""

import asyncio
import fcntl
import os
import struct
from pathlib import Path

EVERY_SECONDS = 5.0
ALONE_SECONDS = 60.0
_FLOCK = struct.Struct("@hhqqi4x")  # struct flock: l_type, l_whence, l_start, l_len, l_pid


def held(path: Path) -> bool | None:
    """Whether another process holds the lock on `path`; None where there is no such file."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return None
    try:
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind: int = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))[0]
        return kind != fcntl.F_UNLCK
    finally:
        os.close(descriptor)


async def alone(path: Path, *, every: float = EVERY_SECONDS, seconds: float = ALONE_SECONDS) -> None:
    """Return once nobody has held the lock for `seconds`, looked at `every` so many."""
    loop = asyncio.get_running_loop()
    since: float | None = None
    while since is None or loop.time() - since < seconds:
        await asyncio.sleep(every)
        since = (since or loop.time()) if held(path) is False else None
