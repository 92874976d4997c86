"""Seam: where processes live. Messages and ids only; no rows, no business."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from modelyard.core.settings import Settings
from modelyard.protocol.processes import Process, ProcessSpec, Role

# -P: a file in the current folder must not shadow a module of the platform.
COMMANDS: Mapping[Role, Sequence[str]] = {
    "worker": (sys.executable, "-P", "-m", "modelyard.worker"),
    "replica": (sys.executable, "-P", "-m", "modelyard.replica"),
}
"""What is run for each role; the path of the spec file is appended. A process that gives up writes
`{"code", "message"}` (protocol.jobs.Failure) to the spec file's path + `.failure` before it exits. What it may use
(protocol.processes.Limits) is at the spec file's path + `.limits`."""


class Runtime(ABC):
    """Starts, stops and lists workers and replicas. Every call is safe to repeat, from any controller and thread."""

    @abstractmethod
    def __init__(self, settings: Settings, *, commands: Mapping[Role, Sequence[str]] = COMMANDS) -> None: ...

    @abstractmethod
    def start(self, spec: ProcessSpec) -> Process:
        """Start the process, or answer the one that already has this id, even where it has ended.

        Raises Invalid for an id that cannot be used, OutOfSpace or Unavailable where nothing can be started now.
        """

    @abstractmethod
    def stop(self, process_id: str, *, grace: float = 5.0) -> None:
        """Ask it to end, and end it after `grace` seconds; nothing of its tree remains. Unknown ids are ignored.

        Raises Unavailable where something of it does not even end when killed.
        """

    @abstractmethod
    def list(self) -> list[Process]:
        """Everything that was started and not yet forgotten, whoever started it; dead ones with their exit code."""

    @abstractmethod
    def forget(self, process_id: str) -> None:
        """Drop the record of a dead process and end what it left behind. Unknown ids are ignored.

        Raises Conflict while it is alive, Unavailable where what it left does not even end when killed.
        """

    @abstractmethod
    def logs(self, process_id: str, *, lines: int = 100) -> Sequence[str]:
        """The last lines that it printed; none for an unknown id."""
