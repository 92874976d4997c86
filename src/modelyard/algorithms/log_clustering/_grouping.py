"""How well found groups agree with the true ones."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.algorithms.scoring import rightly_grouped


def grouping_accuracy(truth: NDArray[Any], found: NDArray[Any]) -> float:
    """The share of lines whose found group holds exactly the lines of their true group (Zhu et al. 2019), 0 to 1.

    `truth` and `found`: a number for each line, shape (lines,). Without lines 1.
    """
    if truth.shape != found.shape or truth.ndim != 1:
        raise ValueError(f"one number for each line is wanted, got shapes {truth.shape} and {found.shape}")
    if not len(truth):
        return 1.0
    return float(np.mean(rightly_grouped(truth, found)))
