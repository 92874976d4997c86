"""Version folders on this machine: fetched once from the object store, verified at every start, shared by all replicas.

A folder is called by the SHA-256 of its SHA256SUMS, which in turn holds that of every file: what has the right name and
passes is what was registered, whoever put it there.

Each folder has a lock file, in a folder beside the cache. Whoever fetched a version holds it shared (flock) until it is
released or the process ends; the file's time says when that began last. What nobody holds may be removed: after a
download, whatever was not fetched for UNUSED_SECONDS, and what was fetched longest ago while the cache is larger than
LARGEST.
"""

import errno
import fcntl
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from modelyard.core.errors import Broken, OutOfSpace
from modelyard.core.folders import make_private
from modelyard.formats.folder import verify_checksums
from modelyard.protocol.processes import HeldVersion
from modelyard.storage.objects.base import ObjectStore

LEFTOVER_SECONDS = 3600.0
UNUSED_SECONDS = 30 * 86400.0
LARGEST = 20 << 30
"""Bytes that the cache may have before what nobody uses is removed."""

_CHECKSUM = re.compile(r"[0-9a-f]{64}")
_locks: dict[Path, int] = {}
_guard = threading.Lock()


def fetch(version: HeldVersion, store: ObjectStore, cache: Path) -> Path:
    """The verified folder of `version` below `cache`, which stays there until it is released or this process ends.

    Raises Broken where what the store holds is not what was registered, OutOfSpace, and what the store raises.
    """
    found = kept(version, cache)
    if found is not None:
        return found
    with _told(version, cache):
        return _download(version, store, cache / version.checksum)


def kept(version: HeldVersion, cache: Path) -> Path | None:
    """What `fetch` answers where the folder is here already and whole, so that no store has to be opened; else None.

    Raises as `fetch` does.
    """
    if not _CHECKSUM.fullmatch(version.checksum):
        raise Broken(f"{version.label} is registered with {version.checksum!r}, which is no SHA-256.")
    folder = cache / version.checksum
    with _told(version, cache):
        _hold(folder)
        if folder.is_dir():
            if _is_whole(folder, version.checksum):
                return folder
            _discard(folder)
    return None


@contextmanager
def _told(version: HeldVersion, cache: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise OutOfSpace(f"The disk is full: {version.label} needs room in {cache}.", retry_after=60) from None
        raise Broken(f"{version.label} cannot be kept in {cache}: {error}.") from error


def release(folder: Path) -> None:
    """Say that this process no longer reads what `fetch` gave it: the folder may be removed. Unknown ones are ignored.

    What was fetched several times is released at once.
    """
    with _guard:
        descriptor = _locks.pop(folder, None)
    if descriptor is not None:
        os.close(descriptor)


def _download(version: HeldVersion, store: ObjectStore, folder: Path) -> Path:
    _sweep(folder.parent)
    workspace = folder.with_name(f".{version.checksum}-{secrets.token_hex(4)}")
    # Called like the version, since that is how what is wrong with it will be named.
    draft = workspace / f"v{version.number}"
    draft.mkdir(parents=True)
    try:
        for found in store.list(version.folder):
            path = PurePosixPath(found.key).relative_to(version.folder)
            if ".." in path.parts:
                raise Broken(f"{version.label} holds a file called {found.key!r}, which leads out of its folder.")
            target = draft / path
            target.parent.mkdir(parents=True, exist_ok=True)
            store.download(found.key, target)
        verify_checksums(draft, version.checksum)
        _open_to_all(draft)
        published = _publish(draft, folder, version.checksum)
        prune(folder.parent)
        return published
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


def _open_to_all(folder: Path) -> None:
    """Let a sandbox's user read what lies in it; the cache itself lets nobody else pass."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def prune(cache: Path, *, largest: int = LARGEST, unused_seconds: float = UNUSED_SECONDS) -> None:
    """Remove folders that no living process holds: those not fetched for long, and the oldest while there is too much.

    What was fetched before there were lock files counts as never fetched.
    """
    folders = [folder for folder in cache.iterdir() if _CHECKSUM.fullmatch(folder.name)]
    found = sorted((_last_use(folder), folder, _size(folder)) for folder in folders)
    total = sum(size for _, _, size in found)
    for used, folder, size in found:
        if total <= largest and time.time() - used <= unused_seconds:
            return
        if _remove(folder):
            total -= size


def _lock_file(folder: Path) -> Path:
    return folder.parent.with_name(f"{folder.parent.name}.locks") / folder.name


def _hold(folder: Path) -> None:
    """Keep the folder from being removed, and note its use."""
    make_private(folder.parent).chmod(0o700)
    with _guard:
        if folder not in _locks:
            _locks[folder] = _locked(folder, fcntl.LOCK_SH)
    os.utime(_lock_file(folder))


def _locked(folder: Path, how: int) -> int:
    """A descriptor that holds the folder's lock. Raises BlockingIOError where `how` says not to wait."""
    path = _lock_file(folder)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, how)
            # Whoever removed the folder in between removed its lock as well: then this one is nobody's.
            if os.fstat(descriptor).st_ino == path.stat().st_ino:
                return descriptor
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _remove(folder: Path) -> bool:
    """Remove a folder that nobody holds; whether it is gone."""
    try:
        descriptor = _locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    try:
        _discard(folder)
        _lock_file(folder).unlink(missing_ok=True)
    finally:
        os.close(descriptor)
    return True


def _last_use(folder: Path) -> float:
    try:
        return _lock_file(folder).stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.lstat().st_size
    return total
