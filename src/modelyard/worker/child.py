"""Process: what runs inside the sandbox, `python -m modelyard.worker.child FOLDER`.

    spec.json       what to do: `Task`
    in/             rows and labels as arrays (formats/batches.py); labels of test rows never come here;
                    `previous` is the folder of a version to go on from
    out/            what was made
    failure.json    why nothing was made: protocol.jobs.Failure; the exit code is 1

fit      learns from in/training and in/validation; writes out/<format>/ (what is served) and out/python/ (the same as a
         pickle, for what does not convert), out/validation.npy and out/test.npy (answers of the training pipeline; the
         validation rows are answered before they are learned from too) and out/fitted.json.
predict  answers in/rows with the version in in/version; writes out/answers.npy.

Events (protocol.jobs.Event) go to file descriptor 3 as JSON lines.
"""

import os
import stat
import sys
import time
import traceback
from pathlib import Path
from typing import Any, BinaryIO, Literal

import msgspec
import numpy as np

from modelyard.algorithms import registry
from modelyard.algorithms.base import Report, Trained, TrainingData
from modelyard.core.errors import ModelyardError
from modelyard.formats import batches, python
from modelyard.formats.registry import open_version
from modelyard.protocol.jobs import Event, Failure, LogLine, MetricPoint, Progress
from modelyard.protocol.signature import Signature

EVENTS = 3
SPEC, FAILURE, FITTED = "spec.json", "failure.json", "fitted.json"
FITTING = 0.7
"""The share of the work that is done when the validation rows are answered."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What to do. `name` is what the candidate is called in events."""

    kind: Literal["fit", "predict"]
    name: str = ""
    algorithm: str = ""
    parameters: dict[str, Any] = {}
    signature: Signature | None = None
    seed: int = 0


class Fitted(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a fit: the format of the served form, how long it took, and why it is Python where it is."""

    format: str
    seconds: float
    reason: str = ""


class Events(Report):
    """Sends what an algorithm reports; fractions lie in `span` of the whole."""

    def __init__(self, name: str, file: BinaryIO | None) -> None:
        self.span = (0.0, 1.0)
        self._fraction = 0.0
        self._name = name
        self._file = file

    def progress(self, phase: str, fraction: float, eta_seconds: float | None = None) -> None:
        first, last = self.span
        self._fraction = max(self._fraction, first + (last - first) * min(1.0, float(fraction)))
        eta = None if eta_seconds is None else float(eta_seconds)
        self._send(Progress(phase=f"{self._name}: {phase}", fraction=self._fraction, eta_seconds=eta))

    def metric(self, name: str, step: int, value: float) -> None:
        self._send(MetricPoint(name=f"{self._name}/{name}", step=int(step), value=float(value), at=time.time()))

    def log(self, line: str) -> None:
        self._send(LogLine(line=line, at=time.time()))

    def _send(self, event: Event) -> None:
        if self._file is not None:
            self._file.write(msgspec.json.encode(event) + b"\n")
            self._file.flush()


def main(folder: Path) -> int:
    """Do what `spec.json` says; the exit code."""
    try:
        task = msgspec.json.decode((folder / SPEC).read_bytes(), type=Task)
        (folder / "out").mkdir(exist_ok=True)
        if task.kind == "fit":
            fit(folder, task)
        else:
            predict(folder)
    except Exception as error:  # noqa: BLE001 - an algorithm may raise anything; a person is told, the log has the rest
        traceback.print_exc()
        (folder / FAILURE).write_bytes(msgspec.json.encode(_failure(error)))
        return 1
    return 0


def fit(folder: Path, task: Task) -> None:
    """Learn, and write what is served with its answers."""
    events = Events(task.name, _events_file())
    data = _training_data(folder, task)
    algorithm = registry.get(task.algorithm)
    parameters = algorithm.Parameters.model_validate(task.parameters)
    started = time.monotonic()
    events.span = (0.0, FITTING)
    trained = algorithm().fit(data, parameters, events)
    np.save(folder / "out" / "validation.npy", trained.predict(data.validation))
    events.span = (FITTING, 1.0)
    final = algorithm().finish(data, trained, parameters, events)
    seconds = time.monotonic() - started
    np.save(folder / "out" / "test.npy", final.predict(batches.load_batch(folder / "in" / "test")))
    name, reason = _save(final, folder / "out")
    fitted = Fitted(format=name, seconds=seconds, reason=reason)
    (folder / "out" / FITTED).write_bytes(msgspec.json.encode(fitted))


def predict(folder: Path) -> None:
    """Answer rows with a version that may hold code."""
    predictor = open_version(folder / "in" / "version")
    np.save(folder / "out" / "answers.npy", predictor.predict(batches.load_batch(folder / "in" / "rows")))


def _training_data(folder: Path, task: Task) -> TrainingData:
    if task.signature is None:
        raise ValueError("a fit needs a signature")
    given = folder / "in"
    return TrainingData(
        signature=task.signature,
        rows=batches.load_batch(given / "training"),
        labels=batches.load_array(given / "training_labels.npy"),
        validation=batches.load_batch(given / "validation"),
        validation_labels=batches.load_array(given / "validation_labels.npy"),
        seed=task.seed,
        previous=given / "previous" if (given / "previous").is_dir() else None,
    )


def _save(trained: Trained, out: Path) -> tuple[str, str]:
    """(format of what is served, why it is Python where it is)."""
    python.save(trained, out / "python")
    target = out / "converted"
    target.mkdir()
    try:
        name = trained.save(target)
    except Exception as error:  # noqa: BLE001 - whatever a converter raises, the pickle is there
        traceback.print_exc()
        return "python", f"it does not convert ({type(error).__name__})"
    target.rename(out / name) if name != "python" else None
    return name, "" if name != "python" else "its algorithm has no other form"


def _failure(error: Exception) -> Failure:
    if isinstance(error, ModelyardError):
        return Failure(code=error.code, message=error.message, detail=error.detail, fields=tuple(error.fields))
    if isinstance(error, MemoryError):
        return Failure(
            code="out_of_memory", message="The algorithm needed more memory than it may use. Train on fewer rows."
        )
    text = (str(error).strip().splitlines() or [""])[0][:200]
    what = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return Failure(code="algorithm_failed", message=f"The algorithm failed ({what}). The job's log has the details.")


def _events_file() -> BinaryIO | None:
    """Where events go; None where nobody gave this process a descriptor for them."""
    try:
        mode = os.fstat(EVENTS).st_mode
    except OSError:
        return None
    return os.fdopen(EVENTS, "wb", closefd=False) if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) else None


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
