"""Version folders on this machine: fetched once from the object store, verified at every start, shared by all replicas.

A folder is called by the SHA-256 of its SHA256SUMS, which in turn holds that of every file: what has the right name and
passes is what was registered, whoever put it there.
"""

import errno
import os
import re
import secrets
import shutil
import time
from pathlib import Path, PurePosixPath

from modelyard.core.errors import Broken, OutOfSpace
from modelyard.formats.folder import verify_checksums
from modelyard.protocol.processes import HeldVersion
from modelyard.storage.objects.base import ObjectStore

LEFTOVER_SECONDS = 3600.0
_CHECKSUM = re.compile(r"[0-9a-f]{64}")


def fetch(version: HeldVersion, store: ObjectStore, cache: Path) -> Path:
    """The verified folder of `version` below `cache`.

    Raises Broken where what the store holds is not what was registered, OutOfSpace, and what the store raises.
    """
    if not _CHECKSUM.fullmatch(version.checksum):
        raise Broken(f"{version.label} is registered with {version.checksum!r}, which is no SHA-256.")
    folder = cache / version.checksum
    try:
        if folder.is_dir():
            if _is_whole(folder, version.checksum):
                return folder
            _discard(folder)
        return _download(version, store, folder)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise OutOfSpace(f"The disk is full: {version.label} needs room in {cache}.", retry_after=60) from None
        raise Broken(f"{version.label} cannot be kept in {cache}: {error}.") from error


def _download(version: HeldVersion, store: ObjectStore, folder: Path) -> Path:
    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder.parent)
    workspace = folder.with_name(f".{version.checksum}-{secrets.token_hex(4)}")
    # Called like the version, since that is how what is wrong with it will be named.
    draft = workspace / f"v{version.number}"
    draft.mkdir(mode=0o700, parents=True)
    try:
        for found in store.list(version.folder):
            path = PurePosixPath(found.key).relative_to(version.folder)
            if ".." in path.parts:
                raise Broken(f"{version.label} holds a file called {found.key!r}, which leads out of its folder.")
            target = draft / path
            target.parent.mkdir(parents=True, exist_ok=True)
            store.download(found.key, target)
        verify_checksums(draft, version.checksum)
        return _publish(draft, folder, version.checksum)
    except Broken as error:
        raise Broken(f"{version.label} is damaged in the object store: {error.message}") from error
    finally:
        shutil.rmtree(workspace, ignore_errors=True)


def _publish(draft: Path, folder: Path, checksum: str) -> Path:
    try:
        draft.rename(folder)
    except OSError:
        # Another replica was first: a folder that has files is never replaced.
        if not _is_whole(folder, checksum):
            raise
    return folder


def _is_whole(folder: Path, checksum: str) -> bool:
    try:
        verify_checksums(folder, checksum)
    except (Broken, FileNotFoundError):
        return False
    return True


def _discard(folder: Path) -> None:
    """Take a damaged folder out of the way in one step; another replica may be doing the same."""
    aside = folder.with_name(f".{folder.name}-{secrets.token_hex(4)}")
    try:
        folder.rename(aside)
    except FileNotFoundError:
        return
    shutil.rmtree(aside, ignore_errors=True)


def _sweep(cache: Path) -> None:
    """Remove what killed replicas left half-done."""
    for entry in os.scandir(cache):
        if entry.name.startswith(".") and time.time() - entry.stat().st_mtime > LEFTOVER_SECONDS:
            shutil.rmtree(entry.path, ignore_errors=True)
