"""Seam: a way to keep a trained model in a folder, load it, and call it.

A format never sees HTTP or a data frame: it is given a `Batch` in the order of the signature and answers arrays.
"""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import NamedTuple

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
        """Classification: probabilities, shape (rows, classes). Regression: values, shape (rows, 1)."""


class Format(ABC):
    """How one kind of version folder is read."""

    @abstractmethod
    def load(self, folder: Path, *, threads: int = 1) -> Predictor:
        """The predictor in `folder` (see protocol/artifact.py). Raises Broken where the folder is damaged."""
