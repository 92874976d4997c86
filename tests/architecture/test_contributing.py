"""What CONTRIBUTING.md shows works as it stands: its algorithm is one file, and nothing else."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelyard.algorithms import registry, tabular_classification
from modelyard.algorithms.base import Algorithm, Report, TrainingData
from modelyard.formats import folder
from modelyard.formats.base import Batch
from modelyard.formats.onnx import Onnx
from modelyard.protocol.signature import Field, Kind, Signature

NAME = "tabular-classification/frequencies"


class Silent(Report):
    """A report that nobody reads."""

    def progress(self, phase: str, fraction: float, eta_seconds: float | None = None) -> None: ...

    def metric(self, name: str, step: int, value: float) -> None: ...

    def log(self, line: str) -> None: ...


@pytest.fixture
def algorithm(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Algorithm[Any]:
    """The class that a file with the page's text offers, in the folder of its scenario."""
    blocks = re.findall(r"```python\n(.*?)```", (root / "CONTRIBUTING.md").read_text(), re.DOTALL)
    (tmp_path / "frequencies.py").write_text(next(block for block in blocks if "Algorithm[" in block))
    monkeypatch.setattr(tabular_classification, "__path__", [*tabular_classification.__path__, str(tmp_path)])
    return registry.get(NAME)()


def test_the_file_is_a_choice_with_a_form(algorithm: Algorithm[Any]) -> None:
    assert NAME in registry.names("tabular-classification")
    assert registry.describe(NAME)["parameters"]["properties"]["smoothing"]["minimum"] == 0
    assert algorithm.title == "Class frequencies"


@pytest.mark.parametrize("kind", ["number", "category"])
def test_what_it_saves_answers_as_it_does_itself(algorithm: Algorithm[Any], kind: Kind, tmp_path: Path) -> None:
    field = Field(name="x", kind=kind)
    signature = Signature(scenario="tabular-classification", inputs=(field,), target="y", classes=("no", "yes"))
    rows = Batch(
        np.zeros((8, len(signature.numeric_inputs)), np.float32),
        np.full((8, len(signature.string_inputs)), "a", object),
    )
    labels = np.array([0, 1, 1, 1, 1, 1, 1, 1])
    data = TrainingData(
        signature=signature, rows=rows, labels=labels, validation=rows, validation_labels=labels, seed=0
    )
    trained = algorithm.fit(data, algorithm.Parameters(), Silent())
    assert trained.save(tmp_path) == "onnx"
    folder.write(tmp_path / "signature.json", signature)
    served = Onnx().load(tmp_path).predict(rows)
    np.testing.assert_allclose(served, [[0.2, 0.8]] * 8, rtol=1e-6)
    np.testing.assert_array_equal(served, trained.predict(rows))
