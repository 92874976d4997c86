"""Recipe: the rows of a table, predicted piece by piece.

Each piece becomes an object as soon as it is done, and a checkpoint names it: a worker that takes over goes on behind
it. Rows of a series belong together, so these are one piece.
"""

import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from modelyard.formats.base import Batch
from modelyard.protocol.batch import Left, Piece, Predicted, PredictSpec
from modelyard.protocol.intake import ImportedFiles, ImportSpec
from modelyard.protocol.jobs import Checkpoint, LogLine, Progress
from modelyard.serving.folders import fetch, release
from modelyard.worker.context import JobContext, Recipe
from modelyard.worker.failures import failed
from modelyard.worker.predicting.asking import Asked, OfCode, open_asked
from modelyard.worker.predicting.tables import Span, Tables
from modelyard.worker.predicting.writing import join, kept_names, write_piece

PIECE_ROWS = 50_000
MOST_WHOLE = 2_000_000
"""Rows that may belong together."""

READ, PREDICTED = 0.1, 0.95
"""How far a job is after each step."""

LOGS, SERIES = "log-clustering", "time-series-prediction"
IMPORT = (sys.executable, "-P", "-m", "modelyard.features.datasets.importers.run", "/job")
LARGEST_NOTE = 64 << 20


class Predict(Recipe):
    """Predicts what a PredictSpec names."""

    def run(self, context: JobContext) -> dict[str, Any]:
        spec = msgspec.convert(context.spec.payload, PredictSpec)
        folder = fetch(spec.version, context.objects, context.settings.data / "cache" / "versions")
        try:
            return _Run(context, spec, open_asked(folder, spec.parameters, context)).result()
        finally:
            release(folder)


class _Run:
    """One run; what its steps share."""

    def __init__(self, context: JobContext, spec: PredictSpec, asked: Asked) -> None:
        self.context, self.spec, self.asked = context, spec, asked
        self.begun = self.predicting = time.monotonic()
        self.left = msgspec.convert(context.spec.checkpoint or {}, Left)

    def result(self) -> dict[str, Any]:
        """Read, predict, join."""
        self._progress("reading the rows", 0.0)
        tables = Tables(self._fetched(self._keys()), self.asked.signature)
        self._check(tables)
        self._predict_all(tables)
        made: dict[str, Any] = msgspec.to_builtins(self._joined())
        return made

    def _keys(self) -> tuple[str, ...]:
        """The tables' keys; those of a file are made first."""
        if self.spec.file is None:
            return self.spec.tables
        if not self.left.tables:
            self._leave(tables=self._imported(self.spec.file))
        return self.left.tables

    def _imported(self, key: str) -> tuple[str, ...]:
        work = self.context.scratch / "import"
        (work / "in").mkdir(parents=True)
        (work / "out").mkdir()
        self.context.objects.download(key, work / "in" / "original")
        scenario = self.asked.signature.scenario
        told = ImportSpec(
            file="in/original",
            filename=self.spec.filename,
            columns_limit=self.spec.columns_limit,
            # Of other scenarios the importer would ask for what is to be predicted.
            scenario=scenario if scenario == LOGS else "",
            on_error=self.spec.on_error,
            unpacked_limit=self.spec.unpacked_limit,
        )
        (work / "spec.json").write_bytes(msgspec.json.encode(told))
        self.context.run_shut_in(IMPORT, work=work, span=(0.0, READ))
        return tuple(self._kept(work / "out", number, sample.folder) for number, sample in enumerate(_samples(work)))

    def _kept(self, out: Path, number: int, folder: str) -> str:
        path = out / folder / "table.parquet"
        if "/" in folder or folder.startswith(".") or not _is_plain(path):
            raise failed("unreadable", "Reading the file left no table. See the job's log.")
        key = f"{self.spec.place}/table-{number}.parquet"
        self.context.objects.put(key, path)
        return key

    def _fetched(self, keys: tuple[str, ...]) -> list[Path]:
        folder = self.context.scratch / "tables"
        folder.mkdir(parents=True)
        paths = []
        for number, key in enumerate(keys):
            paths.append(folder / f"{number}.parquet")
            self.context.objects.download(key, paths[-1])
            self._progress("reading the rows", READ * (number + 1) / len(keys))
        return paths

    def _check(self, tables: Tables) -> None:
        """Note the rows that do not fit. Raises JobFailed where there may be none."""
        if not tables.rows:
            raise failed("no_rows", "The table has no rows. Add at least one.")
        count, problems = tables.problems()
        if not count:
            return
        first = problems[0]
        told = f'Row {first["row"]}, column "{first["column"]}": {first["message"]}'
        if self.spec.on_error == "strict":
            raise failed(
                "rows_do_not_fit",
                f"{count:,} of {tables.rows:,} rows do not fit. {told} Correct them, or choose on_error=tolerant.",
                rows=count, problems=problems,
            )  # fmt: skip
        self._log(f"{count:,} rows do not fit and stay without a prediction. {told}")
        self._leave(problems=tuple(problems))

    def _predict_all(self, tables: Tables) -> None:
        spans = self._spans(tables)
        self.predicting = time.monotonic()
        done, rows = 0, sum(piece.read for piece in self.left.pieces)
        for number, span in enumerate(spans, start=len(self.left.pieces)):
            fraction = READ + (PREDICTED - READ) * (rows + done) / tables.rows
            self._tell(rows + done, done, tables.rows, fraction)
            if isinstance(self.asked, OfCode):
                self.asked.fraction = fraction
            piece = self._predicted(tables, span, number)
            done += piece.read
            self._leave(pieces=(*self.left.pieces, piece))
        self._tell(rows + done, done, tables.rows, PREDICTED)

    def _spans(self, tables: Tables) -> list[Span]:
        after = sum(piece.read for piece in self.left.pieces)
        scenario = self.asked.signature.scenario
        if not self.asked.together or scenario == LOGS:
            return list(tables.spans(PIECE_ROWS, after=after))
        if tables.rows > MOST_WHOLE:
            raise failed(
                "too_many_rows",
                f"The table has {tables.rows:,} rows that belong together; {MOST_WHOLE:,} are taken at once. Predict "
                "fewer series at a time.",
            )
        return [] if after else [Span(None, 0, tables.rows)]

    def _predicted(self, tables: Tables, span: Span, number: int) -> Piece:
        batch, unfit = tables.read(span)
        fitting = _taken(batch, ~unfit) if unfit.any() else batch
        answers = self.asked.columns(fitting) if fitting.rows else []
        count = len(answers[0].values) if answers else 0
        own = self.asked.signature.scenario != SERIES and count == fitting.rows and count > 0
        source = tables.source(span) if own else None
        work = self.context.scratch / "pieces" / str(number)
        key = f"{self.spec.place}/piece-{number:06}.parquet"
        if own or count:
            renamed = kept_names(list(tables.types), answers)
            if number == 0 and own and any(old != new for old, new in renamed.items()):
                told = ", ".join(f"{old} is called {new}" for old, new in renamed.items() if old != new)
                self._log(f"Columns that have the name of an answer are renamed: {told}.")
            self.context.objects.put(key, write_piece(work, answers, source, list(tables.types), unfit))
        elif unfit.all():
            self.context.objects.put(key, write_piece(work, [], tables.source(span), list(tables.types), unfit))
        else:
            raise failed("no_predictions", "The model predicted nothing for these rows: none of them asks for a value.")
        return Piece(key=key, read=batch.rows, rows=batch.rows if source else count, unfit=int(unfit.sum()))

    def _joined(self) -> Predicted:
        self._progress("joining the pieces", PREDICTED)
        folder = self.context.scratch / "joined"
        folder.mkdir()
        paths = []
        for number, piece in enumerate(self.left.pieces):
            paths.append(folder / f"{number}.parquet")
            self.context.objects.download(piece.key, paths[-1])
        target = folder / f"result.{self.spec.output}"
        rows = join(paths, self.spec.output, target)
        key = f"{self.spec.place}/result.{self.spec.output}"
        size = self.context.objects.put(key, target)
        for piece in self.left.pieces:
            self.context.objects.delete(piece.key)
        for table in self.left.tables:
            self.context.objects.delete(table)
        return Predicted(
            key=key,
            size=size,
            rows=rows,
            unfit=sum(piece.unfit for piece in self.left.pieces),
            seconds=round(time.monotonic() - self.begun, 2),
            problems=self.left.problems,
        )

    def _leave(self, **changes: Any) -> None:
        self.left = msgspec.structs.replace(self.left, **changes)
        self.context.report(Checkpoint(data=msgspec.to_builtins(self.left)))

    def _tell(self, rows: int, done: int, total: int, fraction: float) -> None:
        seconds = time.monotonic() - self.predicting
        speed = done / seconds if done else 0.0
        told = f", {speed:,.0f} rows/s" if speed else ""
        eta = (total - rows) / speed if speed else None
        self._progress(f"predicted {rows:,} of {total:,} rows{told}", fraction, eta)

    def _progress(self, phase: str, fraction: float, eta: float | None = None) -> None:
        self.context.report(Progress(phase=phase, fraction=fraction, eta_seconds=eta))

    def _log(self, line: str) -> None:
        self.context.report(LogLine(line=line, at=time.time(), stream="platform"))


def _taken(batch: Batch, rows: np.ndarray[Any, np.dtype[np.bool_]]) -> Batch:
    return Batch(batch.numbers[rows], batch.strings[rows])


def _samples(work: Path) -> list[Any]:
    """What the importer says that it made: a stranger's file."""
    path = work / "out" / "samples.json"
    if not _is_plain(path) or path.stat().st_size > LARGEST_NOTE:
        raise failed("unreadable", "Reading the file left no table. See the job's log.")
    try:
        return list(msgspec.json.decode(path.read_bytes(), type=ImportedFiles).files)
    except msgspec.DecodeError as error:
        raise failed("unreadable", "Reading the file left no table. See the job's log.") from error


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()
