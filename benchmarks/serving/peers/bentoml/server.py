"""A BentoML service whose rows are gathered into batches."""

import os
from typing import Any

import bentoml

from benchmarks.serving.onnx_model import OnnxModel


@bentoml.service(
    workers=int(os.environ["CORES"]),  # noqa: TID251 - no part of the platform
    logging={"access": {"enabled": False}},
    tracing={"sample_rate": 0.0},
)
class Predictor:
    def __init__(self) -> None:
        self.model = OnnxModel(os.environ["MODEL"])  # noqa: TID251

    @bentoml.api(batchable=True, batch_dim=0, max_batch_size=64, max_latency_ms=60000)
    def predict(self, instances: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """One answer for each row."""
        return self.model.predict(instances)
