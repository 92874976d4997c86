"""What the algorithm learns."""

from pathlib import Path

import numpy as np
import pytest
from median_by_group.algorithm import MedianByGroup, MedianParameters

from modelyard.algorithms.base import Report, TrainingData
from modelyard.core.errors import Invalid
from modelyard.formats.base import Batch
from modelyard.protocol.signature import Field, Signature


class Silent(Report):
    def progress(self, phase, fraction, eta_seconds=None):
        pass

    def metric(self, name, step, value):
        pass

    def log(self, line):
        pass


def data(values: list[list[str]], labels: list[float]) -> TrainingData:
    fields = tuple(Field(name=f"column {place}", kind="category") for place in range(len(values[0])))
    batch = Batch(np.empty((len(values), 0), np.float32), np.array(values, object))
    return TrainingData(
        signature=Signature(scenario="tabular-regression", inputs=fields, target="y"),
        rows=batch, labels=np.array(labels), validation=batch, validation_labels=np.array(labels), seed=0,
    )  # fmt: skip


def test_the_column_that_tells_most_is_chosen() -> None:
    told = data([["a", "x"], ["b", "x"], ["a", "y"], ["b", "y"]], [1.0, 9.0, 1.0, 9.0])
    parameters = MedianParameters(fewest_rows=2)
    model = MedianByGroup().fit(told, parameters, Silent())
    assert model.predict(told.rows)[:, 0].tolist() == [1, 9, 1, 9]


def test_a_small_or_unknown_group_is_answered_by_the_median_of_all(tmp_path: Path) -> None:
    told = data([["a"], ["a"], ["b"]], [1.0, 3.0, 9.0])
    model = MedianByGroup().fit(told, MedianParameters(fewest_rows=2), Silent())
    asked = Batch(np.empty((3, 0), np.float32), np.array([["a"], ["b"], ["new"]], object))
    assert model.predict(asked)[:, 0].tolist() == [2, 3, 3]
    assert model.save(tmp_path) == "onnx"


def test_a_table_without_categories_is_refused() -> None:
    told = TrainingData(
        signature=Signature(scenario="tabular-regression", inputs=(Field(name="n", kind="number"),), target="y"),
        rows=Batch(np.ones((2, 1), np.float32), np.empty((2, 0), object)), labels=np.ones(2),
        validation=Batch(np.ones((0, 1), np.float32), np.empty((0, 0), object)), validation_labels=np.ones(0), seed=0,
    )  # fmt: skip
    with pytest.raises(Invalid, match="column of categories"):
        MedianByGroup().fit(told, MedianParameters(), Silent())
