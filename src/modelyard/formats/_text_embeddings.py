"""A linear model over sentence embeddings: a small transformer in ONNX, the mean of its tokens, at length 1.

Kept as `encoder.onnx` (any encoder that takes the three inputs of BERT and answers one vector of each token),
`encoder.json` (its vocabulary) and `embeddings.npz` (slopes, intercepts). Reimers and Gurevych 2019.
"""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelyard.core.errors import Broken
from modelyard.formats._text_linear import read
from modelyard.formats._text_wordpiece import WordPiece

GRAPH, DESCRIPTION, ARRAYS = "encoder.onnx", "encoder.json", "embeddings.npz"


class Described(msgspec.Struct, frozen=True):
    """What `encoder.json` says: the tokens in the order of their numbers, and how many of a text are read."""

    vocabulary: tuple[str, ...]
    longest: int


class Encoder:
    """Texts to vectors of length 1, one text at a time.

    Weights of 8 bits go with activations that are scaled over all that is computed at once: beside others a text would
    be answered otherwise than alone.
    """

    def __init__(self, graph: bytes, tokens: WordPiece, threads: int = 1) -> None:
        self.graph = graph
        self.tokens = tokens
        self.threads = threads
        self._session: Any = None

    def __call__(self, text: str) -> NDArray[np.float64]:
        """Shape (width,)."""
        if self._session is None:
            self.open()
        numbers = np.array([self.tokens(text)], np.int64)
        ones = np.ones_like(numbers)
        feed = {"input_ids": numbers, "attention_mask": ones, "token_type_ids": np.zeros_like(numbers)}
        mean = self._session.run(None, feed)[0][0].mean(axis=0, dtype=np.float64)
        vector: NDArray[np.float64] = mean / max(float(np.sqrt(mean @ mean)), 1e-12)
        return vector

    def open(self) -> None:
        """Load the graph. Raises Broken."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(self.graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise Broken(f"The encoder cannot be loaded: {error}. Train the version again.") from error

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_session": None}


class Embedded:
    """Raw scores of texts: their embeddings times `slopes` (float32, shape (width, scores)) plus `intercepts`."""

    def __init__(self, encoder: Encoder, slopes: NDArray[np.float32], intercepts: NDArray[np.float64]) -> None:
        self.encoder = encoder
        self.slopes = slopes
        self.intercepts = intercepts

    def __call__(self, texts: list[str]) -> NDArray[np.float64]:
        """Shape (texts, scores). A text's scores do not depend on the others."""
        slopes = self.slopes.astype(np.float64)
        raw = np.array([self.encoder(text) @ slopes for text in texts])
        return raw.reshape(len(texts), len(self.intercepts)) + self.intercepts

    def save(self, folder: Path) -> None:
        """Write the three files."""
        tokens = self.encoder.tokens
        (folder / GRAPH).write_bytes(self.encoder.graph)
        (folder / DESCRIPTION).write_bytes(msgspec.json.encode(Described(tokens.vocabulary, tokens.longest)))
        np.savez(folder / ARRAYS, slopes=self.slopes, intercepts=self.intercepts)


def load(folder: Path, scores: int, threads: int) -> Embedded:
    """What `Embedded.save` wrote. Raises Broken where it is damaged or does not answer `scores` scores."""
    try:
        described = msgspec.json.decode((folder / DESCRIPTION).read_bytes(), type=Described)
        arrays = read(folder / ARRAYS, {"slopes": "f4", "intercepts": "f8"})
        graph = (folder / GRAPH).read_bytes()
        encoder = Encoder(graph, WordPiece(described.vocabulary, described.longest), threads)
    except (OSError, msgspec.DecodeError, ValueError) as error:
        raise Broken(f"The encoder in {folder.name} cannot be read: {error}. Train the version again.") from error
    encoder.open()
    fitting = (len(encoder("")), scores) == arrays["slopes"].shape and arrays["intercepts"].shape == (scores,)
    if not fitting:
        raise Broken(f"The parts of the encoder in {folder.name} do not fit together. Train the version again.")
    return Embedded(encoder, arrays["slopes"], arrays["intercepts"])
