"""Jobs: whatever takes long."""

from __future__ import annotations

import time
from collections.abc import Generator
from itertools import count
from typing import Any

from modelyard.core.errors import ModelyardError, TimedOut, Unavailable
from modelyard.core.paging import Page
from modelyard.features.jobs import schemas
from modelyard.sdk.calls import fetch, get, opened, pages, post
from modelyard.sdk.entity import Entity, Listing
from modelyard.sdk.errors import ConnectionLost, JobFailed, JobStopped, rebuilt
from modelyard.sdk.events import Event, EventReader
from modelyard.sdk.flow import Close, Emit, Flow, Items, Mode, Pause, Read, Request, Resource, Step, items, operation
from modelyard.sdk.progress import Report, reporting

FIRST_LOOK, LONGEST_LOOK = 0.1, 1.0
AWAY_SECONDS = 60.0
"""How long a platform may be unreachable while somebody waits for a job: it may be starting again."""
SILENT_SECONDS = 60.0
"""A live stream says something at least every quarter of that."""
LINES = 5000


class Job(Entity[Mode, schemas.Job]):
    """A long-running operation."""

    @property
    def ended(self) -> bool:
        """Whether its state changes no more."""
        return self.data.state in schemas.ENDED

    @operation
    def refresh(self) -> Flow[Job[Mode]]:
        """Look again; the same object with what is known now."""
        self.data = (yield from Jobs(self._connection).get.flow(self.data.id)).data
        return self

    @operation
    def wait(self, *, progress: bool | Report = False, timeout: float | None = None) -> Flow[Job[Mode]]:
        """Wait for the end; the same object then.

        `progress` True draws how far it is, a function is called with each new state. `timeout` is in seconds. Raises
        what the job failed with (JobFailed, or the class of its code), JobStopped, TimedOut: the job goes on then.
        """
        yield from waiting(self, progress, timeout)
        return self

    @items
    def logs(self, *, follow: bool = False, after: int = -1) -> Items[schemas.LogLine]:
        """The lines of the log after number `after`; with `follow` those to come too, until the job has ended."""
        yield from Jobs(self._connection).logs.flow(self.data.id, follow=follow, after=after)

    @operation
    def stop(self) -> Flow[Job[Mode]]:
        """Ask it to stop; it has within two seconds. Raises JobOver."""
        self.data = (yield from Jobs(self._connection).stop.flow(self.data.id)).data
        return self

    def _label(self) -> str:
        return f"{self.data.id}: {self.data.title} ({self.data.state}, {self.data.progress.fraction:.0%})"


class Jobs(Resource[Mode]):
    """The platform's jobs."""

    @operation
    def get(self, job: str) -> Flow[Job[Mode]]:
        """One job. Raises NotFound."""
        return Job(self._connection, (yield from fetch(self, get("jobs", job), schemas.Job)))

    @operation
    def list(
        self, *, state: schemas.JobState | None = None, kind: str | None = None, limit: int | None = None
    ) -> Flow[Listing[Job[Mode]]]:
        """The jobs, newest first."""
        found = yield from pages(self, get("jobs", state=state, kind=kind), schemas.Job, limit)
        return Listing(Job(self._connection, data) for data in found)

    @operation
    def stop(self, job: str) -> Flow[Job[Mode]]:
        """Ask a job to stop. Raises JobOver."""
        return Job(self._connection, (yield from fetch(self, post("jobs", job, "stop"), schemas.Job)))

    @operation
    def metrics(self, job: str) -> Flow[Listing[schemas.MetricPoint]]:
        """The history of a job's metrics, oldest first."""
        page = yield from fetch(self, get("jobs", job, "metrics"), Page[schemas.MetricPoint])
        return Listing(page.items)

    @operation
    def records(self, job: str, kind: str) -> Flow[Listing[schemas.JobRecord]]:
        """What a job found on its way, of one kind, such as the trials of a search."""
        page = yield from fetch(self, get("jobs", job, "records", kind=kind), Page[schemas.JobRecord])
        return Listing(page.items)

    @items
    def logs(self, job: str, *, follow: bool = False, after: int = -1) -> Items[schemas.LogLine]:
        """The lines of a job's log after number `after`; with `follow` those to come too, until it has ended.

        A stream that breaks is taken up again behind the last line.
        """
        if follow:
            yield from self._follow(job, after)
            return
        while True:
            page = yield from fetch(self, get("jobs", job, "logs", after=after, limit=LINES), Page[schemas.LogLine])
            for line in page.items:
                after = line.sequence
                yield Emit(line)
            if len(page.items) < LINES:
                return

    def _follow(self, job: str, after: int) -> Items[schemas.LogLine]:
        for attempt in count(1):
            before = after
            try:
                for_lines = self._stream(job, after)
                outcome: Any = None
                while True:
                    step = for_lines.send(outcome)
                    outcome = None
                    if isinstance(step, Emit):
                        after = step.item.sequence
                        yield step
                    else:
                        outcome = yield step
            except StopIteration as end:
                if end.value:
                    return
            except (ConnectionLost, TimedOut):
                if attempt >= self._connection.tries and after == before:
                    raise
            yield Pause(FIRST_LOOK)

    def _stream(self, job: str, after: int) -> Generator[Step | Emit[schemas.LogLine], Any, bool]:
        """One connection's lines; whether the log has ended with them."""
        request = Request(
            method="GET",
            path=get("jobs", job, "logs").path,
            params={"follow": "true", "after": after},
            headers={"accept": "text/event-stream", **({"last-event-id": str(after)} if after >= 0 else {})},
            patience=SILENT_SECONDS,
        )
        stream, reader = (yield from opened(self, request)), EventReader()
        while piece := (yield Read(stream)):
            for event in reader.feed(piece):
                if event.name == "line":
                    yield Emit(_log_line(event))
                elif event.name == "end":
                    yield Close(stream)
                    return True
        return False


def waiting(job: Job[Mode], progress: bool | Report, timeout: float | None) -> Flow[None]:
    """Look at a job until it has ended. Raises as `Job.wait` says."""
    begun, seen, pause = time.monotonic(), time.monotonic(), FIRST_LOOK
    with reporting(progress) as report:
        while True:
            try:
                yield from job.refresh.flow()
                seen = time.monotonic()
            except Unavailable:
                if time.monotonic() - seen > AWAY_SECONDS:
                    raise
            report(job.data)
            if job.ended:
                break
            left = pause if timeout is None else timeout - (time.monotonic() - begun)
            if left <= 0:
                raise TimedOut(
                    f"{job.data.id} is still {job.data.state} after {timeout:g} seconds, and goes on. "
                    f"Look again with `modelyard job show {job.data.id}`."
                )
            yield Pause(min(pause, left))
            pause = min(LONGEST_LOOK, pause * 1.3)
    if job.data.state != "succeeded":
        raise _failure(job.data)


def _failure(job: schemas.Job) -> ModelyardError:
    if job.state == "stopped":
        return JobStopped(f"{job.id} was stopped before it had a result.")
    told = job.error or {
        "code": JobFailed.code,
        "message": f"{job.id} failed. Its log says more: `modelyard job logs {job.id}`.",
    }
    return rebuilt(told, JobFailed.status, otherwise=JobFailed)


def _log_line(event: Event) -> schemas.LogLine:
    return schemas.LogLine.model_validate_json(event.data)
