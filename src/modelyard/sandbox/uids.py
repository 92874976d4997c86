"""A user id of its own for each job, so that two jobs of one machine are strangers to each other.

An id is taken by an exclusive flock(2) on a file named after it. The open file goes on into the sandbox's process 1,
which keeps it until the last process of the job is gone: an id is free again exactly when nothing runs under it any
more, even where the platform itself was killed.
"""

import fcntl
import os
import pwd
from pathlib import Path

from modelyard.core.errors import Unavailable
from modelyard.sandbox.privileges import own_folder

FIRST, LAST = 20000, 29999


def allocate() -> tuple[int, int]:
    """(uid, descriptor): a free id and the open file that holds it; closing every copy of the descriptor gives it back.

    Raises Unavailable where all are taken.
    """
    folder = own_folder() / "uids"
    folder.mkdir(mode=0o700, exist_ok=True)
    for uid in range(FIRST, LAST + 1):
        descriptor = _try(folder / str(uid))
        if descriptor is None:
            continue
        if not _somebody(uid):
            return uid, descriptor
        os.close(descriptor)
    raise Unavailable(
        f"All user ids from {FIRST} to {LAST} are taken by running jobs. Wait until one ends.", retry_after=10
    )


def _try(path: Path) -> int | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _somebody(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True
