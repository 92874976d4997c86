"""Choosing and joining rows."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.formats.base import Batch


def joined(batches: list[Batch]) -> Batch:
    """All rows, in order."""
    return Batch(*(np.concatenate(parts) for parts in zip(*batches, strict=True)))


def taken(batch: Batch, rows: NDArray[Any]) -> Batch:
    """Some rows of a batch: places, or a mask."""
    return Batch(batch.numbers[rows], batch.strings[rows])
