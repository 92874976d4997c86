"""Folders that only this user may look into: sockets, records and keys lie there."""

import os
import stat
from pathlib import Path

from modelyard.core.errors import Broken, Forbidden, OutOfSpace


def make_private(path: Path) -> Path:
    """Make `path` with mode 0700 where it is missing; `path` itself.

    Raises Forbidden where it may not be made or belongs to somebody else: a run folder may lie below /tmp, where anyone
    can be first to take a name. Raises Broken where it is no folder, OutOfSpace where the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
    except FileExistsError:
        raise Broken(f"{path} is in the way: a folder is needed there. Move it away.") from None
    except PermissionError:
        raise Forbidden(
            f"{path} cannot be made: permission denied. Choose another folder or change its owner."
        ) from None
    except OSError as error:
        raise OutOfSpace(f"{path} cannot be made: {error.strerror}.") from error
    if not stat.S_ISDIR(found.st_mode):
        raise Broken(f"{path} is in the way: a folder is needed there. Move it away.")
    if found.st_uid != os.getuid():
        raise Forbidden(
            f"{path} belongs to another user (uid {found.st_uid}). Remove it or choose another data folder."
        )
    return path
