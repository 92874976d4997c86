"""Whether anybody still runs the platform: what outlives a killed `modelyard up` does not outlive it for ever.

Whoever runs the platform holds a POSIX record lock on `up.lock` in the data folder. Asking for it (F_GETLK, fcntl(2))
takes nothing and disturbs nobody. Only another process's lock is seen, never one's own.
"""

import asyncio
import fcntl
import os
import struct
import threading
import time
from pathlib import Path

EVERY_SECONDS = 5.0
ALONE_SECONDS = 60.0
_FLOCK = struct.Struct("@hhqqi4x")  # struct flock: l_type, l_whence, l_start, l_len, l_pid


class Lifeline:
    """The lock at `path`, seen from a process that does not hold it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def held(self) -> bool | None:
        """Whether another process holds it; None where there is no such file, so that nobody promised to."""
        try:
            descriptor = os.open(self._path, os.O_RDWR)
        except OSError:
            return None
        try:
            asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            kind: int = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))[0]
        finally:
            os.close(descriptor)
        return kind != fcntl.F_UNLCK

    def wait_until_alone(
        self, gave_up: threading.Event, *, every: float = EVERY_SECONDS, seconds: float = ALONE_SECONDS
    ) -> bool:
        """True once nobody has held the lock for `seconds`, looked at `every` so many; False once `gave_up` is set."""
        since: float | None = None
        while not gave_up.wait(every):
            since = (since or time.monotonic()) if self.held() is False else None
            if since is not None and time.monotonic() - since >= seconds:
                return True
        return False

    async def alone(self, *, every: float = EVERY_SECONDS, seconds: float = ALONE_SECONDS) -> None:
        """Return once nobody has held the lock for `seconds`; for a process with an event loop."""
        since: float | None = None
        while since is None or time.monotonic() - since < seconds:
            await asyncio.sleep(every)
            since = (since or time.monotonic()) if self.held() is False else None
