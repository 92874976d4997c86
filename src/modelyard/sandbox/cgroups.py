"""A cgroup leaf per job: limits for the whole process tree, one kill for all of it, and what it used.

Decided by reading, not by version: a machine may have one tree (v2), a tree per controller (v1), or both, where the
v2 tree has no memory controller but can still kill. Where nothing can be written, the leaf is empty and says what is
missing.
"""

import itertools
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from modelyard.protocol.processes import Limits

_CONTROLLERS = ("memory", "pids", "cpu")
_PREFIX = "modelyard-"
_OWN_PROCESSES = 3  # the launcher, and the sandbox's two
_counter = itertools.count()


class Leaf:
    """One job's cgroups. `missing` names what no cgroup here limits: "memory", "pids", "cpu"."""

    def __init__(self, limits: Limits, *, create: bool = True) -> None:
        """Make the leaf and set its limits; without `create` it is an empty one, which limits nothing."""
        self._folders: dict[str, Path] = {}
        self._unified: Path | None = None
        if create:
            self._create(limits)
        self.missing = tuple(controller for controller in _CONTROLLERS if controller not in self._folders)

    def _create(self, limits: Limits) -> None:
        name = f"{_PREFIX}{os.getpid()}-{next(_counter)}"
        unified, separate = _trees()
        if unified is not None:
            self._unified = _make_unified(unified, name)
        for controller in _CONTROLLERS:
            folder = self._unified if self._unified and _limits(self._unified, controller) else None
            if folder is None and controller in separate:
                folder = _make(separate[controller], name)
            if folder is not None:
                self._folders[controller] = folder
        for controller in tuple(self._folders):
            if not self._limit(controller, limits):
                del self._folders[controller]

    @property
    def members(self) -> list[str]:
        """The files into which a process writes "0" to join, before it gives up its rights."""
        return [str(folder / "cgroup.procs") for folder in self._all()]

    def kill(self) -> None:
        """End every member at once."""
        if self._unified is not None:
            with suppress(OSError):
                (self._unified / "cgroup.kill").write_text("1")
                return
        for _ in range(100):
            members = self.pids()
            if not members:
                return
            for pid in members:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.005)

    def out_of_memory(self) -> bool:
        """Whether the kernel has ended a member for the memory limit."""
        folder = self._folders.get("memory")
        if folder is None:
            return False
        name = "memory.events" if folder == self._unified else "memory.oom_control"
        with suppress(OSError, ValueError):
            counts = dict(line.split() for line in (folder / name).read_text().splitlines())
            return int(counts.get("oom_kill", "0")) > 0
        return False

    def peak_memory(self) -> int | None:
        """The most memory that the members had together, bytes."""
        folder = self._folders.get("memory")
        if folder is not None:
            for name in ("memory.peak", "memory.max_usage_in_bytes"):
                with suppress(OSError, ValueError):
                    return int((folder / name).read_text())
        return None

    def remove(self) -> None:
        """Remove the leaf; the kernel may hold it for a moment after the last member is gone."""
        for folder in self._all():
            self._remove(folder)

    def _all(self) -> set[Path]:
        return {*self._folders.values(), *([self._unified] if self._unified else [])}

    def _remove(self, folder: Path) -> None:
        for _ in range(100):
            try:
                folder.rmdir()
            except FileNotFoundError:
                return
            except OSError:
                time.sleep(0.01)
            else:
                return

    def pids(self) -> set[int]:
        """Every member, as this process sees their numbers."""
        members: set[int] = set()
        for folder in self._all():
            with suppress(OSError):
                members.update(int(pid) for pid in (folder / "cgroup.procs").read_text().split())
        return members

    def _limit(self, controller: str, limits: Limits) -> bool:
        folder = self._folders[controller]
        unified = folder == self._unified
        try:
            if controller == "memory" and limits.memory is not None:
                _limit_memory(folder, limits.memory, unified)
            elif controller == "pids" and limits.processes is not None:
                (folder / "pids.max").write_text(str(limits.processes + _OWN_PROCESSES))
            elif controller == "cpu" and limits.cpus is not None:
                quota = max(1000, int(limits.cpus * 100_000))
                name, value = ("cpu.max", f"{quota} 100000") if unified else ("cpu.cfs_quota_us", str(quota))
                (folder / name).write_text(value)
        except OSError:
            return False
        return True


def _limit_memory(folder: Path, size: int, unified: bool) -> None:
    (folder / ("memory.max" if unified else "memory.limit_in_bytes")).write_text(str(size))
    # No swapping around the limit; not every kernel counts swap.
    swap = (
        (("memory.swap.max", "0"), ("memory.oom.group", "1"))
        if unified
        else (("memory.memsw.limit_in_bytes", str(size)),)
    )
    for name, value in swap:
        with suppress(OSError):
            (folder / name).write_text(value)


def _trees() -> tuple[Path | None, dict[str, Path]]:
    """The folders of this process's own cgroups: the unified one, and the one of each separate controller."""
    try:
        own = Path("/proc/self/cgroup").read_text().splitlines()
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return None, {}
    paths = {controllers: path for _, controllers, path in (line.split(":", 2) for line in own)}
    unified: Path | None = None
    separate: dict[str, Path] = {}
    for line in mounts:
        left, _, right = line.partition(" - ")
        root, point = left.split()[3:5]
        kind, _, options = right.split()[:3]
        if kind == "cgroup2" and "" in paths:
            unified = _below(point, root, paths[""])
        elif kind == "cgroup":
            for controllers, path in paths.items():
                wanted = set(controllers.split(",")) & set(options.split(",")) & set(_CONTROLLERS)
                separate |= dict.fromkeys(wanted, _below(point, root, path))
    return unified, separate


def _below(point: str, root: str, path: str) -> Path:
    """The folder of cgroup `path` in a hierarchy of which `root` is mounted at `point`."""
    inside = os.path.relpath(path, root)
    return Path(point) if inside.startswith("..") else Path(point) / inside


def _limits(folder: Path, controller: str) -> bool:
    return (folder / f"{controller}.max").exists()


def _make(parent: Path, name: str) -> Path | None:
    _sweep(parent)
    folder = parent / name
    try:
        folder.mkdir()
    except OSError:
        return None
    return folder


def _make_unified(own: Path, name: str) -> Path | None:
    """A leaf below the nearest ancestor that can hand on the memory controller, else one that can only kill.

    A cgroup with processes of its own cannot hand controllers on, so it is usually not `own` itself.
    """
    for parent in itertools.takewhile(lambda folder: (folder / "cgroup.procs").exists(), [own, *own.parents]):
        for controller in _CONTROLLERS:
            with suppress(OSError):
                (parent / "cgroup.subtree_control").write_text(f"+{controller}")
        folder = _make(parent, name)
        if folder is not None and _limits(folder, "memory"):
            return folder
        if folder is not None:
            folder.rmdir()
    return _make(own, name)


def _sweep(parent: Path) -> None:
    """Remove empty leaves whose platform process is gone: nobody else will."""
    for folder in parent.glob(f"{_PREFIX}*-*"):
        owner = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            with suppress(OSError):
                folder.rmdir()
