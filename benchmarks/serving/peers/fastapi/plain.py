"""A pydantic model for the body, a dict for the answer: FastAPI as its tutorial writes it."""

import os
from typing import Any

import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel, create_model

from benchmarks.serving.onnx_model import OnnxModel
from benchmarks.serving.pipeline import CATEGORIES, NUMBERS

Row: Any = create_model("Row", **dict.fromkeys(NUMBERS, (float, ...)), **dict.fromkeys(CATEGORIES, (str, ...)))
Body: Any = create_model("Body", __base__=BaseModel, instances=(list[Row], ...))
model = OnnxModel(os.environ["MODEL"])  # noqa: TID251 - no part of the platform
app = FastAPI()


@app.post("/predict")
async def predict(body: Body) -> dict[str, Any]:  # type: ignore[valid-type]
    """Answer the rows of one request."""
    numbers = np.array([[getattr(row, name) for name in NUMBERS] for row in body.instances], np.float32)
    strings = np.array([[getattr(row, name) for name in CATEGORIES] for row in body.instances], object)
    return {"predictions": model.run(numbers, strings)}
