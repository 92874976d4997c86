"""Validated by a msgspec decoder, answered as bytes: none of what FastAPI does by default for each request.

It asks nobody for a key, knows no limits and no routes, and records nothing.
"""

import os

import msgspec
import numpy as np
from fastapi import FastAPI, HTTPException, Request, Response

from benchmarks.serving.onnx_model import OnnxModel
from benchmarks.serving.pipeline import CATEGORIES, NUMBERS

Row = msgspec.defstruct(
    "Row", [*((name, float) for name in NUMBERS), *((name, str) for name in CATEGORIES)], frozen=True, gc=False
)
Body = msgspec.defstruct("Body", [("instances", list[Row])])
decode = msgspec.json.Decoder(Body).decode
encode = msgspec.json.Encoder().encode
model = OnnxModel(os.environ["MODEL"])  # noqa: TID251 - no part of the platform
app = FastAPI()


@app.post("/predict")
async def predict(request: Request) -> Response:
    """Answer the rows of one request."""
    try:
        rows = [msgspec.structs.astuple(row) for row in decode(await request.body()).instances]
    except msgspec.DecodeError as error:
        raise HTTPException(422, str(error)) from None
    split = len(NUMBERS)
    numbers = np.array([row[:split] for row in rows], np.float32)
    strings = np.array([row[split:] for row in rows], object)
    return Response(encode({"predictions": model.run(numbers, strings)}), media_type="application/json")
