"""One algorithm tried: learned inside the sandbox, what came out checked like the stranger's that it is."""

import shutil
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelyard.algorithms.scoring import score
from modelyard.formats.batches import save_batch
from modelyard.protocol.jobs import CandidateSpec
from modelyard.worker import scratch
from modelyard.worker.child import FITTED, SPEC, Fitted, Task
from modelyard.worker.context import JobContext
from modelyard.worker.failures import JobFailed, failed
from modelyard.worker.training.loading import Loaded

CHILD = (sys.executable, "-P", "-m", "modelyard.worker.child", "/job")
LARGEST_FILE = 4 << 30
MOST_FILES = 1000


@dataclass(frozen=True, kw_only=True)
class Tried:
    """A candidate that learned, in the folder `work`. `test` is what its training pipeline answers to the test rows."""

    spec: CandidateSpec
    name: str
    work: Path
    fitted: Fitted
    validation: float
    test: NDArray[np.float32]


def attempt(
    context: JobContext, loaded: Loaded, spec: CandidateSpec, name: str, *,
    metric: str, seed: int, span: tuple[float, float], previous: Path | None = None,
) -> Tried:  # fmt: skip
    """Learn one candidate. Raises JobFailed where it does not learn, or answers what no model may."""
    work = context.scratch / "candidates" / name
    signature, parts = loaded.prepared.signature, loaded.prepared.parts
    task = Task(
        kind="fit", name=name, algorithm=spec.algorithm, parameters=spec.parameters, signature=signature, seed=seed,
    )  # fmt: skip
    _write_inputs(work, loaded, task)
    if previous is not None:
        shutil.copytree(previous, work / "in" / "previous")
    try:
        context.run_shut_in(CHILD, work=work, span=span)
        fitted = _fitted(work)
    except JobFailed:
        scratch.remove(work)
        raise
    judge = loaded.scenario.judge(loaded.prepared, "validation")
    validation = read_answers(work / "out" / "validation.npy", len(parts.validation.labels), judge.columns)
    test = read_answers(work / "out" / "test.npy", len(parts.test.labels), judge.columns)
    value = score(metric, judge, parts.validation.labels, validation) if len(validation) else float("nan")
    return Tried(spec=spec, name=name, work=work, fitted=fitted, validation=float(f"{value:.6g}"), test=test)


def names_of(specs: tuple[CandidateSpec, ...]) -> list[str]:
    """A short name for each candidate: the algorithm's, numbered where it comes again."""
    names: list[str] = []
    for spec in specs:
        short = spec.algorithm.rpartition("/")[2]
        same = sum(name.partition(" ")[0] == short for name in names)
        names.append(f"{short} {same + 1}" if same else short)
    return names


def read_answers(path: Path, rows: int, columns: int) -> NDArray[np.float32]:
    """Answers that a sandboxed process wrote. Raises JobFailed where they are not `rows` rows of finite numbers."""
    wrong = failed("bad_answers", "The algorithm did not answer every row with finite numbers. See the job's log.")
    if not _is_plain_file(path):
        raise wrong
    try:
        # Mapped, so that a header that lies about its size is noticed before memory is asked for.
        answers = np.load(path, mmap_mode="r", allow_pickle=False)
        if answers.shape != (rows, columns) or answers.dtype != np.float32 or not np.isfinite(answers).all():
            raise wrong
    except (ValueError, EOFError, OSError) as error:
        raise wrong from error
    return np.array(answers)


def collect(source: Path, target: Path) -> None:
    """Copy the plain files of a folder that a sandboxed process wrote; anything else is refused. Raises JobFailed."""
    if source.is_symlink() or not source.is_dir():
        raise failed("bad_answers", "The algorithm left no model. See the job's log.")
    try:
        for count, path in enumerate(source.rglob("*")):
            if path.is_dir() and not path.is_symlink():
                continue
            if count > MOST_FILES or not _is_plain_file(path):
                raise failed("bad_answers", "The algorithm left too many files, or one that is no plain file.")
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy, follow_symlinks=False)
    except RecursionError as error:
        raise failed("bad_answers", "The algorithm left folders that are nested too deeply.") from error


def write_task(work: Path, task: Task) -> None:
    """The folder of a sandboxed process with its task in it."""
    work.mkdir(parents=True, exist_ok=True)
    (work / SPEC).write_bytes(msgspec.json.encode(task))


def _write_inputs(work: Path, loaded: Loaded, task: Task) -> None:
    write_task(work, task)
    parts = loaded.prepared.parts
    for name, part in (("training", parts.training), ("validation", parts.validation)):
        save_batch(work / "in" / name, part.rows)
        np.save(work / "in" / f"{name}_labels.npy", part.labels)
    save_batch(work / "in" / "test", parts.test.rows)


def _fitted(work: Path) -> Fitted:
    path = work / "out" / FITTED
    try:
        if _is_plain_file(path):
            return msgspec.json.decode(path.read_bytes(), type=Fitted)
    except msgspec.DecodeError:
        pass
    raise failed("bad_answers", "The algorithm ended without a result. See the job's log.")


def _is_plain_file(path: Path) -> bool:
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size <= LARGEST_FILE
