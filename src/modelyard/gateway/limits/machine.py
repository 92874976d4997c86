"""The ledger of one machine: a file in the run folder that its gateways write in turns.

A table of a fixed size, in sets: a bucket's name says its set, and any record there may be its own. A record is a
digest of the name and the moment at which the bucket is full, on the machine's monotonic clock. A full bucket is like
one that nobody knows, so records need no deletion: their time is over. The lock is the kernel's: a gateway that is
killed holds it no longer, and leaves whole records.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from modelyard.core.errors import ModelyardError, Unavailable
from modelyard.core.folders import make_private
from modelyard.gateway.limits.base import Ledger, Spent

RECORD = struct.Struct("<16sd")
SETS, RECORDS = 1024, 16
SET_SIZE = RECORDS * RECORD.size
HEAD_SIZE = 32
SIZE = HEAD_SIZE + SETS * SET_SIZE
LOCK_TRIES, LOCK_PAUSE = 100, 0.005
BOOT = Path("/proc/sys/kernel/random/boot_id")


class MachineLedger(Ledger):
    """The ledger in the file `path`, which is made (0600) where it is missing. `clock` is the machine's."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._file = -1
        self._head = _head()

    async def exchange(self, spent: Spent) -> Sequence[float]:
        try:
            self._open()
            await self._lock()
            try:
                return self._exchange(spent)
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)
        except (OSError, ModelyardError) as error:
            await self.close()
            why = error.message if isinstance(error, ModelyardError) else error.strerror
            raise Unavailable(f"Rate limits cannot be shared by {self._path}: {why}") from error

    async def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _open(self) -> None:
        if self._file >= 0:
            # Somebody may have taken the file away, and others look at a new one.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(self._path.stat(), os.fstat(self._file)):
                    return
            os.close(self._file)
            self._file = -1
        make_private(self._path.parent)
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    async def _lock(self) -> None:
        """Without blocking: a process that was stopped with the lock must not stop this one."""
        for _ in range(LOCK_TRIES):
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                await asyncio.sleep(LOCK_PAUSE)
            else:
                return
        raise Unavailable("another process holds it.")

    def _exchange(self, spent: Spent) -> Sequence[float]:
        if os.pread(self._file, HEAD_SIZE, 0) != self._head:
            # New, or of another boot, whose clock says nothing now.
            os.ftruncate(self._file, 0)
            os.ftruncate(self._file, SIZE)
            os.pwrite(self._file, self._head, 0)
        now = self._clock()
        return [self._add(name, seconds, now) - now for name, seconds in spent]

    def _add(self, name: str, seconds: float, now: float) -> float:
        """Move a bucket's moment on; where it is then."""
        digest = hashlib.blake2b(name.encode(), digest_size=16).digest()
        start = HEAD_SIZE + int.from_bytes(digest[:4], "little") % SETS * SET_SIZE
        records = list(_records(os.pread(self._file, SET_SIZE, start)))
        for place, (key, full_at) in enumerate(records):  # noqa: B007 - both are read after the loop
            if key == digest:
                break
        else:
            # The one that is full, or will be first: the least is forgotten with it.
            place, full_at = min(range(RECORDS), key=lambda one: records[one][1]), now
        full_at = max(full_at, now) + seconds
        os.pwrite(self._file, RECORD.pack(digest, full_at), start + place * RECORD.size)
        return full_at


def _records(data: bytes) -> Iterator[tuple[bytes, float]]:
    """The records of a set; those behind the end of a file that was cut short are empty."""
    return RECORD.iter_unpack(data.ljust(SET_SIZE, b"\0"))


def _head() -> bytes:
    """What the file begins with: its layout, and the boot of whose clock its moments are."""
    boot = BOOT.read_bytes() if BOOT.exists() else b""
    return hashlib.blake2b(b"modelyard rate limits 1\n" + boot, digest_size=HEAD_SIZE).digest()
