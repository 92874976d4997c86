"""The model as files and as questions: its ONNX graph, our version folder, rows with the right probabilities."""

from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from benchmarks.serving.pipeline import CATEGORIES, CLASSES, NUMBERS, Row, rows
from modelyard.formats.folder import write, write_checksums
from modelyard.protocol.artifact import DESCRIPTION, SIGNATURE, Artifact
from modelyard.protocol.signature import Field, Signature

QUESTIONS = 64
APART = 1e-3


def asked(pipeline: Any) -> list[tuple[Row, float]]:
    """Rows with their probability of Yes by the original pipeline; no two probabilities are alike.

    So an answer that belongs to another row is seen to be wrong.
    """
    import pandas as pd

    candidates = rows(40 * QUESTIONS, seed=1)
    chosen: list[tuple[Row, float]] = []
    for row, value in zip(candidates, pipeline.predict_proba(pd.DataFrame(candidates))[:, 1].tolist(), strict=True):
        if 0.05 < value < 0.95 and all(abs(value - other) > APART for _, other in chosen):
            chosen.append((row, value))
    return chosen[:QUESTIONS]


def graph(pipeline: Any) -> bytes:
    """The pipeline in ONNX: a float matrix and a string matrix in, two probabilities out."""
    scaler, encoder = (pipeline["columns"].named_transformers_[name] for name in ("numbers", "categories"))
    coefficients = pipeline["model"].coef_[0]
    weights = coefficients[: len(NUMBERS)] / scaler.scale_
    labels = [label for labels in encoder.categories_ for label in labels]
    effects = dict(zip(labels, coefficients[len(NUMBERS) :].tolist(), strict=True))
    bias = float(pipeline["model"].intercept_[0] - weights @ scaler.mean_)
    nodes = [
        helper.make_node("MatMul", ["numbers", "weights"], ["linear"]),
        helper.make_node(
            "LabelEncoder", ["strings"], ["effects"], domain="ai.onnx.ml",
            keys_strings=list(effects), values_floats=list(effects.values()), default_float=0.0,
        ),
        helper.make_node("ReduceSum", ["effects", "axis"], ["effect"], keepdims=1),
        helper.make_node("Sum", ["linear", "effect", "bias"], ["z"]),
        helper.make_node("Sigmoid", ["z"], ["yes"]),
        helper.make_node("Sub", ["one", "yes"], ["no"]),
        helper.make_node("Concat", ["no", "yes"], ["answer"], axis=1),
    ]  # fmt: skip
    made = helper.make_graph(
        nodes,
        "benchmark",
        [
            helper.make_tensor_value_info("numbers", TensorProto.FLOAT, [None, len(NUMBERS)]),
            helper.make_tensor_value_info("strings", TensorProto.STRING, [None, len(CATEGORIES)]),
        ],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, [None, 2])],
        [
            helper.make_tensor("weights", TensorProto.FLOAT, [len(NUMBERS), 1], weights.tolist()),
            helper.make_tensor("bias", TensorProto.FLOAT, [1], [bias]),
            helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0]),
            helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
        ],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    return onnx.ModelProto.SerializeToString(helper.make_model(made, opset_imports=opsets, ir_version=8))


def write_version(folder: Path, onnx_graph: bytes) -> str:
    """The platform's version folder; the checksum that it is registered with."""
    folder.mkdir(parents=True)
    numbers = (Field(name=name, kind="number") for name in NUMBERS)
    categories = (Field(name=name, kind="category", categories=labels) for name, labels in CATEGORIES.items())
    signature = Signature(
        scenario="tabular-classification",
        target="y",
        classes=CLASSES,
        inputs=(*numbers, *categories),
        example=rows(1, seed=2)[0],
    )
    write(folder / SIGNATURE, signature)
    write(folder / DESCRIPTION, Artifact(format="onnx", scenario="tabular-classification", algorithm="linear"))
    (folder / "model.onnx").write_bytes(onnx_graph)
    return write_checksums(folder)
