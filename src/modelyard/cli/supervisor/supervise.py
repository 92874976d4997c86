"""The loop of `modelyard up`: one thread that starts, watches, logs and starts again, until it is asked to leave."""

import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import IO

from modelyard.cli.supervisor.child import Child, adopt_orphans
from modelyard.cli.supervisor.leave import Leaving
from modelyard.cli.supervisor.log import Lines, Log, Tail
from modelyard.cli.supervisor.services import Service
from modelyard.runtimes.base import Runtime

TURN_SECONDS = 0.25
STARTING_TURN_SECONDS = 0.03
REMIND_SECONDS = 10.0
GIVE_UP_AFTER = 5
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Supervisor:
    """Keeps `services` alive. `on_ready` is called once, when all of them answer for the first time,
    `on_leave` when it is asked to leave.

    `runtime` is where workers and replicas live: they outlive this process when it is killed, and are stopped when it
    is asked to leave. `run` is for the main thread, which children are tied to and which signals are sent to.
    """

    def __init__(
        self,
        services: Sequence[Service],
        *,
        environment: Mapping[str, str],
        runtime: Runtime,
        log: Log,
        tail: Tail,
        on_ready: Callable[[], None],
        on_leave: Callable[[], None] = lambda: None,
    ) -> None:
        self.children = [Child(service, environment) for service in services]
        self.log = log
        self.runtime = runtime
        self._tail = tail
        self._on_ready = on_ready
        self._on_leave = on_leave
        self._selector = selectors.DefaultSelector()
        self._asked = 0
        self._ready = False
        self._remind = time.monotonic() + REMIND_SECONDS

    def run(self) -> int:
        """Until somebody asks to leave; the exit code: 0, or 1 where the platform never came up."""
        adopt_orphans()
        self._listen_to_signals()
        while not self._asked:
            if not self._ready and any(child.ends >= GIVE_UP_AFTER for child in self.children):
                self.log.say("Modelyard does not come up: see the lines above for the reason.", level="error")
                self._leave()
                return 1
            self._start_due()
            self._turn(TURN_SECONDS if self._ready else STARTING_TURN_SECONDS)
            self._tell_ends()
            self._check_ready()
        self.log.say("stopping; Ctrl-C again kills at once")
        self._leave()
        self.log.say("stopped")
        return 0

    def _leave(self) -> None:
        self._on_leave()
        Leaving(
            self.children, runtime=self.runtime, log=self.log, turn=self._turn, hurried=lambda: self._asked > 1
        ).go()
        self._tail.follow(every=0)

    def _turn(self, seconds: float) -> None:
        """Wait for something to happen, at most `seconds`: show what was printed, take leave of what has ended."""
        for key, _ in self._selector.select(seconds):
            key.data(key.fileobj)
        self._tail.follow()
        self._reap_orphans()

    def _listen_to_signals(self) -> None:
        """Each signal wakes the loop; those that ask to leave are counted."""
        receiver, sender = socket.socketpair()
        receiver.setblocking(False)
        sender.setblocking(False)
        self._wakeup = (receiver, sender)
        signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        for number in SIGNALS:
            # Started by nohup, it is to outlive its terminal.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._ask)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(receiver, selectors.EVENT_READ, lambda _: receiver.recv(4096))

    def _ask(self, *_: object) -> None:
        self._asked += 1

    def _start_due(self) -> None:
        for child in self.children:
            if child.due is None or child.due > time.monotonic():
                continue
            try:
                output = child.start()
            except OSError as error:
                pause = child.failed()
                self.log.say(
                    f"cannot be started: {error}; next try in {pause:.1f} s", level="error", name=child.service.name
                )
            else:
                self._watch(output, Lines(self.log, child.service.name))

    def _watch(self, output: IO[bytes], lines: Lines) -> None:
        def read(_: object) -> None:
            if data := os.read(output.fileno(), 65536):
                lines.feed(data)
                return
            self._selector.unregister(output)
            output.close()
            lines.end()

        self._selector.register(output, selectors.EVENT_READ, read)

    def _tell_ends(self) -> None:
        for child in self.children:
            if told := child.ended():
                self.log.say(told, level="warning", name=child.service.name)

    def _check_ready(self) -> None:
        for child in self.children:
            child.check()
        if self._ready:
            return
        missing = [child.service.name for child in self.children if not child.ready]
        if not missing:
            self._ready = True
            self._on_ready()
        elif time.monotonic() > self._remind:
            self._remind += REMIND_SECONDS
            self.log.say(f"still waiting for {', '.join(missing)}", level="warning")

    def _reap_orphans(self) -> None:
        """Those that died after their parent; the runtime notes the exit codes of its own."""
        ours = {child.pid for child in self.children}
        while True:
            try:
                dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if dead is None or dead.si_pid in ours:
                return
            self.runtime.list()
            with suppress(ChildProcessError):
                os.waitpid(dead.si_pid, os.WNOHANG)
