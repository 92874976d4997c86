"""Seam: a way to keep a trained model in a folder, load it, and call it.

A format never sees HTTP or a data frame: it is given a `Batch` in the order of the signature and answers arrays.
"""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelyard.protocol.signature import Signature


class Batch(NamedTuple):
    """Rows in the order of the signature.

    `numbers`: float32, shape (rows, len(signature.numeric_inputs)); missing is NaN, booleans are 0 and 1.
    `strings`: object, shape (rows, len(signature.string_inputs)); every element a str, missing is "".
    """

    numbers: NDArray[np.float32]
    strings: NDArray[np.object_]

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.numbers)


class Predictor(ABC):
    """A loaded version. Not thread-safe: one caller at a time."""

    signature: Signature

    @abstractmethod
    def predict(self, batch: Batch) -> NDArray[np.float32]:
        """One row of answers for each row of the batch.

        classification: probabilities, shape (rows, classes)
        regression: values, shape (rows, 1)
        anomaly detection: score (higher is odder), severity (0 to 1), flag (0 or 1), shape (rows, 3)
        time series prediction: value, lower, upper, shape (rows, 3), for the rows whose value is NaN; the other rows
        are history, and get NaN
        log clustering: the number of the cluster, -1 where none fits, shape (rows, 1)
        """


class NoOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A predictor that lets nothing be chosen."""


class RequestPredictor(Predictor):
    """A predictor for which the rows of one request belong together, as those of a series do.

    Requests are never joined for it, and it words its own answers. `Options` is what a request may choose in its
    `parameters`: a msgspec.Struct, frozen, that forbids unknown fields and has a default for each of its fields.
    """

    Options: ClassVar[type[msgspec.Struct]] = NoOptions

    @abstractmethod
    def answer(self, batch: Batch, options: Any) -> list[dict[str, Any]]:
        """The entries of `predictions` for the rows of one request: JSON-ready, all with the same keys.

        Raises Invalid, saying what is wrong with the rows, where they cannot be answered.
        """

    def extended(self, batch: Batch, folder: Path) -> "RequestPredictor":  # noqa: ARG002
        """The predictor that also knows rows which follow on those of training, written into the version's folder.

        Nothing is learned from them: a request is answered as if they had been there when it was trained. Where
        answers do not depend on what came before, it is this one.
        """
        return self


class Format(ABC):
    """How one kind of version folder is read."""

    @abstractmethod
    def load(self, folder: Path, *, threads: int = 1) -> Predictor:
        """The predictor in `folder` (see protocol/artifact.py). Raises Broken where the folder is damaged."""
