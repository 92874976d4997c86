"""The ONNX graph as the peers' servers call it. Runs in their environments: ONNX Runtime and numpy alone."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.serving.pipeline import CATEGORIES, CLASSES, NUMBERS


class OnnxModel:
    """One thread and no spinning, as suits one process per core."""

    def __init__(self, path: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(self, numbers: Any, strings: Any) -> list[dict[str, Any]]:
        """What the platform answers too: class, probability, probabilities for each row."""
        values = self._session.run(["answer"], {"numbers": numbers, "strings": strings})[0].tolist()
        return [
            {
                "prediction": CLASSES[yes > no],
                "probability": max(no, yes),
                "probabilities": {"No": no, "Yes": yes},
            }
            for no, yes in values
        ]

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The same of rows as JSON gave them."""
        numbers = np.array([[row[name] for name in NUMBERS] for row in rows], np.float32)
        return self.run(numbers, np.array([[row[name] for name in CATEGORIES] for row in rows], object))

    def predict_each(self, requests: Sequence[Sequence[Mapping[str, Any]]]) -> list[list[dict[str, Any]]]:
        """The same of several requests with one call, shared out again."""
        answers = iter(self.predict([row for rows in requests for row in rows]))
        return [[next(answers) for _ in rows] for rows in requests]
