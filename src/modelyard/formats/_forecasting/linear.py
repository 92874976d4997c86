"""One linear map from the last values of any series to the next ones.

Each window of values is centred and divided by its spread, so that one map serves series of every size. With the ridge
it is learned by, it is the closed form of what DLinear and its kin learn by descent (Zeng et al. 2023, Toner and
Darlow 2024).
"""

from typing import NamedTuple

import numpy as np

from modelyard.formats._forecasting.block import Block, Floats


class LinearMap(NamedTuple):
    """`weights`: shape (values looked back at + 1, steps ahead); the last row is what is added."""

    weights: Floats

    @property
    def lookback(self) -> int:
        """How many values it looks at."""
        return len(self.weights) - 1

    def forecast(self, block: Block, horizon: int) -> Floats:
        """What follows, shape (series, horizon): NaN for series that are too short, the map again for what is far."""
        window = block.last(self.lookback)
        found = [np.zeros((block.series, 0))]
        for _ in range(-(-horizon // self.weights.shape[1])):
            shifted, centre, width = normalised(window)
            found.append((shifted @ self.weights[:-1] + self.weights[-1]) * width + centre)
            window = np.concatenate([window, found[-1]], axis=1)[:, -self.lookback :]
        return np.concatenate(found, axis=1)[:, :horizon]


def normalised(windows: Floats) -> tuple[Floats, Floats, Floats]:
    """Windows around 0 with a spread of 1, and the centres and spreads they had."""
    centre = windows.mean(axis=1, keepdims=True)
    width = windows.std(axis=1, keepdims=True)
    width = np.where(width > 1e-12, width, 1.0)
    return (windows - centre) / width, centre, width
