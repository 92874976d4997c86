"""Reporting of work that is a part of other work."""

from modelyard.algorithms.base import Report


class Between(Report):
    """Passes on what a part says: its progress lies from `first` to `last`, its metrics are named after it."""

    def __init__(self, report: Report, first: float, last: float, name: str = "") -> None:
        self._report, self._first, self._last, self._name = report, first, last, name

    def progress(self, phase: str, fraction: float, eta_seconds: float | None = None) -> None:
        self._report.progress(phase, self._first + (self._last - self._first) * fraction, eta_seconds)

    def metric(self, name: str, step: int, value: float) -> None:
        self._report.metric(f"{self._name}_{name}" if self._name else name, step, value)

    def log(self, line: str) -> None:
        self._report.log(line)
