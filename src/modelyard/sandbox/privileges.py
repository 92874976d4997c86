"""What the platform's own process may do here: it decides which layers a sandbox can have."""

import functools
import os
import stat
import tempfile
from pathlib import Path

from modelyard.core.errors import Unavailable

_SETUID, _SYS_ADMIN, _CHOWN = 7, 21, 0


def _capable(bit: int) -> bool:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> bit & 1)
    return False


def _mapped(uid: int) -> bool:
    """Whether this user namespace knows `uid`: a rootless container often knows one only."""
    for line in Path("/proc/self/uid_map").read_text().splitlines():
        inside, _, count = (int(part) for part in line.split())
        if inside <= uid < inside + count:
            return True
    return False


@functools.cache
def may_change_user() -> bool:
    """Whether jobs can run under user ids of their own."""
    return os.geteuid() == 0 and _capable(_SETUID) and _capable(_CHOWN) and _mapped(29999)


@functools.cache
def may_mount() -> bool:
    """Whether a private mount namespace can be made, in which paths below closed folders become reachable."""
    return os.geteuid() == 0 and _capable(_SYS_ADMIN)


@functools.cache
def own_folder() -> Path:
    """The machine-wide folder of locks and of the mount point, root's own and passable for all.

    Made where it is missing. Raises Unavailable where somebody else made a thing of that name.
    """
    below = Path("/run") if os.access("/run", os.W_OK) else Path(tempfile.gettempdir())
    folder = below / "modelyard-jobs"
    try:
        folder.mkdir(mode=0o711)
        folder.chmod(0o711)
    except FileExistsError:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise Unavailable(
                f"{folder} is not a folder of this platform alone. Remove it, then start again."
            ) from None
    return folder


def mount_point() -> Path:
    """An empty folder over which each launcher mounts in its own namespace; the host never sees anything in it."""
    point = own_folder() / "mounts"
    point.mkdir(mode=0o711, exist_ok=True)
    return point
