"""Format: detectors of odd rows, one or several together. Data only: safe to load in any process.

`anomaly.json` says which columns are looked at and how scores become answers; `anomaly.npz` holds the arrays. One
detector answers its own score. Several are brought on one scale first: minus the logarithm of how often a training row
scored as high (0.7 for the median, 3 for one row of 20, 4.6 for one of 100). Then the score is the largest, or the
weighted mean.
"""

import zipfile
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelyard.core.errors import Broken
from modelyard.formats._anomaly_columns import Columns, Matrix, Scaler
from modelyard.formats._anomaly_detectors import KINDS, Detector
from modelyard.formats.base import Batch, Format, Predictor
from modelyard.formats.folder import read_signature
from modelyard.protocol.signature import Signature

FILE = "anomaly.json"
ARRAYS = "anomaly.npz"
NAME = "anomaly"

Combination = Literal["largest", "mean"]


class Ladder(msgspec.Struct, frozen=True):
    """How often training rows scored as high: rising `scores` with their `tails` (-log of the share), and beyond."""

    scores: tuple[float, ...]
    tails: tuple[float, ...]
    slope: float


class Judgement(msgspec.Struct, frozen=True):
    """From scores to answers: rows above `threshold` are anomalies; `usual` is the median score of training."""

    threshold: float
    usual: float


class Description(msgspec.Struct, frozen=True):
    """`anomaly.json`."""

    columns: Columns
    kinds: tuple[str, ...]
    ladders: tuple[Ladder, ...]
    weights: tuple[float, ...]
    combination: Combination
    judgement: Judgement


class Anomaly(Format):
    """Reads `anomaly.json` and `anomaly.npz`."""

    def load(self, folder: Path, *, threads: int = 1) -> Predictor:  # noqa: ARG002
        signature = read_signature(folder)
        try:
            description = msgspec.json.decode((folder / FILE).read_bytes(), type=Description)
            description.columns.check(len(signature.numeric_inputs), len(signature.string_inputs))
            with (folder / ARRAYS).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                detectors = [
                    KINDS[kind](
                        {name: arrays[f"{place}.{name}"] for name in KINDS[kind].needs}, description.columns.width
                    )
                    for place, kind in enumerate(description.kinds)
                ]
            return RowAnomalies(signature, description, detectors)
        except (OSError, msgspec.DecodeError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise Broken(f"{folder.name}/{FILE} cannot be loaded: {error}. Train the version again.") from error


class RowAnomalies(Predictor):
    """Score, severity and flag of rows that are judged one by one.

    The severity is 0 up to the median score of training, 0.5 at the threshold, and near 1 far beyond it.
    """

    def __init__(self, signature: Signature, description: Description, detectors: list[Detector]) -> None:
        several = len(detectors) > 1
        if not detectors or len(description.kinds) != len(detectors) or len(description.weights) != len(detectors):
            raise ValueError("it has not as many weights as detectors")
        if several and len(description.ladders) != len(detectors):
            raise ValueError("it has not as many scales as detectors")
        self.signature = signature
        self.description = description
        self.detectors = detectors
        self._scaler = Scaler(description.columns)
        self._ladders = [_Rungs(ladder) for ladder in description.ladders] if several else []

    def predict(self, batch: Batch) -> NDArray[np.float32]:
        scores = self.scores(batch)
        return np.column_stack(answers(scores, self.description.judgement)).astype(np.float32)

    def scores(self, batch: Batch) -> NDArray[np.float64]:
        """How odd each row is, shape (rows,)."""
        return self.combined(self.parts(batch))

    def parts(self, batch: Batch) -> NDArray[np.float64]:
        """What each detector says: its score, or where there are several their tails, shape (detectors, rows)."""
        return self.parts_of(self._scaler(batch))

    def parts_of(self, values: Matrix) -> NDArray[np.float64]:
        """The same from scaled values, shape (rows, width)."""
        found = [detector.score(values) for detector in self.detectors]
        if self._ladders:
            found = [ladder(scores) for ladder, scores in zip(self._ladders, found, strict=True)]
        return np.array(found).reshape(len(found), len(values))

    def combined(self, parts: NDArray[np.float64]) -> NDArray[np.float64]:
        """One score for each row from what the detectors say, rounded as it is answered."""
        if self.description.combination == "largest":
            heard = [part for part, weight in zip(parts, self.description.weights, strict=True) if weight > 0]
            score: NDArray[np.float64] = np.max(heard, axis=0)
        else:
            score = np.zeros(parts.shape[1])
            # Added one by one: a product of matrices rounds otherwise for one row than for many.
            for part, weight in zip(parts, self.description.weights, strict=True):
                score = score + weight * part
        rounded: NDArray[np.float64] = score.astype(np.float32).astype(np.float64)
        return rounded

    def save(self, folder: Path) -> str:
        """Write it into a version folder; the name of this format."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FILE).write_bytes(msgspec.json.encode(self.description))
        arrays = {
            f"{place}.{name}": array
            for place, detector in enumerate(self.detectors)
            for name, array in detector.arrays.items()
        }
        with (folder / ARRAYS).open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        return NAME


def answers(
    scores: NDArray[np.float64], judgement: Judgement
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Score, severity and flag of each row."""
    reach = max(judgement.threshold - judgement.usual, 1e-12)
    ahead = (scores - judgement.threshold) / reach
    below = 0.5 * np.maximum(1.0 + ahead, 0.0)
    above = 1.0 - 0.5 * np.exp(-np.maximum(ahead, 0.0))
    severity = np.where(ahead > 0, above, np.minimum(below, 0.5))
    return scores, severity, (scores > judgement.threshold).astype(np.float64)


class _Rungs:
    """A ladder, ready to be climbed."""

    def __init__(self, ladder: Ladder) -> None:
        self._scores = np.array(ladder.scores, np.float64)
        self._tails = np.array(ladder.tails, np.float64)
        self._slope = ladder.slope
        if not len(self._scores) or self._scores.shape != self._tails.shape or (np.diff(self._scores) <= 0).any():
            raise ValueError("the scale of a detector does not rise")

    def __call__(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        tails = np.interp(scores, self._scores, self._tails)
        # Beyond the training rows the tail goes on, flatter and flatter: one detector does not drown the others.
        beyond = np.maximum(scores - self._scores[-1], 0.0) * self._slope
        found: NDArray[np.float64] = tails + np.log1p(beyond)
        return found
