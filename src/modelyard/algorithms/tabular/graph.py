"""Writes the ONNX graphs of the learners here: two inputs in, one float32 matrix out, double precision in between.

Double, because a learner's thresholds and sums are double: a graph in float32 would send a row that lies next to a
threshold to the other side, and lose digits in long sums.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.algorithms.tabular.categories import Vocabulary
from modelyard.formats.onnx import ANSWER, FILE, NUMBERS, STRINGS

OPSET, ML_OPSET, IR_VERSION = 20, 5, 10
"""The oldest that know StringConcat and TreeEnsemble, for the widest choice of runtimes."""

ML = "ai.onnx.ml"


class Graph:
    """A graph under construction. Values are named; `node` answers the name of its output."""

    def __init__(self, *, numbers: int, strings: int, outputs: int) -> None:
        self._numbers, self._strings, self._outputs = numbers, strings, outputs
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def node(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Append an operator with one output."""
        from onnx import helper

        output = f"v{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [output], domain=domain, **attributes))
        return output

    def constant(self, array: NDArray[Any]) -> str:
        """An array that is part of the graph."""
        name = f"c{len(self._constants)}"
        self._constants.append(tensor(array, name))
        return name

    @property
    def double(self) -> int:
        """The number of the element type double, for Cast."""
        from onnx import TensorProto

        return int(TensorProto.DOUBLE)

    @property
    def integer(self) -> int:
        """The number of the element type int64, for Cast."""
        from onnx import TensorProto

        return int(TensorProto.INT64)

    def numbers(self) -> str:
        """The numbers, double, shape (rows, numbers)."""
        return self.node("Cast", NUMBERS, to=self.double)

    def coded(self, vocabularies: tuple[Vocabulary, ...], tables: list[NDArray[Any]]) -> str:
        """For each string column the entry of its table (none below zero) at the value's code, shape (rows, columns).

        One look-up for all columns, whatever their number: each value is prefixed by its column first.
        """
        prefixes = np.array([[f"{place}=" for place in range(self._strings)]], object)
        entries = {
            f"{place}={value}": table[code]
            for place, (vocabulary, table) in enumerate(zip(vocabularies, tables, strict=True))
            for code, value in enumerate(vocabulary.values, start=1)
        }
        values = np.array(list(entries.values()), tables[0].dtype)
        unseen = [table[vocabulary.unseen] for vocabulary, table in zip(vocabularies, tables, strict=True)]
        same = len(set(unseen)) == 1
        default = np.array([unseen[0] if same else -1], values.dtype)
        found = self.node(
            "LabelEncoder", self.node("StringConcat", self.constant(prefixes), STRINGS), domain=ML,
            keys_tensor=tensor(np.array(list(entries), object)), values_tensor=tensor(values),
            default_tensor=tensor(default),
        )  # fmt: skip
        if same:
            return found
        missed = self.node("Equal", found, self.constant(default))
        return self.node("Where", missed, self.constant(np.array([unseen], values.dtype)), found)

    def save(self, folder: Path, answer: str) -> str:
        """Write `model.onnx` with `answer`, cast to float32, as its output; the name of the format."""
        from onnx import TensorProto, checker, helper

        self._nodes.append(helper.make_node("Cast", [answer], [ANSWER], to=TensorProto.FLOAT))
        sizes = ((NUMBERS, TensorProto.FLOAT, self._numbers), (STRINGS, TensorProto.STRING, self._strings))
        inputs = [helper.make_tensor_value_info(name, kind, ["rows", size]) for name, kind, size in sizes if size]
        output = helper.make_tensor_value_info(ANSWER, TensorProto.FLOAT, ["rows", self._outputs])
        graph = helper.make_graph(self._nodes, "modelyard", inputs, [output], self._constants)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(ML, ML_OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="modelyard")
        checker.check_model(model)
        (folder / FILE).write_bytes(model.SerializeToString())
        return "onnx"


def tensor(array: NDArray[Any], name: str = "") -> Any:
    """An array as ONNX keeps it; object arrays hold strings."""
    from onnx import TensorProto, helper, numpy_helper

    if array.dtype == object:
        return helper.make_tensor(name, TensorProto.STRING, array.shape, [text.encode() for text in array.ravel()])
    return numpy_helper.from_array(np.ascontiguousarray(array), name)
