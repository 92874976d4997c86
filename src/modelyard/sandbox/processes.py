"""Looking at, awaiting, ending and tidying after a process tree through /proc, where no cgroup does it."""

import contextlib
import os
import select
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_DEEPEST = 64


def tree(root: int) -> list[int]:
    """`root`, every living descendant, and what else is in the session it leads; parents first."""
    children: dict[int, list[int]] = {}
    for pid, parent, session in _all():
        children.setdefault(root if session == root else parent, []).append(pid)
    found = [root]
    for pid in found:
        found.extend(child for child in children.get(pid, ()) if child != root)
    return found


def kill_tree(root: int) -> set[int]:
    """End the tree, root first so that nobody starts more of it; the process ids that were ended."""
    pids = tree(root)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    return set(pids)


def resident_memory(root: int) -> int:
    """Bytes in memory of the whole tree; pages that processes share are counted for each."""
    total = 0
    for pid in tree(root):
        with contextlib.suppress(OSError, IndexError, ValueError):
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    return total


def threads_of(uid: int) -> int:
    """How many threads of this user run now: what RLIMIT_NPROC counts."""
    count = 0
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if entry.stat().st_uid == uid:
                    count += len(os.listdir(f"/proc/{entry.name}/task"))  # noqa: PTH208
    return count


def entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Everything below `folder`, links not followed, at most 64 folders deep: a stranger may have made it."""
    pending = [(str(folder), 0)]
    while pending:
        path, depth = pending.pop()
        with contextlib.suppress(OSError), os.scandir(path) as found:
            for entry in found:
                yield entry
                if depth < _DEEPEST and entry.is_dir(follow_symlinks=False):
                    pending.append((entry.path, depth + 1))


def largest_file(folder: Path) -> int:
    """The size of the largest plain file below `folder`, bytes; 0 where there is none."""
    sizes = [0]
    for entry in entries(folder):
        with contextlib.suppress(OSError):
            if entry.is_file(follow_symlinks=False):
                sizes.append(entry.stat(follow_symlinks=False).st_size)
    return max(sizes)


def give(folder: Path, uid: int, gid: int) -> None:
    """Make `folder` and everything in it belong to `uid` and `gid`, links not followed."""
    for entry in entries(folder):
        with contextlib.suppress(OSError):
            os.chown(entry.path, uid, gid, follow_symlinks=False)
    os.chown(folder, uid, gid, follow_symlinks=False)


@contextlib.contextmanager
def watched(process: subprocess.Popen[bytes]) -> Iterator[Callable[[float], bool]]:
    """What waits so many seconds for the end of a process, and says whether it came."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:  # not every kernel has it; the other way looks every few milliseconds
        yield lambda seconds: _waited(process, seconds)
        return
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    try:
        yield lambda seconds: bool(poll.poll(seconds * 1000)) and _waited(process, None)
    finally:
        os.close(descriptor)


def _waited(process: subprocess.Popen[bytes], seconds: float | None) -> bool:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
        return True
    return False


def _all() -> Iterator[tuple[int, int, int]]:
    """(process, parent, session) of all that runs here."""
    for name in os.listdir("/proc"):  # noqa: PTH208 - hundreds of entries, several times a second
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                words = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
                yield int(name), int(words[1]), int(words[3])
