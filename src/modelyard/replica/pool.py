"""A version that holds code, asked in processes that are shut in: the replica decodes and encodes, they only predict.

One process for each core of the environment. Each has a keeper, a thread that starts it, waits for its end and starts
the next one; the more failures in a row, the later.
"""

import logging
import math
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from modelyard.core.errors import Broken, Invalid, ModelyardError, TimedOut, Unavailable
from modelyard.formats.base import Batch, Predictor, RequestPredictor
from modelyard.formats.folder import read_signature
from modelyard.protocol.processes import Limits
from modelyard.protocol.signature import Signature
from modelyard.replica import child as inside
from modelyard.replica import wire
from modelyard.replica.lines import Lines, clean
from modelyard.sandbox.base import Command, Outcome, Running, Sandbox

log = logging.getLogger("modelyard.replica")

Told = TypeVar("Told")

CALL_SECONDS = 30.0
START_SECONDS = 50.0
PROCESSES = 64
"""Processes and threads of each process that is shut in, where the environment says nothing."""

_OWN_MEMORY = 256 << 20
_RESTS = (0.0, 0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
_LAST_WORDS = 2.0
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def share(limits: Limits, processes: int) -> Limits:
    """What each of so many processes may use, of what the environment gives to all and to the replica itself."""
    memory = limits.memory
    if memory is not None:
        memory = (memory - min(_OWN_MEMORY, memory // 4)) // processes
    return Limits(memory=memory, processes=limits.processes or PROCESSES)


class Pool(Predictor):
    """The version in `folder`. `predict` and `entries` may be called from `parallel` threads at once.

    `words` says that the version words its own answers: then `Wording` is what is held.
    `limits` are those of the whole environment: the processes share them. `label` names the version in messages.
    """

    def __init__(
        self, folder: Path, *, label: str, limits: Limits, sandbox: Sandbox, call_seconds: float = CALL_SECONDS
    ) -> None:
        """Start the processes and wait until each is ready.

        Raises Broken with the reason where one does not get there; none of them is left then.
        """
        cores = len(os.sched_getaffinity(0))
        self.signature = read_signature(folder)
        self.parallel = min(cores, max(1, math.ceil(limits.cpus or cores)))
        self.label = label
        self.words = False
        self._columns = _columns(self.signature)
        self._call_seconds = call_seconds
        self._starter = _Starter(folder, share(limits, self.parallel), sandbox, self._hear)
        self._changed = threading.Condition()
        self._lines = Lines()
        self._free: list[_Process] = []
        self._running: set[_Process] = set()
        self._resting = 0
        self._failures = 0
        self._broken = ""
        self._up = False
        self._closing = threading.Event()
        self._keepers = [threading.Thread(target=self._keep, name="keeper", daemon=True) for _ in range(self.parallel)]
        for keeper in self._keepers:
            keeper.start()
        self._await_all()

    def predict(self, batch: Batch) -> NDArray[np.float32]:
        """As every predictor. Raises Broken where the process died or failed on it, TimedOut, Unavailable."""

        def exchange(connection: socket.socket, deadline: float) -> NDArray[np.float32]:
            wire.ask(connection, batch, deadline)
            return wire.answer(connection, batch.rows, self._columns, deadline)

        return self._ask(exchange)

    def entries(self, batch: Batch, options: dict[str, Any]) -> list[dict[str, Any]]:
        """As a RequestPredictor's `answer`, which checks the options; raises as `predict`, and Invalid."""

        def exchange(connection: socket.socket, deadline: float) -> list[dict[str, Any]]:
            wire.ask(connection, batch, deadline, options)
            return wire.entries(connection, deadline)

        return self._ask(exchange)

    def _ask(self, exchange: "Callable[[socket.socket, float], Told]") -> "Told":
        """One call of one process."""
        deadline = time.monotonic() + self._call_seconds
        while not (process := self._take(deadline)).quiet():
            # Gone, or it talks without being asked. Its end takes a moment, which is not this caller's.
            process.hang_up()
            threading.Thread(target=process.stop, daemon=True).start()
        try:
            told = exchange(process.connection, deadline)
        except wire.Refused as refused:
            self._give_back(process)
            if refused.invalid:
                raise Invalid(clean(str(refused))) from None
            log.error("%s failed on a request: %s", self.label, clean(str(refused)))
            raise Broken("The model failed on this request. The replica's log says why.") from None
        except (TimeoutError, EOFError, OSError, wire.Nonsense) as fault:
            error = self._lost(process, fault)
            process.hang_up()
            raise error from None
        self._give_back(process)
        return told

    def close(self) -> None:
        """End every process. Safe to call again."""
        self._closing.set()
        with self._changed:
            running = list(self._running)
            self._changed.notify_all()
        for process in running:
            process.stop()
        for keeper in self._keepers:
            keeper.join(10)

    def _take(self, deadline: float) -> "_Process":
        with self._changed:
            while True:
                if self._free:
                    return self._free.pop()
                if self._closing.is_set() or self._resting == self.parallel:
                    raise Unavailable(
                        f"The processes of {self.label} keep failing and are started again in a moment. The replica's "
                        "log says why.",
                        retry_after=max(1.0, self._rest()),
                    )
                if not self._changed.wait(deadline - time.monotonic()):
                    raise TimedOut(f"No process of {self.label} was free within {self._call_seconds:g} s. Try again.")

    def _give_back(self, process: "_Process") -> None:
        with self._changed:
            self._failures = 0
            if process in self._running:
                self._free.append(process)
                self._changed.notify()
                return
        process.hang_up()

    def _lost(self, process: "_Process", fault: Exception) -> ModelyardError:
        """End a process that cannot be asked again; what its request is told."""
        if isinstance(fault, TimeoutError):
            process.stop()
            log.error("%s: a process took longer than %g s and was ended", self.label, self._call_seconds)
            return TimedOut(f"The model took longer than {self._call_seconds:g} s for this request and was ended.")
        if isinstance(fault, wire.Nonsense):
            process.stop()
            log.error("%s: a process was ended: %s", self.label, fault)
            return Broken(f"The model answered nonsense to this request: {fault}. Its process was ended.")
        outcome = process.outcome(_LAST_WORDS)
        process.stop()
        return Broken(f"The model's process died on this request{_why(outcome)}.")

    def _hear(self, stream: str, line: str) -> None:
        self._lines.write(logging.WARNING if stream == "err" else logging.INFO, f"{self.label} printed: {line}")

    def _rest(self) -> float:
        return _RESTS[min(self._failures, len(_RESTS) - 1)]

    def _await_all(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._broken or len(self._free) == self.parallel)
            self._up = not self._broken
        if not self._up:
            self.close()
            raise Broken(f"{self.label} cannot be loaded: {self._broken}")

    def _keep(self) -> None:
        """One place in the pool: a process after the other."""
        while not self._closing.is_set():
            process, reason = self._launched()
            if process is not None:
                reason = f"a process ended{_why(process.outcome())}"
            if not self._note(process, reason):
                return
            self._pause()

    def _launched(self) -> "tuple[_Process | None, str]":
        """A process that is ready, or why there is none."""
        process = None
        try:
            process = self._starter.start()
            with self._changed:
                self._running.add(process)
            # Whoever closed the pool before the line above did not see this one.
            if self._closing.is_set():
                process.stop()
            self.words = wire.ready(process.connection, time.monotonic() + START_SECONDS)
        except (wire.Refused, wire.Nonsense) as fault:
            reason = clean(str(fault))
        except TimeoutError:
            reason = f"it did not become ready within {START_SECONDS:g} s."
        except (EOFError, OSError):
            reason = f"its process ended while it started{_why(process.outcome(_LAST_WORDS) if process else None)}."
        except ModelyardError as error:
            reason = error.message
        else:
            with self._changed:
                self._free.append(process)
                self._changed.notify_all()
            return process, ""
        if process is not None:
            process.stop()
            process.hang_up()
            with self._changed:
                self._running.discard(process)
        return None, reason

    def _note(self, process: "_Process | None", reason: str) -> bool:
        """Note an end; whether to go on. Until all were ready once, every end is one too many."""
        with self._changed:
            self._failures += 1
            if process is not None:
                self._running.discard(process)
            # Whoever is asking it closes the socket: a closed descriptor's number may be another's at once.
            if process is not None and process in self._free:
                self._free.remove(process)
                process.hang_up()
            if not self._up:
                self._broken = self._broken or reason
            self._changed.notify_all()
        if not self._closing.is_set():
            log.warning("%s: %s", self.label, reason.removesuffix("."))
        return self._up

    def _pause(self) -> None:
        with self._changed:
            rest = self._rest()
            self._resting += rest > 0
            self._changed.notify_all()
        if rest:
            self._closing.wait(rest)
            with self._changed:
                self._resting -= 1


class Wording(RequestPredictor):
    """A pool whose version words its own answers. What a request may choose is known inside only, and checked there."""

    Options: ClassVar[Any] = dict

    def __init__(self, pool: Pool) -> None:
        self.signature = pool.signature
        self._pool = pool

    def predict(self, batch: Batch) -> NDArray[np.float32]:
        return self._pool.predict(batch)

    def answer(self, batch: Batch, options: Any) -> list[dict[str, Any]]:
        return self._pool.entries(batch, options)


class _Starter:
    """Starts processes of one version."""

    def __init__(self, folder: Path, limits: Limits, sandbox: Sandbox, on_line: Callable[[str, str], None]) -> None:
        self._folder, self._limits, self._sandbox, self._on_line = folder, limits, sandbox, on_line

    def start(self) -> "_Process":
        """Raises Unavailable where the sandbox cannot start one."""
        ours, theirs = socket.socketpair()
        command = Command(
            argv=[sys.executable, "-P", "-m", inside.__name__],
            limits=self._limits,
            readable={inside.VERSION: self._folder},
            environment=dict.fromkeys(_THREADS, "1"),
            events_fd=theirs.fileno(),
        )
        try:
            return _Process(ours, self._sandbox.start(command, on_line=self._on_line))
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()


class _Process:
    """One process that is shut in, and the trusted end of its socket."""

    def __init__(self, connection: socket.socket, running: Running) -> None:
        self.connection = connection
        self._running = running

    def quiet(self) -> bool:
        """Whether it can be asked: one that is gone, or that talks without being asked, cannot."""
        poll = select.poll()
        poll.register(self.connection, select.POLLIN)
        return not poll.poll(0)

    def outcome(self, timeout: float | None = None) -> Outcome | None:
        """How it ended, once it has; None after `timeout` seconds."""
        return self._running.wait(timeout)

    def stop(self) -> None:
        """End it with all that came of it."""
        self._running.stop()

    def hang_up(self) -> None:
        """Close the socket: only by whoever is the one that may ask it."""
        self.connection.close()


def _columns(signature: Signature) -> tuple[int, ...]:
    """How many columns the values of a version may have."""
    if signature.classes:
        return (len(signature.classes),)
    return (1, 3) if "regression" in signature.scenario else (1,) if "log" in signature.scenario else (3,)


def _why(outcome: Outcome | None) -> str:
    if outcome is None:
        return ""
    if outcome.reason:
        return f": it {outcome.reason}"
    code = outcome.exit_code
    return f" by signal {code - 128}" if code > 128 else f" with exit code {code}"
