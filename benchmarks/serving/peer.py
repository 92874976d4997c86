"""The application that somebody in a hurry writes well: FastAPI, pydantic, ONNX Runtime with one thread, two workers.

Run by `uvicorn benchmarks.serving.peer:app` with the graph's path in BENCHMARK_MODEL. It asks nobody for a key, limits,
routes and records nothing.
"""

import os

import numpy as np
import onnxruntime
from fastapi import FastAPI
from pydantic import BaseModel, create_model

from benchmarks.serving.model import CATEGORIES, CLASSES, NUMBERS

Row: type[BaseModel] = create_model(
    "Row", **dict.fromkeys(NUMBERS, (float, ...)), **dict.fromkeys(CATEGORIES, (str, ...))
)  # type: ignore[call-overload]
Body: type[BaseModel] = create_model("Body", instances=(list[Row], ...))  # type: ignore[valid-type]

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(
    os.environ["BENCHMARK_MODEL"],  # noqa: TID251 - no part of the platform
    options,
    providers=["CPUExecutionProvider"],
)
app = FastAPI()


@app.post("/predict")
async def predict(body: Body):  # type: ignore[no-untyped-def, valid-type]
    """Answer as the platform does."""
    numbers = np.array([[getattr(row, name) for name in NUMBERS] for row in body.instances], np.float32)
    strings = np.array([[getattr(row, name) for name in CATEGORIES] for row in body.instances], object)
    values = session.run(["answer"], {"numbers": numbers, "strings": strings})[0]
    return {
        "predictions": [
            {
                "prediction": CLASSES[int(row.argmax())],
                "probability": float(row.max()),
                "probabilities": dict(zip(CLASSES, row.tolist(), strict=True)),
            }
            for row in values
        ]
    }
