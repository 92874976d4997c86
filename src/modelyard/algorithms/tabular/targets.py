"""What the learners of numbers ask about a target."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

SKEWED = 1.0
"""Skewness from which on the logarithm is worth a trial; a symmetric distribution has 0, an exponential one 2."""


def skewed(labels: NDArray[Any], validation: NDArray[Any]) -> bool:
    """Whether log(1 + target) is defined for every row, and the target has a long upper tail."""
    values = labels.astype(np.float64)
    spread = values.std()
    if not len(validation) or spread == 0 or min(values.min(), validation.min()) < 0:
        return False
    return bool(np.mean(((values - values.mean()) / spread) ** 3) > SKEWED)
