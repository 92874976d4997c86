"""The worker process: claims one job, does it, reports it, and ends."""

import logging
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from modelyard.core.errors import Fenced, ModelyardError, Unavailable
from modelyard.core.lifeline import ALONE_SECONDS, Lifeline
from modelyard.core.settings import Settings, from_environment
from modelyard.credentials.internal import read_secret, token
from modelyard.protocol.jobs import Failure, Finish
from modelyard.protocol.processes import WorkerSpec
from modelyard.worker.api import Api, Away
from modelyard.worker.attempt import DONE, FENCED, LAPSED, Attempt
from modelyard.worker.lease import Lease

log = logging.getLogger("modelyard.worker")

GAVE_UP = 3
"""Exit code where there was not even a job to begin; `<spec file>.failure` says why."""


def run(spec: WorkerSpec, settings: Settings, *, alone_seconds: float = ALONE_SECONDS) -> int:
    """Do the job of `spec`; the exit code. `alone_seconds`: how long without anybody who runs the platform.

    Raises Unavailable where no api answered in time to claim the job, and what the installation lacks.
    """
    api = Api(spec.api, spec.job, token(read_secret(settings)))
    lease = Lease(api, spec.token, patience=settings.jobs.lease_seconds)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: lease.leave())
    try:
        job = lease.claim()
    except Fenced as error:
        log.warning("%s", error.message)
        return FENCED
    except Away as error:
        raise Unavailable(f"Job {spec.job} could not be claimed: {error}.", retry_after=5) from None
    if job is None:
        with suppress(Away, ModelyardError):
            api.finish(Finish(token=spec.token, outcome="released"))
        return DONE
    attempt = Attempt(job, api, lease, settings)
    lease.hold(attempt.interrupt)
    with _watching(Lifeline(settings.data / "up.lock"), lease, alone_seconds):
        return attempt.run()


class _watching:  # noqa: N801 - read as a verb
    """While the block runs, a job whose platform nobody runs any more is given back."""

    def __init__(self, lifeline: Lifeline, lease: Lease, seconds: float) -> None:
        self._over = threading.Event()
        self._watch = (lifeline, lease, seconds)

    def __enter__(self) -> None:
        threading.Thread(target=self._look, name="lifeline", daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def _look(self) -> None:
        lifeline, lease, seconds = self._watch
        if lifeline.wait_until_alone(self._over, every=min(5.0, seconds / 4), seconds=seconds):
            log.warning("Nobody has run the platform for %g s: leaving.", seconds)
            lease.leave()


def main(arguments: Sequence[str]) -> int:
    """The command: one argument, the file that holds the WorkerSpec. The exit code."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m modelyard.worker SPEC_FILE\n")
        return 2
    path = Path(arguments[0])
    failure = path.with_name(f"{path.name}.failure")
    failure.unlink(missing_ok=True)
    try:
        settings = from_environment()
        logging.basicConfig(level=settings.log_level.upper(), format="%(levelname)s %(message)s", stream=sys.stderr)
        logging.getLogger("httpx").setLevel(logging.WARNING)
        return run(msgspec.json.decode(path.read_bytes(), type=WorkerSpec), settings)
    except ModelyardError as error:
        log.error("%s", error.message)
        told = Failure(code=error.code, message=error.message, detail=error.detail)
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        log.error("%s cannot be read: %s", path, error)
        told = Failure(code="malformed", message=f"The worker's orders cannot be read: {error}.")
    with suppress(OSError):
        failure.write_bytes(msgspec.json.encode(told))
    return GAVE_UP


__all__ = ["DONE", "FENCED", "GAVE_UP", "LAPSED", "main", "run"]
