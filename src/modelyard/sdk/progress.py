"""How far a job is, for a person who waits: a bar on a terminal, a line for each phase elsewhere. On standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from modelyard.features.jobs.schemas import Job

Report = Callable[[Job], None]


@contextmanager
def reporting(progress: bool | Report) -> Iterator[Report]:
    """What is to be called with the job as it goes on: nothing, the caller's own function, or a drawing."""
    if callable(progress):
        yield progress
    elif not progress:
        yield lambda _job: None
    elif sys.stderr.isatty():
        with _bar() as report:
            yield report
    else:
        yield _Lines()


class _Lines:
    """A line whenever the phase changes."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, job: Job) -> None:
        line = f"{job.progress.fraction:4.0%}  {_phase(job)}"
        if _phase(job) != self._last:
            self._last = _phase(job)
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()


@contextmanager
def _bar() -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
    from rich.table import Column

    columns = (
        BarColumn(bar_width=20),
        TaskProgressColumn(),
        TimeElapsedColumn(table_column=Column(no_wrap=True, min_width=7)),
        TextColumn("{task.fields[phase]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0, phase="")

        def report(job: Job) -> None:
            left = job.progress.eta_seconds
            eta = f"about {left:.0f} s left, " if left is not None else ""
            bar.update(task, completed=job.progress.fraction, phase=eta + _phase(job))

        yield report


def _phase(job: Job) -> str:
    if job.place is not None:
        return f"waiting, place {job.place} in the queue"
    return job.progress.phase or job.state
