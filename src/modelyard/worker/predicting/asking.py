"""A version asked for many rows: in this process where it is data, inside the sandbox where it holds code."""

import itertools
import os
import shutil
import stat
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelyard.formats._answers import is_finite
from modelyard.formats._columns import Column, columns_of
from modelyard.formats.base import Batch, RequestPredictor
from modelyard.formats.batches import save_batch
from modelyard.formats.codec import Codec
from modelyard.formats.folder import read_artifact, read_signature
from modelyard.formats.registry import open_version
from modelyard.worker import scratch
from modelyard.worker.context import JobContext
from modelyard.worker.failures import failed
from modelyard.worker.predicting import inside

AT_ONCE = 16_384
"""Rows of one call: memory stays bounded, and a call is short enough to be stopped after."""

MOST_THREADS = 4
LARGEST_FILE = 4 << 30
INSIDE = (sys.executable, "-P", "-m", inside.__name__, "/job")

Values = NDArray[np.float32]
Entries = list[dict[str, Any]]


class Asked(ABC):
    """A version that answers rows with columns, one value for each row or for each entry of its answer."""

    def __init__(self, folder: Path, parameters: dict[str, Any]) -> None:
        self.signature = read_signature(folder)
        self._codec = Codec(self.signature)
        self._parameters = parameters

    @property
    def together(self) -> bool:
        """Whether the rows of one request belong together."""
        return bool(self.signature.example_request)

    @abstractmethod
    def answer(self, batch: Batch) -> Values | Entries:
        """What the model says. Raises JobFailed, and Invalid where rows or parameters cannot be answered."""

    def columns(self, batch: Batch) -> list[Column]:
        """The answers to these rows. Raises as `answer`."""
        found = self.answer(batch)
        if isinstance(found, list):
            return columns_of(_checked(found))
        if len(found) != batch.rows or not np.isfinite(found).all():
            raise failed("bad_answers", "The model did not answer every row with finite numbers. Train it again.")
        options = self._codec.options(self._parameters) if self._parameters else None
        return self._codec.wording.columns(found, options)


class OfData(Asked):
    """A version that is data, in this process."""

    def __init__(self, folder: Path, parameters: dict[str, Any]) -> None:
        super().__init__(folder, parameters)
        self._predictor = open_version(folder, threads=min(MOST_THREADS, len(os.sched_getaffinity(0))))
        if isinstance(self._predictor, RequestPredictor):
            self._options = Codec.of(self._predictor).options(parameters)

    @property
    def together(self) -> bool:
        return isinstance(self._predictor, RequestPredictor)

    def answer(self, batch: Batch) -> Values | Entries:
        if isinstance(self._predictor, RequestPredictor):
            return self._predictor.answer(batch, self._options)
        ranges = [slice(at, at + AT_ONCE) for at in range(0, batch.rows, AT_ONCE)]
        return np.concatenate(
            [self._predictor.predict(Batch(batch.numbers[some], batch.strings[some])) for some in ranges]
        )


class OfCode(Asked):
    """A version that holds code: a process inside the sandbox for each call. `span` is how far the job is meanwhile."""

    def __init__(self, folder: Path, parameters: dict[str, Any], context: JobContext) -> None:
        super().__init__(folder, parameters)
        self._folder, self._context = folder, context
        self._calls = itertools.count()
        self.fraction = 0.0

    def answer(self, batch: Batch) -> Values | Entries:
        work = self._context.scratch / "asked" / str(next(self._calls))
        (work / "out").mkdir(parents=True)
        shutil.copytree(self._folder, work / "version")
        save_batch(work / "rows", batch)
        (work / "options.json").write_bytes(msgspec.json.encode(self._parameters))
        self._context.run_shut_in(INSIDE, work=work, span=(self.fraction, self.fraction))
        entries = work / "out" / "entries.msgpack"
        found = _entries(entries) if entries.exists() else _values(work / "out" / "answers.npy")
        scratch.remove(work)
        return found


def open_asked(folder: Path, parameters: dict[str, Any], context: JobContext) -> Asked:
    """The version in a verified folder. Raises Broken."""
    if read_artifact(folder).isolated:
        return OfCode(folder, parameters, context)
    return OfData(folder, parameters)


def _checked(entries: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    if any(entry.keys() != entries[0].keys() for entry in entries) or not all(map(is_finite, entries)):
        raise failed(
            "bad_answers", "The model answered with numbers that are none, or unequal entries. Train it again."
        )
    return entries


def _values(path: Path) -> Values:
    """What a process that is shut in wrote: a stranger's file."""
    wrong = failed("bad_answers", "The model did not answer every row with numbers. See the job's log.")
    try:
        # Mapped, so that a header that lies about its size is noticed before memory is asked for.
        found = np.load(_plain(path), mmap_mode="r", allow_pickle=False)
        if found.ndim != 2 or found.dtype != np.float32:
            raise wrong
        return np.array(found)
    except (ValueError, EOFError, OSError) as error:
        raise wrong from error


def _entries(path: Path) -> Entries:
    try:
        found = msgspec.msgpack.decode(_plain(path).read_bytes(), type=list[dict[str, Any]])
        # What JSON has no word for is found here, not when it is written.
        msgspec.json.encode(found)
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError, OSError) as error:
        raise failed("bad_answers", "The model answered what is no list of entries. See the job's log.") from error
    return found


def _plain(path: Path) -> Path:
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST_FILE:
        raise ValueError("it is no plain file")
    return path
