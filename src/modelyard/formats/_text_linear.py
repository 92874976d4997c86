"""A linear model over counted words and pieces of words: what the format `text` serves without a neural network.

Kept as `linear.json` (what is counted, the terms) and `linear.npz` (buckets, weights, slopes, intercepts).
"""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelyard.core.errors import Broken
from modelyard.formats._text_features import BUCKETS, Counter, Recipe, Vocabulary

DESCRIPTION, ARRAYS = "linear.json", "linear.npz"
AT_ONCE = 2_000_000
"""Products that are summed at once: what bounds the memory."""


class Described(msgspec.Struct, frozen=True):
    """What `linear.json` says."""

    recipe: Recipe
    terms: tuple[str, ...]


class Linear:
    """Raw scores of texts: their features times `slopes` (float32, shape (columns, scores)) plus `intercepts`."""

    def __init__(self, counter: Counter, slopes: NDArray[np.float32], intercepts: NDArray[np.float64]) -> None:
        self.counter = counter
        self.slopes = slopes
        self.intercepts = intercepts

    def __call__(self, texts: list[str]) -> NDArray[np.float64]:
        """Shape (texts, scores). A text's scores do not depend on the others."""
        rows = self.counter(texts)
        scores = len(self.intercepts)
        raw = np.zeros((len(texts), scores))
        starts, most = rows.starts, max(1, AT_ONCE // scores)
        first = 0
        while first < len(texts):
            last = max(first + 1, int(np.searchsorted(starts, starts[first] + most, side="right")) - 1)
            part = slice(starts[first], starts[last])
            products = self.slopes[rows.columns[part]] * rows.values[part, None].astype(np.float64)
            filled = np.flatnonzero(starts[first:last] < starts[first + 1 : last + 1])
            if len(filled):
                raw[first + filled] = np.add.reduceat(products, starts[first + filled] - starts[first], axis=0)
            first = last
        return raw + self.intercepts

    def save(self, folder: Path) -> None:
        """Write the two files."""
        vocabulary = self.counter.vocabulary
        described = Described(self.counter.recipe, vocabulary.terms)
        (folder / DESCRIPTION).write_bytes(msgspec.json.encode(described))
        np.savez(
            folder / ARRAYS,
            buckets=vocabulary.buckets,
            weights=vocabulary.weights,
            slopes=self.slopes,
            intercepts=self.intercepts,
        )


def load(folder: Path, scores: int) -> Linear:
    """What `Linear.save` wrote. Raises Broken where it is damaged or does not answer `scores` scores."""
    try:
        described = msgspec.json.decode((folder / DESCRIPTION).read_bytes(), type=Described)
        arrays = read(folder / ARRAYS, {"buckets": "i4", "weights": "f4", "slopes": "f4", "intercepts": "f8"})
    except (OSError, msgspec.DecodeError, ValueError) as error:
        raise Broken(f"The linear model in {folder.name} cannot be read: {error}. Train the version again.") from error
    vocabulary = Vocabulary(described.terms, arrays["buckets"], arrays["weights"])
    shapes = (vocabulary.weights.shape, arrays["slopes"].shape, arrays["intercepts"].shape)
    if shapes != ((vocabulary.size,), (vocabulary.size, scores), (scores,)) or not _in_range(vocabulary.buckets):
        raise Broken(f"The parts of the linear model in {folder.name} do not fit together. Train the version again.")
    return Linear(Counter(described.recipe, vocabulary), arrays["slopes"], arrays["intercepts"])


def read(path: Path, kinds: dict[str, str]) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file, each of the kind that is expected, and finite. Raises ValueError, OSError."""
    import zipfile

    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in kinds}
    except (KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path.name}: {error}") from error
    for name, kind in kinds.items():
        if arrays[name].dtype != np.dtype(kind) or not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name} in {path.name} holds something else than finite numbers of the kind {kind}")
    return arrays


def _in_range(buckets: NDArray[np.int32]) -> bool:
    return not len(buckets) or bool(buckets.min() >= 0 and buckets.max() < BUCKETS)
