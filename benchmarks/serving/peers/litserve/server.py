"""A LitServe API: python server.py onnx|sklearn MODEL PORT CORES."""

import sys
from typing import Any

import litserve

from benchmarks.serving.pipeline import CLASSES


class Api(litserve.LitAPI):
    def __init__(self, kind: str, path: str) -> None:
        super().__init__(max_batch_size=64, batch_timeout=0.001)
        self.kind, self.path = kind, path

    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe's
        if self.kind == "onnx":
            from benchmarks.serving.onnx_model import OnnxModel

            self.predict_each = OnnxModel(self.path).predict_each
        else:
            import joblib

            self.pipeline = joblib.load(self.path)
            self.predict_each = self.with_sklearn

    def with_sklearn(self, requests: list[list[dict[str, Any]]]) -> list[list[dict[str, Any]]]:
        import pandas as pd

        values = self.pipeline.predict_proba(pd.DataFrame([row for rows in requests for row in rows])).tolist()
        answers = iter({"probabilities": dict(zip(CLASSES, row, strict=True))} for row in values)
        return [[next(answers) for _ in rows] for rows in requests]

    def decode_request(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        return request["instances"]

    def batch(self, inputs: list[Any]) -> list[Any]:
        return inputs

    def predict(self, inputs: list[list[dict[str, Any]]]) -> list[list[dict[str, Any]]]:
        return self.predict_each(inputs)

    def unbatch(self, output: list[Any]) -> list[Any]:
        return output

    def encode_response(self, output: list[dict[str, Any]]) -> dict[str, Any]:
        return {"predictions": output}


if __name__ == "__main__":
    kind, path, port, cores = sys.argv[1:]
    server = litserve.LitServer(Api(kind, path), accelerator="cpu", workers_per_device=int(cores))
    server.run(
        host="127.0.0.1",
        port=int(port),
        num_api_servers=int(cores),
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )
