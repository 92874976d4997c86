"""One process that is kept alive: started tied to this one, started again with growing pauses when it ends."""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import IO

from modelyard.cli.supervisor.services import Service

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 10.0
HEALTHY_SECONDS = 30.0
SETTLED_SECONDS = 0.5

_libc = ctypes.CDLL(None, use_errno=True)


class Backoff:
    """Pauses between starts: doubling from 0.2 s to 10 s, from the beginning again after 30 s of life."""

    def __init__(self) -> None:
        self._next = FIRST_PAUSE

    def pause(self, lived: float) -> float:
        """Seconds to wait after a life of `lived` seconds."""
        now = FIRST_PAUSE if lived >= HEALTHY_SECONDS else self._next
        self._next = min(now * 2, LONGEST_PAUSE)
        return now


class Child:
    """A service's process. It gets SIGTERM when this process dies, by whatever cause.

    The kernel ties it to the thread that starts it: only the main thread may.
    """

    def __init__(self, service: Service, environment: Mapping[str, str]) -> None:
        self.service = service
        self.ready = False
        self.ends = 0
        self.due: float | None = 0.0
        self._environment = environment
        self._backoff = Backoff()
        self._process: subprocess.Popen[bytes] | None = None
        self._since = 0.0

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process else None

    def check(self) -> None:
        """Ask whether it is ready, where it is not yet. Without a way to ask, half a second of life says so."""
        if self.ready or self._process is None:
            return
        answers = self.service.answers
        self.ready = answers() if answers else time.monotonic() - self._since > SETTLED_SECONDS

    def start(self) -> IO[bytes]:
        """Start it; where its lines come out. Raises OSError where it cannot be started."""
        self.due = None
        self._since = time.monotonic()
        self._process = subprocess.Popen(
            self.service.argv,
            env=dict(self._environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=self.service.descriptors,
            preexec_fn=_tied_to(os.getpid()),  # noqa: PLW1509 - this process has one thread when it starts others
        )
        assert self._process.stdout is not None
        return self._process.stdout

    def ended(self) -> str | None:
        """How it ended, told once, with the time of the next start set; None while there is nothing to tell."""
        code = self._process.poll() if self._process else None
        if code is None:
            return None
        lived = time.monotonic() - self._since
        pause = self._backoff.pause(lived)
        self._process, self.ends, self.ready = None, self.ends + 1, False
        self.due = time.monotonic() + pause
        return f"{described(code)} after {lived:.1f} s; starts again in {pause:.1f} s"

    def failed(self) -> float:
        """It could not be started at all; the pause until the next try."""
        pause = self._backoff.pause(0)
        self._process, self.ends = None, self.ends + 1
        self.due = time.monotonic() + pause
        return pause

    def send(self, number: int) -> None:
        """Send a signal to it, or, for SIGKILL, to all of its session that did not leave it."""
        if self._process is None or self._process.poll() is not None:
            return
        with suppress(ProcessLookupError):
            if number == signal.SIGKILL:
                os.killpg(self._process.pid, number)
            else:
                self._process.send_signal(number)

    def alive(self) -> bool:
        """Whether it runs; takes leave of it where it does not."""
        return self._process is not None and self._process.poll() is None


def adopt_orphans() -> None:
    """Become the parent of whatever this process's descendants leave behind, so that it does not stay as a zombie."""
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def described(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def _tied_to(parent: int) -> Callable[[], None]:
    def tie() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        # The parent may have died before the kernel was told.
        if os.getppid() != parent:
            os._exit(1)

    return tie
