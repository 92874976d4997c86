"""From a batch to the matrix that detectors of odd rows look at: numbers on a robust scale, categories by rarity.

What was learned is data. A row's values never depend on the rows beside it.
"""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelyard.formats.base import Batch

Matrix = NDArray[np.float64]

FARTHEST = 1e6
"""How far from the centre a value counts, in scales: keeps whatever is computed from it finite."""


class Rarity(msgspec.Struct, frozen=True):
    """A category column: minus the logarithm of each value's share of the training rows, and that of a new value."""

    column: int
    values: dict[str, float]
    unseen: float


class Columns(msgspec.Struct, frozen=True):
    """Which columns are looked at, and on what scale.

    `numbers` are places in `Batch.numbers`. `centre` and `scale` have one entry for each number, then one for each of
    `rarities`. A missing number lies at the centre: it is not odd by itself.
    """

    numbers: tuple[int, ...]
    rarities: tuple[Rarity, ...]
    centre: tuple[float, ...]
    scale: tuple[float, ...]

    @property
    def width(self) -> int:
        """How many columns the matrix has."""
        return len(self.numbers) + len(self.rarities)

    def check(self, numbers: int, strings: int) -> None:
        """Raises ValueError unless this fits a batch of so many columns."""
        fits = all(0 <= place < numbers for place in self.numbers)
        fits = fits and all(0 <= rarity.column < strings for rarity in self.rarities)
        positive = all(np.isfinite(value) and value > 0 for value in self.scale)
        if not (fits and positive and self.width and len(self.centre) == len(self.scale) == self.width):
            raise ValueError("its columns are not those of the signature")


class Scaler:
    """Computes what `columns` say."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self._numbers = list(columns.numbers)
        self._centre = np.array(columns.centre, np.float64)
        self._scale = np.array(columns.scale, np.float64)

    def __call__(self, batch: Batch) -> Matrix:
        """Shape (rows, width), finite, float64."""
        raw = raw_values(batch, self._numbers, self.columns.rarities)
        values = (raw - self._centre) / self._scale
        values[np.isnan(values)] = 0.0
        np.clip(values, -FARTHEST, FARTHEST, out=values)
        return values

    def __getstate__(self) -> dict[str, Any]:
        return {"columns": self.columns}

    def __setstate__(self, state: dict[str, Any]) -> None:
        Scaler.__init__(self, state["columns"])


def raw_values(batch: Batch, numbers: list[int], rarities: tuple[Rarity, ...]) -> Matrix:
    """Numbers and rarities before they are scaled; missing numbers are NaN."""
    raw = np.empty((batch.rows, len(numbers) + len(rarities)))
    raw[:, : len(numbers)] = batch.numbers[:, numbers]
    for place, rarity in enumerate(rarities, start=len(numbers)):
        known, unseen = rarity.values, rarity.unseen
        raw[:, place] = [known.get(value, unseen) for value in batch.strings[:, rarity.column].tolist()]
    return raw
