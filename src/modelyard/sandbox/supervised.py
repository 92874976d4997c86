"""A started command under watch: its lines, its limits, its end, and that nothing of it remains.

One thread starts the command and stays with it to the end, because the kernel ties the death signal to the thread that
started a process, not to the program. Two more read what it prints.
"""

import contextlib
import ctypes
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from modelyard.core.cgroups import Leaf
from modelyard.core.errors import Unavailable
from modelyard.core.quantities import size
from modelyard.protocol.processes import Limits
from modelyard.sandbox import interpreter, processes
from modelyard.sandbox.base import Limit, Outcome, Running
from modelyard.sandbox.launcher import Orders

LONGEST_LINE = 16 * 1024
_OWN_PROCESSES = 3  # the launcher, and the sandbox's two
_TICK = 0.1
_SAMPLE = 0.5
_LAST_MOMENTS = 2.0
_PR_SET_CHILD_SUBREAPER = 36
_REFUSED_MEMORY = ("MemoryError", "bad_alloc", "Cannot allocate memory", "Unable to allocate")


BASIC_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "USER": "job",
    "LOGNAME": "job",
    "TMPDIR": "/tmp",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
}
"""What a confined command finds in its environment, besides its own HOME."""


def _no_orders() -> Orders:
    return Orders(
        parent=os.getpid(), argv=[], environment={}, folder="/", cgroups=[], rlimits={}, uid=None,
        mounts=[], mount_point="", descriptors={}, report=-1,
    )  # fmt: skip


@dataclass(kw_only=True)
class Plan:
    """What to start and what to give back afterwards.

    `status` is the descriptor from which bubblewrap's JSON is read, -1 where there is none. `lent` are descriptors
    that are closed here once the command has them. `started_in` is the environment of the launcher itself, which the
    command never sees.
    """

    limits: Limits
    work: Path | None
    started_in: Mapping[str, str] = field(default_factory=dict)
    orders: Orders = field(default_factory=_no_orders)
    leaf: Leaf = field(default_factory=Leaf)
    lent: list[int] = field(default_factory=list)
    status: int = -1
    at_end: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def pass_on(self, number: int, descriptor: int) -> None:
        """Let the command have `descriptor` as `number`; it stays open here."""
        self.orders["descriptors"][str(number)] = descriptor

    def lend(self, number: int, descriptor: int) -> None:
        """The same, and close it here once the command has it."""
        self.pass_on(number, descriptor)
        self.lent.append(descriptor)

    def undo(self) -> None:
        """Give back everything, started or not. Safe to call again."""
        while self.lent:
            os.close(self.lent.pop())
        self.leaf.remove()
        self.at_end.close()


class Supervised(Running):
    """The running command. `pid` is that of the process the platform started."""

    def __init__(self, plan: Plan, on_line: Callable[[str, str], None]) -> None:
        """Start it; returns once it runs. Raises Unavailable where the launcher could not do its part."""
        self._plan = plan
        self._on_line = on_line
        self._began = time.monotonic()
        self._ended_by: tuple[Limit, str] = ("", "")
        self._outcome: Outcome | None = None
        self._ready, self._done = threading.Event(), threading.Event()
        self._stopping = False
        self._error = ""
        self._setup_done = plan.status < 0
        self._first_error_line = self._last_error_line = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._inner: int | None = None
        self._killed: set[int] = set()
        self._peak: int | None = None
        self.pid = 0
        _adopt_orphans()
        threading.Thread(target=self._watch, name="sandbox-watch", daemon=True).start()
        self._ready.wait()
        if self._error:
            self._done.wait()
            raise Unavailable(f"The sandbox could not be started: {self._error}.")

    def wait(self, timeout: float | None = None) -> Outcome | None:
        return self._outcome if self._done.wait(timeout) else None

    def stop(self) -> None:
        self._stopping = True
        self._kill()
        self._done.wait(10)

    def _watch(self) -> None:
        try:
            self._run()
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller waits for an outcome
            self._error = str(error) or type(error).__name__
            self._kill()
        finally:
            self._plan.undo()
            self._ready.set()
            self._done.set()

    def _run(self) -> None:
        process = self._launch()
        readers = [self._follow(process.stdout, "out"), self._follow(process.stderr, "err")]
        if self._plan.status >= 0:
            readers.append(_thread(self._read_status, self._plan.status))
        self._ready.set()
        try:
            self._await_end(process)
        finally:
            self._kill()
            process.wait()
            for reader in readers:
                reader.join(_LAST_MOMENTS)
            self._reap()
        if not self._error:
            self._outcome = self._judge(process.returncode)

    def _launch(self) -> subprocess.Popen[bytes]:
        plan = self._plan
        report_read, report_write = os.pipe()
        plan.orders["report"] = report_write
        orders = os.memfd_create("orders")
        os.write(orders, json.dumps(plan.orders).encode())
        os.lseek(orders, 0, os.SEEK_SET)
        try:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-B", str(Path(__file__).with_name("launcher.py")), str(orders)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[orders, report_write, *plan.orders["descriptors"].values()],
                env={**interpreter.variables(), **plan.started_in},
                cwd="/",
            )
        finally:
            for descriptor in (orders, report_write, *plan.lent):
                os.close(descriptor)
            plan.lent.clear()
        self._process, self.pid = process, process.pid
        with os.fdopen(report_read, "rb") as report:
            self._error = report.read().decode(errors="replace")
        return process

    def _await_end(self, process: subprocess.Popen[bytes]) -> None:
        limits, sampled = self._plan.limits, self._began
        ends = self._plan.at_end.enter_context(processes.watched(process))
        while not self._error:
            if ends(_TICK):
                return None
            now = time.monotonic()
            if limits.seconds is not None and now - self._began > limits.seconds:
                return self._end_by("seconds", f"ran longer than {limits.seconds:g} s")
            if self._plan.leaf.out_of_memory():
                return self._end_by_memory()
            if "memory" in self._plan.leaf.missing and now - sampled > _SAMPLE:
                sampled = now
                self._peak = max(self._peak or 0, processes.resident_memory(process.pid))
                if limits.memory is not None and self._peak > limits.memory:
                    return self._end_by_memory()
        return None

    def _end_by(self, limit: Limit, reason: str) -> None:
        self._ended_by = (limit, reason)
        self._kill()

    def _end_by_memory(self) -> None:
        self._end_by("memory", f"used more than {size(self._plan.limits.memory or 0)} of memory")

    def _was_refused_memory(self) -> bool:
        """Without a cgroup the kernel refuses memory instead of ending the process, whose last words then say so."""
        missing = "memory" in self._plan.leaf.missing and self._plan.limits.memory is not None
        return missing and any(word in self._last_error_line for word in _REFUSED_MEMORY)

    def _filled_disk(self) -> bool:
        work, disk = self._plan.work, self._plan.limits.disk
        return work is not None and disk is not None and processes.largest_file(work) >= disk

    def _judge(self, code: int) -> Outcome:
        if code != 0 and not self._ended_by[0] and not self._stopping:
            if self._plan.leaf.out_of_memory() or self._was_refused_memory():
                self._end_by_memory()
            elif not self._setup_done:
                self._end_by("setup", f"could not be shut in: {self._first_error_line or 'no reason was given'}")
            elif self._filled_disk():
                self._end_by("disk", f"wrote a file of more than {size(self._plan.limits.disk or 0)}")
        limit, reason = self._ended_by
        return Outcome(
            exit_code=code if code >= 0 else 128 - code,
            seconds=time.monotonic() - self._began,
            reason=reason,
            limit=limit,
            peak_memory=self._plan.leaf.peak_memory() or self._peak,
        )

    def _kill(self) -> None:
        self._killed |= self._plan.leaf.pids()
        self._plan.leaf.kill()
        if self._process is not None and self._process.returncode is None:
            self._killed |= processes.kill_tree(self._process.pid)

    def _reap(self) -> None:
        """Take away what the end of its parents left to us; in a container nobody else would."""
        inner = {self._inner} if self._inner is not None else set()
        deadline = time.monotonic() + _LAST_MOMENTS
        for pid in (self._killed | inner) - {self.pid}:
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(pid, os.WNOHANG)[0] == 0 and time.monotonic() < deadline:
                    time.sleep(0.002)

    def _read_status(self, descriptor: int) -> None:
        with os.fdopen(descriptor, encoding="utf-8") as lines:
            for line in lines:
                status = json.loads(line)
                self._inner = status.get("child-pid", self._inner)
                self._setup_done = self._setup_done or "exit-code" in status

    def _follow(self, pipe: IO[bytes] | None, stream: str) -> threading.Thread:
        assert pipe is not None
        return _thread(self._read_lines, pipe, stream)

    def _read_lines(self, pipe: IO[bytes], stream: str) -> None:
        with pipe:
            for raw in iter(lambda: pipe.readline(LONGEST_LINE), b""):
                line = raw.decode(errors="replace").rstrip("\r\n")
                if stream == "err" and line:
                    self._first_error_line = self._first_error_line or line
                    self._last_error_line = line
                self._on_line(stream, line)


def _thread(target: Callable[..., None], *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=target, args=arguments, daemon=True)
    thread.start()
    return thread


def _adopt_orphans() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def make_leaf(limits: Limits) -> Leaf:
    """The cgroup leaf of a confined command."""
    processes = None if limits.processes is None else limits.processes + _OWN_PROCESSES
    return Leaf.make(memory=limits.memory, processes=processes, cpus=limits.cpus)


def standard_rlimits(limits: Limits) -> dict[str, int]:
    """What every confined command may not do, whatever else confines it."""
    rlimits = {"RLIMIT_CORE": 0, "RLIMIT_NOFILE": 1024, "RLIMIT_MEMLOCK": 64 * 1024, "RLIMIT_MSGQUEUE": 0}
    if limits.disk is not None:
        rlimits["RLIMIT_FSIZE"] = limits.disk
    return rlimits
