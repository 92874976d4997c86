"""One attempt at one job, from its claim to its last word, and that nothing of it remains on this machine."""

import errno
import logging
import os
import threading
import time
from pathlib import Path
from typing import Any

from modelyard.core.errors import Fenced, ModelyardError
from modelyard.core.registry import Registry
from modelyard.core.settings import Settings
from modelyard.protocol.jobs import Failure, Finish, JobSpec
from modelyard.storage.objects.opened import open_store
from modelyard.worker import scratch
from modelyard.worker.api import Api, Away
from modelyard.worker.context import Recipe, Stopped
from modelyard.worker.failures import JobFailed
from modelyard.worker.lease import Lease
from modelyard.worker.outbox import Outbox
from modelyard.worker.running import RunningJob, out_of_space

log = logging.getLogger("modelyard.worker")

RECIPES: Registry[Recipe] = Registry("modelyard.worker.recipes", Recipe)  # type: ignore[type-abstract]

DONE, LAPSED, FENCED = 0, 75, 76
"""Exit codes: the api has the last word; the lease could not be renewed; another worker has the job."""

_GRACE = 0.7  # seconds for a recipe to notice that it is to end
_RETRY = 0.25


class Attempt:
    """What one worker process does: run the recipe, tell how it ended, leave nothing.

    `interrupt` is for the lease's thread: it ends the child and, where the recipe is deep in some library and does
    not come back, concludes in its place and ends the process.
    """

    def __init__(self, job: JobSpec, api: Api, lease: Lease, settings: Settings) -> None:
        self._job, self._api, self._lease, self._settings = job, api, lease, settings
        self._outbox = Outbox(api, job.token, lease)
        self._folder: Path | None = None
        self._context: RunningJob | None = None
        self._concluding = threading.Lock()
        self._concluded = threading.Event()

    def run(self) -> int:
        """All of it; the exit code."""
        code = self._conclude(self._perform())
        if code is None:
            threading.Event().wait()  # the other thread concludes and ends the process
            raise AssertionError("unreachable")
        return code

    def interrupt(self) -> None:
        """End the job from outside: `lease.ending` says why."""
        context = self._context
        if context is not None:
            context.end_child()
        if self._concluded.wait(_GRACE):
            return
        code = self._conclude(self._end("stopped"))
        if code is not None:
            logging.shutdown()
            os._exit(code)

    def _perform(self) -> Finish:
        try:
            return self._end("succeeded", result=self._cook())
        except Stopped:
            return self._end("stopped")
        except JobFailed as error:
            return self._fail(error.failure)
        except ModelyardError as error:
            fields = tuple(error.fields)
            return self._fail(Failure(code=error.code, message=error.message, detail=error.detail, fields=fields))
        except Exception as error:
            if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
                return self._fail(out_of_space())
            log.exception("The recipe %s broke", self._job.kind)
            return self._fail(_unexpected(error, self._job.id))

    def _cook(self) -> dict[str, Any]:
        recipe = RECIPES.get(self._job.kind)()
        self._folder = scratch.make(self._settings.data, self._job.id, self._job.token)
        self._context = RunningJob(
            spec=self._job,
            scratch=self._folder,
            objects=open_store(self._settings.objects_url),
            settings=self._settings,
            lease=self._lease,
            outbox=self._outbox,
            builtin=recipe.builtin,
        )
        if self._job.attempt > 1:
            self._context.say(f"Attempt {self._job.attempt}: the worker before this one was lost or asked to leave.")
        return recipe.run(self._context)

    def _end(self, outcome: Any, **told: Any) -> Finish:
        return Finish(token=self._job.token, outcome=outcome, **told)

    def _fail(self, failure: Failure) -> Finish:
        if self._context is not None and self._lease.ending is None:
            self._context.say(failure.message)
        return self._end("failed", failure=failure)

    def _conclude(self, finish: Finish) -> int | None:
        """Say the last word and clean up; the exit code, or None where another thread is at it."""
        if not self._concluding.acquire(blocking=False):
            return None
        ending = self._lease.ending
        if ending in {"stopped", "released"}:
            finish = self._end(ending)
        while not self._outbox.close(_GRACE) and self._lease.lasts and self._lease.ending is None:
            log.warning("The last events wait for the api.")
        if self._folder is not None:
            scratch.remove(self._folder)
        code = self._deliver(finish)
        self._concluded.set()
        self._lease.close()
        return code

    def _deliver(self, finish: Finish) -> int:
        while self._lease.lasts:
            try:
                self._api.finish(finish)
            except Fenced as error:
                log.warning("%s", error.message)
                return FENCED
            except Away as error:
                log.warning("The last word waits: %s", error)
                time.sleep(_RETRY)
            except ModelyardError as error:
                log.error("The result was refused: %s", error.message)
                if finish.outcome == "failed":
                    finish = self._end("failed", failure=_unexpected(error, self._job.id))
                    time.sleep(_RETRY)
                else:
                    finish = self._end("failed", failure=Failure(code="refused", message=error.message))
            else:
                log.info("%s: %s", self._job.id, finish.outcome)
                return DONE
        return FENCED if self._lease.ending == "fenced" else LAPSED


def _unexpected(error: Exception, job: str) -> Failure:
    return Failure(
        code="internal",
        message=(
            "The job ended because of an error in the platform itself. Start it again; if it comes back, give an "
            f"administrator this id, under which the machine's log has the details: {job}."
        ),
        detail={"kind": type(error).__name__},
    )
