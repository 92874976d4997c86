"""Processes on this machine, each in a session of its own, so that it outlives whoever started it.

In `<run folder>/processes/` every process has
    <id>.json           the record: written before the start as an intent, with pid and start time right after it
    <id>.spec           what it was given; <id>.spec.failure: why it gave up
    <id>.log            what it printed; <id>.log.1: what it printed before

A killed caller neither loses a process nor starts it twice: the log is opened, locked (flock) and becomes the standard
output of the new process, which so holds the lock from its very fork on. An intent whose log is locked is a process
whose pid was not noted any more, and it is found by its command line; one whose log is free was never started.
"""

import errno
import fcntl
import logging
import math
import os
import re
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from modelyard.core.cgroups import Leaf
from modelyard.core.errors import Conflict, Invalid, OutOfSpace, Unavailable
from modelyard.core.folders import make_private
from modelyard.core.settings import MIB, Settings, child_environment
from modelyard.protocol.jobs import Failure
from modelyard.protocol.processes import Limits, Process, ProcessSpec, Role
from modelyard.runtimes import kernel
from modelyard.runtimes.base import COMMANDS, Runtime
from modelyard.runtimes.bounds import bound, why_killed

log = logging.getLogger("modelyard.runtimes")

LOG_BYTES = 8 * MIB
START_SECONDS = 10.0
USABLE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# Neither opens the database.
NOT_THEIRS = frozenset({"MODELYARD_DATABASE_URL"})


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of one process. An intent as long as it has neither a pid nor an end.

    `started` is the kernel's start time of the pid, counted since the boot called `boot`. `cgroups` are the places of
    its leaf (core/cgroups.py), none where its limits are held otherwise.
    """

    id: str
    role: Role
    labels: dict[str, str]
    address: str | None
    limits: Limits
    spec: str
    started_at: float
    boot: str
    pid: int | None = None
    started: int | None = None
    cgroups: dict[str, str] = {}
    ended: bool = False
    exit_code: int | None = None

    @property
    def intent(self) -> bool:
        """Whether it is not known to have been started."""
        return self.pid is None and not self.ended

    @property
    def identity(self) -> tuple[int, int] | None:
        """Pid and start time while it runs."""
        return None if self.ended or self.pid is None or self.started is None else (self.pid, self.started)


class LocalRuntime(Runtime):
    """Keeps nothing in memory: whoever opens it on the same data folder sees the same processes.

    What a spec limits, bounds the process with all that comes of it: memory, cpus and processes by a cgroup (v2 or v1)
    where one can be made and `cgroups` is true. Elsewhere memory is bounded for each process alone (private writable
    memory, RLIMIT_DATA), and cpus and processes are not. `disk` bounds the largest file (RLIMIT_FSIZE), `cpus` also
    sets the threads of numeric libraries; `seconds` is for the sandbox of a worker.
    """

    def __init__(
        self, settings: Settings, *, commands: Mapping[Role, Sequence[str]] = COMMANDS, cgroups: bool = True
    ) -> None:
        self._settings = settings
        self._commands = commands
        self._cgroups = cgroups
        self._folder = settings.run_folder / "processes"
        self._boot = kernel.boot()

    def start(self, spec: ProcessSpec) -> Process:
        self._check(spec.id)
        make_private(self._settings.run_folder)
        make_private(self._folder)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            record = self._read(spec.id)
            if record is not None and not record.intent:
                return self._describe(self._settle(record))
            with self._claimed(spec.id) as log:
                if log is not None:
                    return self._describe(self._settle(self._launch(spec, log)))
            if record is not None:
                self._settle(record)
            time.sleep(kernel.PAUSE)
        raise Unavailable(
            f"Process {spec.id} is being started elsewhere and does not get there. Try again.", retry_after=2
        )

    def stop(self, process_id: str, *, grace: float = 5.0) -> None:
        record = self._found(process_id)
        if record is None:
            return
        tree = _tree(record)
        tree.members()
        deadline = time.monotonic() + grace
        if record.identity is not None:
            kernel.send(record.identity, signal.SIGTERM)
        while not record.ended and time.monotonic() < deadline:
            time.sleep(kernel.PAUSE)
            record = self._settle(record)
        self._kill(tree, record)
        record = self._settle(record)
        if not record.ended:
            self._write(msgspec.structs.replace(record, ended=True))

    def list(self) -> list[Process]:
        found = [record for name in self._names() if (record := self._found(name)) is not None]
        for record in found:
            self._bound_log(self._path(record.id, ".log"))
        return [self._describe(record) for record in sorted(found, key=lambda record: (record.started_at, record.id))]

    def forget(self, process_id: str) -> None:
        record = self._found(process_id)
        if record is None:
            return
        if not record.ended:
            raise Conflict(f"Process {process_id} is alive. Stop it first.")
        self._kill(_tree(record), record)
        if record.address is not None and record.address.startswith("unix:"):
            Path(record.address.removeprefix("unix:")).unlink(missing_ok=True)
        # The record goes last: what is killed in between is repeated by the next call.
        for ending in (".spec", ".spec.failure", ".log", ".log.1", ".json"):
            self._path(process_id, ending).unlink(missing_ok=True)

    def logs(self, process_id: str, *, lines: int = 100) -> Sequence[str]:
        self._check(process_id)
        found: Sequence[str] = ()
        for ending in (".log", ".log.1"):
            if len(found) < lines:
                found = [*_last_lines(self._path(process_id, ending), lines - len(found)), *found]
        return found

    def _path(self, process_id: str, ending: str) -> Path:
        return self._folder / f"{process_id}{ending}"

    def _check(self, process_id: str) -> None:
        if not USABLE_ID.fullmatch(process_id):
            raise Invalid(
                f"{process_id!r} cannot be the id of a process: letters, digits, '.', '_' and '-' only, at most 100."
            )

    def _names(self) -> Sequence[str]:
        return [path.stem for path in self._folder.glob("*.json")] if self._folder.is_dir() else []

    def _read(self, process_id: str) -> Record | None:
        self._check(process_id)
        try:
            return msgspec.json.decode(self._path(process_id, ".json").read_bytes(), type=Record)
        except (FileNotFoundError, msgspec.DecodeError):
            # Only a power failure leaves half a record, and it leaves no process.
            return None

    def _found(self, process_id: str) -> Record | None:
        record = self._read(process_id)
        return None if record is None else self._settle(record)

    def _write(self, record: Record) -> Record:
        _replace(self._path(record.id, ".json"), msgspec.json.encode(record))
        return record

    @contextmanager
    def _claimed(self, process_id: str) -> Iterator[int | None]:
        """The locked log, None where another holds it: a caller that is starting the process, or the process itself."""
        path = self._path(process_id, ".log")
        log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            yield log if _locked(log, path) else None
        finally:
            os.close(log)

    def _launch(self, spec: ProcessSpec, log: int) -> Record:
        known = self._read(spec.id)
        if known is not None and not known.intent:
            return known
        path = self._path(spec.id, ".spec")
        intent = Record(
            id=spec.id,
            role=spec.role,
            labels=spec.labels,
            address=msgspec.json.decode(spec.payload, type=_Addressed).address,
            limits=spec.limits,
            spec=str(path),
            started_at=time.time(),
            boot=self._boot,
        )
        try:
            _replace(path, spec.payload)
            self._write(intent)
            pid = self._spawn(intent, log)
        except OSError as error:
            self._path(spec.id, ".json").unlink(missing_ok=True)
            full = error.errno in {errno.ENOSPC, errno.EDQUOT}
            kind = OutOfSpace if full else Unavailable
            raise kind(f"Process {spec.id} cannot be started: {error.strerror}.", retry_after=5) from error
        return self._begun(intent, pid)

    def _spawn(self, intent: Record, log: int) -> int:
        command = [*self._commands[intent.role], intent.spec]
        environment = child_environment(self._settings, leave_out=NOT_THEIRS)
        environment |= {kernel.MARK: intent.spec, "PYTHONUNBUFFERED": "1"}
        if intent.limits.cpus is not None:
            cores = len(os.sched_getaffinity(0))
            environment["OMP_NUM_THREADS"] = str(min(cores, max(1, math.ceil(intent.limits.cpus))))
        return os.posix_spawn(
            command[0],
            command,
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, log, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP),
        )

    def _begun(self, intent: Record, pid: int, *, late: bool = False) -> Record:
        """Note that it runs. One that is found `late`, after its start, may have children already."""
        found = kernel.stat(pid)
        if found is None:
            return self._write(msgspec.structs.replace(intent, pid=pid, ended=True))
        family = [member.pid for member in _tree(intent, found.identity).members()] if late else []
        leaf, words = bound(pid, family, intent.limits, name=intent.spec, cgroups=self._cgroups)
        if words:
            log.info("%s: %s", intent.id, words)
        return self._write(msgspec.structs.replace(intent, pid=pid, started=found.started, cgroups=leaf.places))

    def _settle(self, record: Record) -> Record:
        """The record as it is now: a pid that was not noted, an end that was not."""
        if record.ended:
            return record
        if record.boot != self._boot:
            return self._write(msgspec.structs.replace(record, ended=True))
        if record.pid is None:
            return self._adopted(record)
        found = kernel.stat(record.pid)
        if found is not None and found.identity == record.identity and not found.dead:
            return record
        code = _exit_code(found) if found is not None and found.identity == record.identity else None
        if code is None and (known := self._read(record.id)) is not None and known.ended:
            return known
        leaf = Leaf(record.cgroups)
        if (failure := why_killed(leaf, code, record.limits)) is not None:
            _replace(self._path(record.id, ".spec.failure"), msgspec.json.encode(failure))
        leaf.remove(patience=0.0)
        return self._write(msgspec.structs.replace(record, ended=True, exit_code=code))

    def _kill(self, tree: kernel.Tree, record: Record) -> None:
        leaf = Leaf(record.cgroups)
        leaf.kill()
        if not tree.kill():
            raise Unavailable(f"Process {record.id} does not end even when killed. Try again.", retry_after=5)
        leaf.remove()

    def _adopted(self, intent: Record) -> Record:
        with self._claimed(intent.id) as log:
            known = self._read(intent.id)
            if known is None or not known.intent:
                return known or msgspec.structs.replace(intent, ended=True)
            if log is not None:
                # Free: whoever wanted to start it was killed before. `start` does it anew; until then it is not alive.
                return msgspec.structs.replace(intent, ended=True)
        ours = [
            found for found in kernel.everyone() if not found.dead and kernel.arguments(found.pid)[-1:] == [intent.spec]
        ]
        leader = next((found for found in ours if found.session == found.pid), None)
        return intent if leader is None else self._begun(intent, leader.pid, late=True)

    def _describe(self, record: Record) -> Process:
        alive = not record.ended
        return Process(
            id=record.id,
            role=record.role,
            labels=record.labels,
            started_at=record.started_at,
            pid=record.pid,
            alive=alive,
            exit_code=record.exit_code,
            address=record.address if alive and _listens(record.address) else None,
            failure=None if alive else self._failure(record.id),
        )

    def _failure(self, process_id: str) -> Failure | None:
        try:
            return msgspec.json.decode(self._path(process_id, ".spec.failure").read_bytes(), type=Failure)
        except (OSError, msgspec.DecodeError):
            return None

    def _bound_log(self, path: Path) -> None:
        """Copy and truncate: the process goes on writing to the file it has open, at its new end."""
        with suppress(FileNotFoundError):
            if path.stat().st_size > LOG_BYTES:
                _replace(path.with_name(f"{path.name}.1"), path.read_bytes())
                os.truncate(path, 0)


class _Addressed(msgspec.Struct):
    address: str | None = None


def _replace(path: Path, data: bytes) -> None:
    """The file whole or not at all, readable by its owner only."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    try:
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(data)
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)


def _locked(descriptor: int, path: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # It may have been forgotten between open and lock: then this is a file that nobody else will ever see.
        return os.fstat(descriptor).st_ino == path.stat().st_ino
    except (BlockingIOError, FileNotFoundError):
        return False


def _exit_code(dead: kernel.Stat) -> int | None:
    """Of a process that has ended and not been waited for: our own child, or one whose parent has not looked yet."""
    try:
        waited, status = os.waitpid(dead.pid, os.WNOHANG)
    except ChildProcessError:
        return os.waitstatus_to_exitcode(dead.status)
    return os.waitstatus_to_exitcode(status) if waited else None


def _tree(record: Record, root: tuple[int, int] | None = None) -> kernel.Tree:
    return kernel.Tree(lambda mark: mark == record.spec, root or record.identity)


def _listens(address: str | None) -> bool:
    return address is not None and (not address.startswith("unix:") or Path(address.removeprefix("unix:")).is_socket())


def _last_lines(path: Path, lines: int) -> list[str]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            # Lines of half a kilobyte on average are long.
            file.seek(max(0, size - 512 * lines))
            return file.read().decode(errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        return []
