"""The form in which the chosen candidate is served, and whether it answers as the training pipeline did."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from modelyard.algorithms.scenarios.base import Predict
from modelyard.algorithms.tabular.rows import taken
from modelyard.core.errors import Broken
from modelyard.formats import folder as folders
from modelyard.formats.base import Batch, Predictor, RequestPredictor
from modelyard.formats.batches import save_batch
from modelyard.formats.registry import open_version
from modelyard.protocol.artifact import DESCRIPTION, SIGNATURE, Artifact
from modelyard.protocol.signature import Signature
from modelyard.worker import scratch
from modelyard.worker.child import Task
from modelyard.worker.context import JobContext
from modelyard.worker.training.candidates import CHILD, Tried, collect, read_answers, write_task

EXACT = 1e-6
"""Up to this relative difference the served form and the training pipeline count as the same."""

TOLERATED = 1e-4
"""Up to this one a warning is enough; beyond, the training pipeline itself is served."""

PIECE = 65_536
TIMED_ROWS = 32
TIMED_CALLS = 200


@dataclass(frozen=True, kw_only=True)
class Served:
    """The served form: its description, how to ask it, and how far it is from the training pipeline.

    `predictor` is there where it is only data, and was loaded here.
    """

    artifact: Artifact
    predict: Predict
    parity: float
    warnings: tuple[str, ...]
    predictor: Predictor | None = None


def serve(
    context: JobContext, tried: Tried, signature: Signature, held_out: Batch, described: Artifact, folder: Path, *,
    fraction: float,
) -> Served:  # fmt: skip
    """Put the candidate's files into the version folder, in the form that may be served.

    A form of data is loaded here; one that holds code is only ever asked inside the sandbox. `held_out` are the rows of
    `tried.test`; `fraction` is how far the job is.
    """
    reason = tried.fitted.reason
    if tried.fitted.format != "python":
        collect(tried.work / "out" / tried.fitted.format, folder)
        _describe(folder, signature, replace(described, format=tried.fitted.format))
        try:
            predictor = open_version(folder)
            parity = difference(_in_pieces(predictor, held_out), tried.test)
        except Broken as error:
            reason = f"its {tried.fitted.format} form cannot be loaded ({error.message[:200]})"
        else:
            if parity <= TOLERATED:
                return _of_data(folder, predictor, held_out, parity, tried.fitted.format, described)
            reason = f"its {tried.fitted.format} form answers up to {parity:.1e} differently"
        shutil.rmtree(folder)
        folder.mkdir()
    return _of_code(context, tried, signature, held_out, described, folder, reason, fraction)


def difference(served: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """The largest relative difference of any answer, by the expected one's size; infinite where the shapes differ."""
    if served.shape != expected.shape or not np.isfinite(served).all():
        return float("inf")
    wide = expected.astype(np.float64)
    smallest = float(np.finfo(np.float32).tiny)
    return float(np.max(np.abs(served - wide) / np.maximum(np.abs(wide), smallest), initial=0.0))


def _in_pieces(predictor: Predictor, rows: Batch) -> NDArray[np.float32]:
    """All answers, with memory for some rows at a time where rows stand for themselves."""
    if isinstance(predictor, RequestPredictor):
        return predictor.predict(rows)
    pieces = [taken(rows, np.arange(at, min(at + PIECE, rows.rows))) for at in range(0, rows.rows, PIECE)]
    return np.concatenate([predictor.predict(piece) for piece in pieces])


def measure(predictor: Predictor, rows: Batch) -> float:
    """Microseconds of one call for 32 rows, the median of many."""
    whole = isinstance(predictor, RequestPredictor)
    batch = taken(rows, np.arange(min(TIMED_ROWS, rows.rows)) if whole else np.arange(TIMED_ROWS) % rows.rows)
    times: list[float] = []
    end = time.monotonic() + 1.0
    while len(times) < TIMED_CALLS and time.monotonic() < end:
        started = time.perf_counter()
        predictor.predict(batch)
        times.append(time.perf_counter() - started)
    return round(float(np.median(times)) * 1e6, 1)


def _of_data(
    folder: Path, predictor: Predictor, held_out: Batch, parity: float, form: str, described: Artifact
) -> Served:
    micros = measure(predictor, held_out)
    artifact = replace(described, format=form, micros_32_rows=micros)
    folders.write(folder / DESCRIPTION, artifact)
    inexact = f"The served form differs from the training pipeline by up to {parity:.1e}: rounding of single precision."
    return Served(
        artifact=artifact,
        predict=predictor.predict,
        predictor=predictor,
        parity=parity,
        warnings=(inexact,) if parity > EXACT else (),
    )


def _of_code(
    context: JobContext, tried: Tried, signature: Signature, held_out: Batch, described: Artifact, folder: Path,
    reason: str, fraction: float,
) -> Served:  # fmt: skip
    collect(tried.work / "out" / "python", folder)
    artifact = replace(described, format="python", isolated=True)
    _describe(folder, signature, artifact)
    ask = _ShutIn(context, folder, tried.test.shape[1], fraction)
    warning = f"Served as Python inside a sandbox, which is slower: {reason}."
    return Served(artifact=artifact, predict=ask, parity=difference(ask(held_out), tried.test), warnings=(warning,))


class _ShutIn:
    """Asks a version that holds code, inside the sandbox: one process for each call."""

    def __init__(self, context: JobContext, folder: Path, columns: int, fraction: float) -> None:
        self._context, self._folder, self._columns, self._fraction = context, folder, columns, fraction
        self._calls = 0

    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        work = self._context.scratch / "asked" / str(self._calls)
        self._calls += 1
        write_task(work, Task(kind="predict"))
        shutil.copytree(self._folder, work / "in" / "version")
        save_batch(work / "in" / "rows", batch)
        self._context.run_shut_in(CHILD, work=work, span=(self._fraction, self._fraction))
        answers = read_answers(work / "out" / "answers.npy", batch.rows, self._columns)
        scratch.remove(work)
        return answers


def _describe(folder: Path, signature: Signature, artifact: Artifact) -> None:
    folders.write(folder / SIGNATURE, signature)
    folders.write(folder / DESCRIPTION, artifact)
