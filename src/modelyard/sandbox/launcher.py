"""Run as a script, in a fresh process of one thread: gives up every right, then becomes the sandbox.

`python -I -S launcher.py DESCRIPTOR` reads its orders (JSON, see `Orders`) from the descriptor. The order of the
steps is the point of this file: cgroups and mounts need rights, so they come before the change of user; the death
signal comes after it, because the change clears it. Standard library only, and nothing of the platform: the process
is about to be confined.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import sys
from pathlib import Path
from typing import TypedDict

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _SIGKILL = 1, 38, 9
_CLONE_NEWNS, _MS_BIND, _MS_REC, _MS_PRIVATE = 0x20000, 0x1000, 0x4000, 0x40000
_HIGH = 200  # above every descriptor that is handed on


class Orders(TypedDict):
    """What the launcher does.

    `descriptors` maps the number a descriptor has in the command to the one it has here. `mounts` are paths that are
    bound at `mount_point`/0, 1, 2 … in a mount namespace of the launcher's own. `report` is where an error is
    written; it closes unseen where all went well.
    """

    parent: int
    argv: list[str]
    environment: dict[str, str]
    folder: str
    cgroups: list[str]
    rlimits: dict[str, int]
    uid: int | None
    mounts: list[str]
    mount_point: str
    descriptors: dict[str, int]
    report: int


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _join(cgroups: list[str]) -> None:
    for path in cgroups:
        Path(path).write_text("0")


def _bind(mounts: list[str], point: str) -> None:
    """Make the paths reachable for a user who may not pass the folders above them, seen by this process tree only."""
    libc = _libc()
    _check(libc.unshare(_CLONE_NEWNS), "a mount namespace of its own")
    _check(libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None), "make mounts private")
    sources = [os.open(path, os.O_PATH) for path in mounts]
    _check(libc.mount(b"tmpfs", point.encode(), b"tmpfs", 0, b"mode=0711,size=64k"), f"mount at {point}")
    for index, source in enumerate(sources):
        target = f"{point}/{index}"
        if Path(mounts[index]).is_dir():
            os.mkdir(target, 0o711)  # noqa: PTH102 - the fewest imports: this runs at every start
        else:
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o600))
        _check(
            libc.mount(f"/proc/self/fd/{source}".encode(), target.encode(), None, _MS_BIND | _MS_REC, None),
            f"bind {mounts[index]}",
        )
        os.close(source)


def _limit(rlimits: dict[str, int]) -> None:
    for name, wanted in rlimits.items():
        number = getattr(resource, name)
        hard = resource.getrlimit(number)[1]
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(number, (value, value))


def _become(uid: int) -> None:
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def _die_with(parent: int) -> None:
    _check(_libc().prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0), "die with the platform")
    if os.getppid() != parent:
        raise RuntimeError("the platform's process is gone")


def _arrange(descriptors: dict[str, int], report: int) -> None:
    """Give every descriptor its number in the command and close all others."""
    high = {int(final): fcntl.fcntl(given, fcntl.F_DUPFD, _HIGH) for final, given in descriptors.items()}
    for final, copy in high.items():
        os.dup2(copy, final)
    kept = {0, 1, 2, report, *high}
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        if int(name) not in kept:
            with contextlib.suppress(OSError):  # one of them was the listing's own
                os.close(int(name))


def _follow(orders: Orders, report: int) -> None:
    os.setsid()
    _join(orders["cgroups"])
    if orders["mounts"]:
        _bind(orders["mounts"], orders["mount_point"])
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")
    _arrange(orders["descriptors"], report)
    _limit(orders["rlimits"])
    if orders["uid"] is not None:
        _become(orders["uid"])
    _die_with(orders["parent"])
    os.umask(0o077)
    os.chdir(orders["folder"])
    _check(_libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")
    os.execve(orders["argv"][0], orders["argv"], orders["environment"])  # noqa: S606


def main() -> None:
    """Follow the orders; only an error returns, on the report descriptor."""
    with os.fdopen(int(sys.argv[1])) as file:
        orders: Orders = json.load(file)
    report = fcntl.fcntl(orders["report"], fcntl.F_DUPFD_CLOEXEC, _HIGH * 2)
    try:
        _follow(orders, report)
    except BaseException as error:  # noqa: BLE001 - there is nobody above to tell but the platform
        os.write(report, str(error).encode())
        os._exit(127)


if __name__ == "__main__":
    main()
