"""The model that all servers of a comparison serve: 20 numbers and 2 categories, a logistic regression in ONNX."""

import math
import random
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from modelyard.formats.folder import write, write_checksums
from modelyard.protocol.artifact import DESCRIPTION, SIGNATURE, Artifact
from modelyard.protocol.signature import Field, Signature

NUMBERS = tuple(f"num_{place}" for place in range(20))
CATEGORIES = {
    "region": ("north", "south", "east", "west", "centre"),
    "plan": tuple(f"plan_{letter}" for letter in "abcdefghijkl"),
}
CLASSES = ("No", "Yes")
_dice = random.Random(0)
WEIGHTS = [_dice.gauss(0, 0.5) for _ in NUMBERS]
EFFECTS = {label: _dice.gauss(0, 1) for labels in CATEGORIES.values() for label in labels}


def rows(count: int, seed: int = 1) -> list[dict[str, Any]]:
    """Rows to ask about."""
    dice = random.Random(seed)
    return [
        {
            **{name: round(dice.gauss(0, 1), 4) for name in NUMBERS},
            **{name: dice.choice(labels) for name, labels in CATEGORIES.items()},
        }
        for _ in range(count)
    ]


def expected(row: dict[str, Any]) -> float:
    """The probability of Yes, worked out without ONNX."""
    z = sum(weight * row[name] for weight, name in zip(WEIGHTS, NUMBERS, strict=True))
    return 1 / (1 + math.exp(-z - sum(EFFECTS[row[name]] for name in CATEGORIES)))


def graph() -> bytes:
    """The graph: a float matrix and a string matrix in, two probabilities out."""
    nodes = [
        helper.make_node("MatMul", ["numbers", "weights"], ["linear"]),
        helper.make_node(
            "LabelEncoder", ["strings"], ["effects"], domain="ai.onnx.ml",
            keys_strings=list(EFFECTS), values_floats=list(EFFECTS.values()), default_float=0.0,
        ),
        helper.make_node("ReduceSum", ["effects", "axis"], ["effect"], keepdims=1),
        helper.make_node("Add", ["linear", "effect"], ["z"]),
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
            helper.make_tensor("weights", TensorProto.FLOAT, [len(NUMBERS), 1], WEIGHTS),
            helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0]),
            helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
        ],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    return onnx.ModelProto.SerializeToString(helper.make_model(made, opset_imports=opsets, ir_version=8))


def write_version(folder: Path) -> str:
    """The version folder; the checksum that it is registered with."""
    folder.mkdir(parents=True)
    numbers = (Field(name=name, kind="number") for name in NUMBERS)
    categories = (Field(name=name, kind="category", categories=labels) for name, labels in CATEGORIES.items())
    signature = Signature(
        scenario="tabular-classification",
        target="y",
        classes=CLASSES,
        inputs=(*numbers, *categories),
        example=rows(1)[0],
    )
    write(folder / SIGNATURE, signature)
    write(folder / DESCRIPTION, Artifact(format="onnx", scenario="tabular-classification", algorithm="linear"))
    (folder / "model.onnx").write_bytes(graph())
    return write_checksums(folder)
