"""A worker's private folder, and its removal: what a stranger left in it may be deep, closed or a link."""

import itertools
import os
import shutil
from contextlib import suppress
from pathlib import Path

from modelyard.core.folders import make_private


def make(data: Path, job: str, token: int) -> Path:
    """A fresh `scratch/<job>-<token>` in the data folder; what dead workers of the same job left is removed.

    Raises OutOfSpace, Forbidden or Broken where it cannot be made.
    """
    folder = make_private(make_private(data / "scratch") / f"{job}-{token}")
    for other in folder.parent.glob(f"{job}-*"):
        if other != folder and other.name.removeprefix(f"{job}-").isdigit():
            remove(other)
    return folder


def remove(folder: Path) -> None:
    """Remove `folder` and all in it, links not followed. What cannot be removed stays; nothing is raised."""
    _flatten(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _flatten(folder: Path) -> None:
    """Bring every folder below to the first level, opened for us: then no path is too long, no recursion too deep."""
    numbers = itertools.count()
    pending = [entry.path for entry in _folders(folder)]
    while pending:
        path = pending.pop()
        with suppress(OSError):
            Path(path).chmod(0o700)
        for entry in _folders(Path(path)):
            moved = f"{folder}/.{next(numbers)}-{os.getpid()}"
            with suppress(OSError):
                Path(entry.path).chmod(0o700)  # a folder can be moved only by who may write to it
                Path(entry.path).rename(moved)
                pending.append(moved)


def _folders(folder: Path) -> list["os.DirEntry[str]"]:
    with suppress(OSError), os.scandir(folder) as entries:
        return [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
    return []
