"""Format: an ONNX graph with two inputs, run by ONNX Runtime. Data only: safe to load in any process.

`model.onnx` takes `numbers` (float32) and `strings`, each present only where the model has such columns, and answers
one float32 matrix. Where dates or free text are among the columns, `features.json` says what is computed in front.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.core.errors import Broken
from modelyard.formats import features
from modelyard.formats.base import Batch, Format, Predictor
from modelyard.formats.folder import read_signature
from modelyard.protocol.signature import Signature

FILE = "model.onnx"
NUMBERS = "numbers"
STRINGS = "strings"
ANSWER = "answer"


class Onnx(Format):
    """Reads `model.onnx`."""

    def load(self, folder: Path, *, threads: int = 1) -> Predictor:
        learned = features.load(folder)
        featuriser = features.Featuriser(learned) if learned else None
        return _OnnxPredictor(read_signature(folder), _session(folder, threads), featuriser)


class _OnnxPredictor(Predictor):
    def __init__(self, signature: Signature, session: Any, featuriser: features.Featuriser | None) -> None:
        self.signature = signature
        self._run = session.run
        self._featuriser = featuriser
        self._inputs = {entry.name for entry in session.get_inputs()}
        self._answer = [ANSWER]

    def predict(self, batch: Batch) -> NDArray[np.float32]:
        if self._featuriser is not None:
            batch = self._featuriser(batch)
        feed: dict[str, Any] = {}
        if NUMBERS in self._inputs:
            feed[NUMBERS] = batch.numbers
        if STRINGS in self._inputs:
            feed[STRINGS] = batch.strings
        answer: NDArray[np.float32] = self._run(self._answer, feed)[0]
        return answer


def _session(folder: Path, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A spinning thread takes the core from whoever waits for the answer.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        # From bytes: a graph that names files beside it finds none.
        graph = (folder / FILE).read_bytes()
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise Broken(f"{folder.name}/{FILE} cannot be loaded: {error}. Train the version again.") from error
