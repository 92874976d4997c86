"""One `up` for one data folder: a POSIX record lock, which the kernel drops with its holder, however that ends."""

import fcntl
import os
import struct
from contextlib import suppress
from pathlib import Path

from modelyard.core.errors import Conflict, Forbidden

# struct flock of fcntl(2): l_type, l_whence, l_start, l_len, l_pid.
FLOCK = struct.Struct("@hhqqi4x")
FILE = "up.lock"
URL = "url"


def hold(data: Path) -> int:
    """Make the data folder (0700) and lock it; the lock lives as long as this process.

    Such a lock falls with the first descriptor of the file that is closed, so nothing else in the process may open it.
    Raises Conflict, naming the holder, where another has it, and Forbidden where the folder cannot be written.
    """
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(data / FILE, os.O_RDWR | os.O_CREAT, 0o600)
    except (FileExistsError, NotADirectoryError):
        raise Forbidden(
            f"The data folder {data} cannot be used: a file is in the way. Choose another with --data."
        ) from None
    except OSError as error:
        raise Forbidden(
            f"The data folder {data} cannot be written: {error.strerror}. Choose another with --data."
        ) from None
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        pid = _holder(descriptor)
        os.close(descriptor)
        raise Conflict(_refusal(data, pid), detail={"pid": pid}) from None
    return descriptor


def holder(data: Path) -> int | None:
    """The pid of the `up` that runs on this data folder (0 where it is out of sight), None where none does."""
    try:
        descriptor = os.open(data / FILE, os.O_RDWR)
    except OSError:
        return None
    try:
        return _holder(descriptor)
    finally:
        os.close(descriptor)


def running_url(data: Path) -> str | None:
    """Where the platform on this data folder says it answers."""
    with suppress(OSError):
        return (data / URL).read_text().strip() or None
    return None


def _holder(descriptor: int) -> int | None:
    asked = FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    kind, _, _, _, pid = FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    return None if kind == fcntl.F_UNLCK else max(0, pid)


def _refusal(data: Path, pid: int | None) -> str:
    who = f"process {pid}" if pid else "another process"
    url = running_url(data)
    where = f" and answers at {url}" if url else ""
    return f"Modelyard already runs on {data} ({who}){where}. Stop it first, or choose another folder with --data."
