"""The algorithm: which column tells most about the target, and the median of each of its values."""

from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from modelyard.algorithms.base import Algorithm, Report, Trained, TrainingData
from modelyard.algorithms.forms import Form, Search, parameter
from modelyard.core.errors import Invalid
from modelyard.formats.base import Batch
from modelyard.formats.onnx import ANSWER, FILE, STRINGS
from modelyard.protocol.signature import Signature


class MedianParameters(Form):
    """The form: every parameter says what it is, so that the platform can draw it and search in it."""

    fewest_rows: int = parameter(
        5, "Rows per group", "A group with fewer rows is answered by the median of all rows.",
        unit="rows", search=Search(1, 50, log=True), ge=1, le=1000,
    )  # fmt: skip


class MedianByGroup(Algorithm[MedianParameters]):
    """Chooses the column by validation rows; finishes with all rows."""

    title: ClassVar[str] = "Median by group"
    description: ClassVar[str] = "Predicts the median of the rows that share a category: a baseline to check by hand."
    Parameters = MedianParameters

    def fit(self, data: TrainingData, parameters: MedianParameters, report: Report) -> Trained:
        fields = data.signature.string_inputs
        if not fields:
            raise Invalid(
                "Median by group needs a column of categories, and the table has none. Choose another algorithm."
            )
        models = []
        for step, field in enumerate(fields, start=1):
            model = Medians(data.signature, step - 1, parameters.fewest_rows, data.rows, data.labels)
            error = model.error(data.validation, data.validation_labels)
            report.metric("mae", step, error)
            report.progress(f"column {field.name}", step / (len(fields) + 1))
            models.append((error, step, model))
        best = min(models)[2]
        report.log(f"The median is taken by {fields[best.column].name}.")
        report.progress("done", 1.0)
        return best

    def finish(self, data: TrainingData, trained: Trained, parameters: MedianParameters, report: Report) -> Trained:
        if not isinstance(trained, Medians):
            raise TypeError(f"{type(trained).__name__} is no model of medians")
        report.progress("learning again with the validation rows", 0.0)
        rows = Batch(*(np.concatenate(parts) for parts in zip(data.rows, data.validation, strict=True)))
        labels = np.concatenate([data.labels, data.validation_labels])
        return Medians(data.signature, trained.column, parameters.fewest_rows, rows, labels)


class Medians(Trained):
    """The median of each value of one column."""

    def __init__(
        self, signature: Signature, column: int, fewest: int, rows: Batch, labels: NDArray[np.float64]
    ) -> None:
        self.signature = signature
        self.column = column
        self.usual = float(np.median(labels))
        values = rows.strings[:, column]
        counted = {value: labels[values == value] for value in sorted(set(values.tolist()))}
        self.medians = {value: float(np.median(group)) for value, group in counted.items() if len(group) >= fewest}

    def predict(self, batch: Batch) -> NDArray[np.float32]:
        found = [self.medians.get(value, self.usual) for value in batch.strings[:, self.column].tolist()]
        return np.array(found, np.float32).reshape(-1, 1)

    def error(self, batch: Batch, labels: NDArray[np.float64]) -> float:
        """The mean absolute error; 0 where there are no rows."""
        return float(np.mean(np.abs(self.predict(batch)[:, 0] - labels))) if len(labels) else 0.0

    def save(self, folder: Path) -> str:
        """A graph that looks the value up: what is served is data, and no code of this package."""
        from onnx import TensorProto, helper

        strings = len(self.signature.string_inputs)
        column = helper.make_tensor("column", TensorProto.INT64, [1], [self.column])
        # A group of its own that nobody sends, so that the table is never empty.
        known = {"\x00": self.usual, **self.medians}
        nodes = [
            helper.make_node("Gather", [STRINGS, "column"], ["value"], axis=1),
            helper.make_node(
                "LabelEncoder", ["value"], [ANSWER], domain="ai.onnx.ml", keys_strings=list(known),
                values_floats=list(known.values()), default_float=self.usual,
            ),
        ]  # fmt: skip
        inputs = [helper.make_tensor_value_info(STRINGS, TensorProto.STRING, ["rows", strings])]
        answer = helper.make_tensor_value_info(ANSWER, TensorProto.FLOAT, ["rows", 1])
        graph = helper.make_graph(nodes, "medians", inputs, [answer], [column])
        opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 4)]
        (folder / FILE).write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString())
        return "onnx"
