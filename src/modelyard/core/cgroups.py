"""A cgroup leaf for a process tree: limits for all of it together, one kill for all of it, and what it used.

Decided by reading, not by version: a machine may have one tree (v2), a tree per controller (v1), or both, where the
v2 tree has no memory controller but can still kill. Where nothing can be written, the leaf is empty and says what is
missing. Files and their meaning: the kernel's admin-guide/cgroup-v2.rst and cgroup-v1/.
"""

import itertools
import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

CONTROLLERS = ("memory", "pids", "cpu")
_PREFIX = "modelyard-"
_LASTING = "run-"
_OLD_SECONDS = 60.0
_UNIFIED = "unified"
_INNER = "self"
_counter = itertools.count()


class Leaf:
    """The cgroups of one process tree, one for each controller that can be had here.

    `places` says where they are, so that another process finds the same leaf again by `Leaf(places)`; `Leaf()` is an
    empty one, which limits nothing. `missing` names what no cgroup here limits: "memory", "pids", "cpu".
    """

    def __init__(self, places: Mapping[str, str] | None = None) -> None:
        given = {name: Path(place) for name, place in (places or {}).items()}
        self._unified = given.pop(_UNIFIED, None)
        self._folders = given

    @classmethod
    def make(
        cls,
        name: str = "",
        *,
        memory: int | None = None,
        processes: int | None = None,
        cpus: float | None = None,
    ) -> "Leaf":
        """A leaf with these limits: bytes, processes and threads, cores; None: no limit.

        Without `name` it belongs to this process: once that is gone, it is taken away. With one it lasts longer than
        this process, is the same for everybody who makes it by that name, and its members may make leaves of their own
        below it, which its limits bound too.
        """
        leaf = cls()
        leaf._create(f"{_LASTING}{name}" if name else f"{os.getpid()}-{next(_counter)}", inner=bool(name))
        wanted = {"memory": memory, "pids": processes, "cpu": cpus}
        for controller in tuple(leaf._folders):
            if not leaf._limit(controller, wanted[controller]):
                del leaf._folders[controller]
        return leaf

    def _create(self, name: str, *, inner: bool) -> None:
        name = f"{_PREFIX}{name}"
        unified, separate = _trees()
        if unified is not None:
            self._unified = _make_unified(unified, name)
        if self._unified is not None and inner and _limits(self._unified, "memory"):
            _make_inner(self._unified)
        for controller in CONTROLLERS:
            folder = self._unified if self._unified and _limits(self._unified, controller) else None
            if folder is None and controller in separate:
                folder = _make(separate[controller], name)
            if folder is not None:
                self._folders[controller] = folder

    @property
    def places(self) -> dict[str, str]:
        """Where the leaf is, for `Leaf(places)`."""
        found = {name: str(folder) for name, folder in self._folders.items()}
        return found | ({_UNIFIED: str(self._unified)} if self._unified else {})

    @property
    def missing(self) -> tuple[str, ...]:
        """What no cgroup here limits."""
        return tuple(controller for controller in CONTROLLERS if controller not in self._folders)

    @property
    def members(self) -> list[str]:
        """The files into which a process writes "0" to join, before it gives up its rights."""
        return [str(_home(folder) / "cgroup.procs") for folder in self._all()]

    def join(self, pid: int) -> bool:
        """Bring another process in, whether that went well; what it has used so far counts where it came from."""
        try:
            for path in self.members:
                Path(path).write_text(str(pid))
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """End every member at once, those of leaves below as well."""
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
        # In the unified tree events count upwards: the inner one's are those of the members themselves.
        file = _home(folder) / "memory.events" if folder == self._unified else folder / "memory.oom_control"
        with suppress(OSError, ValueError):
            counts = dict(line.split() for line in file.read_text().splitlines())
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

    def remove(self, *, patience: float = 1.0) -> None:
        """Remove the leaf and what is below it, as far as it has no members.

        The kernel may hold it for a moment after the last member is gone: `patience` seconds for each of its cgroups.
        """
        for folder in self._all():
            _remove(folder, patience)

    def _all(self) -> set[Path]:
        return {*self._folders.values(), *([self._unified] if self._unified else [])}

    def pids(self) -> set[int]:
        """Every member, as this process sees their numbers."""
        return set().union(*(_members(folder) for folder in self._all()))

    def _limit(self, controller: str, wanted: float | None) -> bool:
        if wanted is None:
            return True
        folder = self._folders[controller]
        unified = folder == self._unified
        try:
            if controller == "memory":
                _limit_memory(folder, int(wanted), unified)
            elif controller == "pids":
                (folder / "pids.max").write_text(str(int(wanted)))
            else:
                quota = max(1000, int(wanted * 100_000))
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
                wanted = set(controllers.split(",")) & set(options.split(",")) & set(CONTROLLERS)
                separate |= dict.fromkeys(wanted, _below(point, root, path))
    return unified, separate


def _below(point: str, root: str, path: str) -> Path:
    """The folder of cgroup `path` in a hierarchy of which `root` is mounted at `point`."""
    inside = os.path.relpath(path, root)
    return Path(point) if inside.startswith("..") else Path(point) / inside


def _limits(folder: Path, controller: str) -> bool:
    return (folder / f"{controller}.max").exists()


def _home(folder: Path) -> Path:
    """Where the members of a leaf are: in the unified tree no cgroup has both members and limited leaves below."""
    return inner if (inner := folder / _INNER).is_dir() else folder


def _make(parent: Path, name: str) -> Path | None:
    _sweep(parent)
    folder = parent / name
    try:
        folder.mkdir(exist_ok=name.startswith(f"{_PREFIX}{_LASTING}"))
    except OSError:
        return None
    return folder


def _make_inner(folder: Path) -> None:
    """Let leaves be made below `folder`, with every controller."""
    with suppress(OSError):
        (folder / _INNER).mkdir(exist_ok=True)
    for controller in CONTROLLERS:
        with suppress(OSError):
            (folder / "cgroup.subtree_control").write_text(f"+{controller}")


def _make_unified(own: Path, name: str) -> Path | None:
    """A leaf below the nearest ancestor that can hand on the memory controller, else one that can only kill.

    A cgroup with processes of its own cannot hand controllers on, so it is usually not `own` itself.
    """
    for parent in itertools.takewhile(lambda folder: (folder / "cgroup.procs").exists(), [own, *own.parents]):
        for controller in CONTROLLERS:
            with suppress(OSError):
                (parent / "cgroup.subtree_control").write_text(f"+{controller}")
        folder = _make(parent, name)
        if folder is not None and _limits(folder, "memory"):
            return folder
        if folder is not None:
            with suppress(OSError):
                folder.rmdir()
    return _make(own, name)


def _members(folder: Path) -> set[int]:
    """All processes in the cgroup and in those below it."""
    found: set[int] = set()
    for place, _, _ in os.walk(folder):
        with suppress(OSError):
            found.update(int(pid) for pid in (Path(place) / "cgroup.procs").read_text().split())
    return found


def _remove(folder: Path, patience: float) -> None:
    deadline = time.monotonic() + patience
    while True:
        for place, _, _ in os.walk(folder, topdown=False):
            with suppress(OSError):
                Path(place).rmdir()
        if not folder.exists() or time.monotonic() >= deadline:
            return
        time.sleep(0.01)


def _sweep(parent: Path) -> None:
    """Remove leaves without members that nobody else will: whose process is gone, or that are old."""
    for folder in parent.glob(f"{_PREFIX}*-*"):
        with suppress(OSError):
            if _abandoned(folder) and not _members(folder):
                _remove(folder, 0.0)


def _abandoned(folder: Path) -> bool:
    owner = folder.name.removeprefix(_PREFIX).partition("-")[0]
    if owner.isdigit():
        return not Path(f"/proc/{owner}").exists()
    # Between its making and its first member a lasting leaf is empty too.
    return folder.name.startswith(f"{_PREFIX}{_LASTING}") and time.time() - folder.stat().st_mtime > _OLD_SECONDS
