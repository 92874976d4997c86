"""One file is one algorithm, and so is one entry point of an installed package."""

import subprocess
import sys
from pathlib import Path

import pytest

from modelyard.algorithms import registry, tabular_classification
from modelyard.algorithms.scenarios import registry as scenarios
from modelyard.core.errors import NotFound

ONE_FILE = '''"""Always the first class."""

import numpy as np
from pydantic import BaseModel, Field

from modelyard.algorithms.base import Algorithm, Trained


class Settings(BaseModel):
    """Nothing to set."""

    ignored: int = Field(default=1, title="Ignored", description="Is ignored.")


class Same(Trained):
    def __init__(self, signature):
        self.signature = signature

    def predict(self, batch):
        return np.eye(len(self.signature.classes), dtype=np.float32)[np.zeros(batch.rows, int)]

    def save(self, folder):
        return "python"


class First(Algorithm[Settings]):
    """Learns nothing."""

    title = "First"
    description = "Always answers the first class."
    Parameters = Settings

    def fit(self, data, parameters, report):
        return Same(data.signature)
'''


def test_the_built_in_ones_are_listed_by_scenario() -> None:
    assert {"tabular-classification/linear", "tabular-classification/lightgbm"} <= set(registry.names())
    regression = registry.names("tabular-regression")
    assert "tabular-regression/lightgbm" in regression
    assert all(name.startswith("tabular-regression/") for name in regression)


def test_every_scenario_has_a_title_and_an_algorithm() -> None:
    found = registry.scenarios()
    assert [scenario.name for scenario in found] == scenarios.names()
    for scenario in found:
        assert scenario.title
        assert scenario.description
        assert registry.names(scenario.name)


def test_an_unknown_name_is_answered_with_the_choices() -> None:
    with pytest.raises(NotFound, match="tabular-classification/lightgbm"):
        registry.get("tabular-classification/no-such")
    with pytest.raises(NotFound, match="tabular-regression"):
        registry.names("astrology")


def test_a_file_in_the_scenario_s_folder_is_an_algorithm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "always_first.py").write_text(ONE_FILE)
    monkeypatch.setattr(tabular_classification, "__path__", [*tabular_classification.__path__, str(tmp_path)])
    name = "tabular-classification/always-first"
    assert name in registry.names()
    described = registry.describe(name)
    assert described["title"] == "First"
    assert described["scenario"] == "tabular-classification"
    assert "ignored" in described["parameters"]["properties"]


def test_an_installed_package_offers_one_by_an_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_package.py").write_text(ONE_FILE)
    facts = tmp_path / "theirs-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(
        "[modelyard.algorithms]\ntabular-classification/theirs = their_package:First\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "tabular-classification/theirs" in registry.names("tabular-classification")
    assert registry.get("tabular-classification/theirs").title == "First"


def test_showing_every_form_loads_no_learning_library() -> None:
    code = (
        "from modelyard.algorithms import registry\n"
        "[registry.describe(name) for name in registry.names()]\n"
        "import sys; print({'sklearn', 'lightgbm', 'onnx', 'onnxruntime', 'scipy', 'duckdb'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"
