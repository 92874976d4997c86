"""The worker's side of one running job: what a recipe is given to report, and to run commands shut in."""

import logging
import os
import shutil
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from modelyard.core.settings import Settings
from modelyard.protocol.jobs import Event, Failure, JobSpec, LogLine, Progress
from modelyard.protocol.processes import Limits
from modelyard.sandbox.base import Command, Outcome, Running
from modelyard.sandbox.choose import Chosen, choose
from modelyard.storage.objects.base import ObjectStore
from modelyard.worker.context import JobContext, Stopped
from modelyard.worker.failures import JobFailed
from modelyard.worker.lease import Lease
from modelyard.worker.outbox import Outbox
from modelyard.worker.strangers import MOST_LINES, Ear, clean, read_note

log = logging.getLogger("modelyard.worker")

_FULL = 1 << 20  # bytes: a disk with less is full
_EARLIEST_ETA = 0.03  # before this fraction an estimate is a guess
_BETWEEN_PROGRESS = 0.1  # seconds
_EAR_SECONDS = 2.0

_HINTS = {
    "memory": ("out_of_memory", "Use fewer rows or columns, or ask an administrator to raise MODELYARD_JOBS_MEMORY."),
    "seconds": ("timed_out", "Choose a smaller search, or ask an administrator to raise MODELYARD_JOBS_SECONDS."),
    "disk": ("too_large", "Use fewer rows or columns, or ask an administrator to raise MODELYARD_JOBS_DISK."),
    "setup": ("sandbox_failed", "Run `modelyard doctor` on the machine that ran it."),
}
"""What ended a command: the failure's code and the next step."""


class RunningJob(JobContext):
    """One job under way. `end_child` may be called from any thread; the rest is for the recipe's."""

    def __init__(
        self,
        *,
        spec: JobSpec,
        scratch: Path,
        objects: ObjectStore,
        settings: Settings,
        lease: Lease,
        outbox: Outbox,
        builtin: bool,
    ) -> None:
        self.spec, self.scratch, self.objects, self.settings = spec, scratch, objects, settings
        self._lease, self._outbox, self._builtin = lease, outbox, builtin
        self._began = time.monotonic()
        self._last = Progress(phase="", fraction=0.0)
        self._last_at = 0.0
        self._lines = 0
        self._reporting = threading.Lock()
        self._child: Running | None = None

    def report(self, event: Event) -> None:
        self._check()
        self._forward(event)

    def say(self, line: str) -> None:
        """One line of the platform's own in the job's log."""
        self._forward(LogLine(line=line, at=time.time(), stream="platform"))

    def run_shut_in(self, argv: Sequence[str], *, work: Path, span: tuple[float, float]) -> None:
        self._check()
        chosen = self._choose()
        listening, telling = os.pipe()
        ear = Ear(listening, lambda event: self._forward(_within(event, span, self._elapsed())), self.say)
        listener = threading.Thread(target=ear.listen, name="ear", daemon=True)
        listener.start()
        command = Command(argv=argv, work=work, limits=self._limits(), events_fd=telling)
        try:
            running = chosen.sandbox.start(command, on_line=self._hear)
        finally:
            os.close(telling)
        outcome = self._await(running)
        listener.join(_EAR_SECONDS)
        self._check()
        if outcome.exit_code != 0:
            raise JobFailed(_why(outcome, work))

    def end_child(self) -> None:
        """End whatever runs shut in, now."""
        child = self._child
        if child is not None:
            child.stop()

    def _check(self) -> None:
        if self._lease.ending is not None:
            raise Stopped

    def _choose(self) -> Chosen:
        chosen = choose(self.settings, builtin=self._builtin)
        if not chosen.verdict.holds:
            self.say(
                "No sandbox holds on this machine: what trains here runs unconfined, as the administrator allowed."
            )
        return chosen

    def _await(self, running: Running) -> Outcome:
        self._child = running
        try:
            # Whoever ended the job before the line above found no child to end.
            while self._lease.ending is None:
                outcome = running.wait(0.5)
                if outcome is not None:
                    return outcome
            raise Stopped
        finally:
            running.stop()
            self._child = None

    def _limits(self) -> Limits:
        jobs = self.settings.jobs
        left = max(1.0, jobs.seconds - self._elapsed())
        return Limits(memory=jobs.memory, processes=jobs.processes, disk=jobs.disk, seconds=left)

    def _elapsed(self) -> float:
        return time.monotonic() - self._began

    def _hear(self, stream: str, line: str) -> None:
        self._forward(LogLine(line=line, at=time.time(), stream="err" if stream == "err" else "out"))

    def _forward(self, event: Event) -> None:
        with self._reporting:
            if isinstance(event, Progress):
                self._forward_progress(event)
            elif isinstance(event, LogLine):
                self._forward_line(event)
            else:
                self._outbox.put(event)

    def _forward_line(self, line: LogLine) -> None:
        self._lines += 1
        if self._lines <= MOST_LINES:
            self._outbox.put(msgspec.structs.replace(line, line=clean(line.line)))
        elif self._lines == MOST_LINES + 1:
            full = f"The log is full after {MOST_LINES:,} lines; what follows is not kept."
            self._outbox.put(LogLine(line=full, at=time.time(), stream="platform"))

    def _forward_progress(self, event: Progress) -> None:
        """Never back, and not oftener than anybody can see."""
        fraction = max(self._last.fraction, min(1.0, event.fraction))
        eta = event.eta_seconds if event.eta_seconds is not None else _estimate(fraction, self._elapsed())
        event = Progress(phase=event.phase, fraction=fraction, eta_seconds=eta)
        now = time.monotonic()
        if event.phase == self._last.phase and fraction < 1 and now - self._last_at < _BETWEEN_PROGRESS:
            self._last = event
            return
        self._last, self._last_at = event, now
        self._outbox.put(event)


def _estimate(fraction: float, elapsed: float) -> float | None:
    """Seconds to go where the rest takes as long for its share as the past did."""
    return elapsed * (1 - fraction) / fraction if fraction >= _EARLIEST_ETA else None


def _within(event: Event, span: tuple[float, float], elapsed: float) -> Event:
    """A part's progress as the whole's: the part knows its own rest, what comes after it is estimated."""
    if not isinstance(event, Progress):
        return event
    low, high = span
    fraction = low + event.fraction * (high - low)
    eta = event.eta_seconds
    if eta is not None:
        whole = elapsed / fraction if fraction >= _EARLIEST_ETA else (elapsed + eta) / max(high, _EARLIEST_ETA)
        eta += (1 - high) * whole
    return Progress(phase=event.phase, fraction=fraction, eta_seconds=eta)


def _why(outcome: Outcome, work: Path) -> Failure:
    """What the job's owner is told of a command that did not end well."""
    if outcome.limit:
        code, hint = _HINTS[outcome.limit]
        return Failure(code=code, message=f"The job {outcome.reason}. {hint}", detail={"limit": outcome.limit})
    note = read_note(work)
    if note is not None:
        return note
    if shutil.disk_usage(work).free < _FULL:
        return out_of_space()
    log.error("The command ended with %d and said nothing.", outcome.exit_code)
    ended = f"was ended by signal {outcome.exit_code - 128}" if outcome.exit_code > 128 else "ended"
    code = f" with exit code {outcome.exit_code}" if outcome.exit_code <= 128 else ""
    return Failure(
        code="training_failed",
        message=f"The job {ended}{code} without saying why. The last lines of its log may tell.",
        detail={"exit_code": outcome.exit_code},
    )


def out_of_space() -> Failure:
    """The failure of a job on a full disk."""
    return Failure(
        code="out_of_space",
        message="The disk of the machine that ran this job is full. Free some space there, then start the job again.",
    )
