"""Format: a classifier of texts, in numpy. Data only: safe to load in any process.

`text.json` says which string columns are read and which parts there are: a linear model over words and pieces of words
(`_text_linear.py`), one over sentence embeddings (`_text_embeddings.py`), or both, whose probabilities are mixed.
"""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelyard.core.errors import Broken
from modelyard.formats import _text_embeddings, _text_linear
from modelyard.formats._text_embeddings import Embedded
from modelyard.formats._text_features import joined
from modelyard.formats._text_linear import Linear
from modelyard.formats.base import Batch, Format, Predictor
from modelyard.formats.folder import read_signature
from modelyard.protocol.signature import Signature

FILE = "text.json"


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """What `text.json` says: which string columns are read; the share of the embeddings in the answer, 0 to 1."""

    columns: tuple[int, ...]
    share: float = 0.0


class Text(Format):
    """Reads `text.json` and what it names."""

    def load(self, folder: Path, *, threads: int = 1) -> Predictor:
        signature = read_signature(folder)
        try:
            description = msgspec.json.decode((folder / FILE).read_bytes(), type=Description)
        except (OSError, msgspec.DecodeError) as error:
            raise Broken(f"{folder.name}/{FILE} cannot be read: {error}. Train the version again.") from error
        strings = len(signature.string_inputs)
        fitting = description.columns and all(0 <= column < strings for column in description.columns)
        if not fitting or not 0 <= description.share <= 1 or len(signature.classes) < 2:
            raise Broken(f"{folder.name}/{FILE} does not fit the signature. Train the version again.")
        scores = scores_of(len(signature.classes))
        linear = _text_linear.load(folder, scores) if description.share < 1 else None
        embedded = _text_embeddings.load(folder, scores, threads) if description.share > 0 else None
        return TextClassifier(signature, description, linear, embedded)


class TextClassifier(Predictor):
    """Mixes the probabilities of its parts; a part whose share is 0 is None."""

    def __init__(
        self, signature: Signature, description: Description, linear: Linear | None, embedded: Embedded | None
    ) -> None:
        self.signature = signature
        self.description = description
        self.linear = linear
        self.embedded = embedded

    def predict(self, batch: Batch) -> NDArray[np.float32]:
        texts = joined(batch.strings, self.description.columns)
        share, answer = self.description.share, np.zeros((len(texts), len(self.signature.classes)))
        if not texts:
            return answer.astype(np.float32)
        if self.linear is not None:
            answer += (1 - share) * probabilities(self.linear(texts))
        if self.embedded is not None:
            answer += share * probabilities(self.embedded(texts))
        return answer.astype(np.float32)

    def write(self, folder: Path) -> str:
        """Write all files; the name of this format."""
        (folder / FILE).write_bytes(msgspec.json.encode(self.description))
        parts: tuple[Any, ...] = (self.linear, self.embedded)
        for part in parts:
            if part is not None:
                part.save(folder)
        return "text"


def scores_of(classes: int) -> int:
    """How many raw scores stand for so many classes: one for two, else one each."""
    return 1 if classes == 2 else classes


def probabilities(raw: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each class, shape (rows, classes), from raw scores: the logistic function of one, the softmax of several."""
    if raw.shape[1] == 1:
        # Both from the score, not one from the other: 1 - p has no digits left where p is nearly 1.
        powers = np.exp(np.clip(np.concatenate([raw, -raw], axis=1), -700, 700))
        shares: NDArray[np.float64] = 1 / (1 + powers)
    else:
        powers = np.exp(raw - raw.max(axis=1, keepdims=True))
        shares = powers / powers.sum(axis=1, keepdims=True)
    return shares
