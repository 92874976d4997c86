"""Seam: where processes live. Messages and ids only; no rows, no business."""

from abc import ABC, abstractmethod

from modelyard.protocol.processes import Process, ProcessSpec


class Runtime(ABC):
    """Starts, stops and lists workers and replicas. Every call is safe to repeat, from any controller."""

    @abstractmethod
    def start(self, spec: ProcessSpec) -> Process:
        """Start the process, or answer the one that already has this id."""

    @abstractmethod
    def stop(self, process_id: str, *, grace: float = 5.0) -> None:
        """Ask it to end, and end it after `grace` seconds; nothing of its tree remains. Unknown ids are ignored."""

    @abstractmethod
    def list(self) -> list[Process]:
        """Everything that was started and not yet forgotten, whoever started it; dead ones with their exit code."""

    @abstractmethod
    def forget(self, process_id: str) -> None:
        """Drop the record of a dead process."""

    @abstractmethod
    def logs(self, process_id: str, *, lines: int = 100) -> list[str]:
        """The last lines that it printed."""
