"""The example package, installed as a user would: its algorithm is listed, described, learned and opened again."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "examples" / "algorithm_package"
NAME = "tabular-regression/median-by-group"

USE = """
import json, sys
from pathlib import Path
import numpy as np
from modelyard.algorithms import registry
from modelyard.algorithms.base import Report, TrainingData
from modelyard.formats import folder
from modelyard.formats.base import Batch
from modelyard.formats.registry import open_version
from modelyard.protocol.artifact import DESCRIPTION, SIGNATURE, Artifact
from modelyard.protocol.signature import Field, Signature

name, target = sys.argv[1], Path(sys.argv[2])

class Silent(Report):
    def progress(self, phase, fraction, eta_seconds=None): pass
    def metric(self, name, step, value): pass
    def log(self, line): pass

towns = np.array([["north", "a"], ["south", "a"]] * 20, object)
labels = np.array([1.0, 5.0] * 20)
signature = Signature(
    scenario="tabular-regression", target="y",
    inputs=tuple(Field(name=name, kind=kind) for name, kind in zip("nab", ("number", "category", "category"))),
)
batch = Batch(np.ones((40, 1), np.float32), towns)
data = TrainingData(
    signature=signature, rows=batch, labels=labels, validation=batch, validation_labels=labels, seed=0
)
algorithm = registry.get(name)
parameters = algorithm.Parameters()
trained = algorithm().finish(data, algorithm().fit(data, parameters, Silent()), parameters, Silent())
form = trained.save(target)
folder.write(target / SIGNATURE, signature)
folder.write(target / DESCRIPTION, Artifact(format=form, scenario="tabular-regression", algorithm=name))
asked = Batch(np.ones((3, 1), np.float32), np.array([["north", "a"], ["south", "a"], ["west", "a"]], object))
print(json.dumps({
    "listed": registry.names(), "described": registry.describe(name), "format": form,
    "trained": trained.predict(asked).tolist(), "opened": open_version(target).predict(asked).tolist(),
}))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the package is installed: its code, and beside it what an installer writes of its `pyproject.toml`."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())
    site = tmp_path_factory.mktemp("site")
    for package in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        shutil.copytree(PACKAGE / package, site / Path(package).name)
    about = project["project"]
    written = site / f"{about['name'].replace('-', '_')}-{about['version']}.dist-info"
    written.mkdir()
    (written / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {about['name']}\nVersion: {about['version']}\n")
    groups = about["entry-points"].items()
    (written / "entry_points.txt").write_text(
        "".join(f"[{group}]\n" + "".join(f"{name} = {at}\n" for name, at in points.items()) for group, points in groups)
    )
    return site


def test_an_installed_package_adds_an_algorithm_that_learns_and_is_opened_again(site: Path, tmp_path: Path) -> None:
    target = tmp_path / "version"
    target.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(site)}  # noqa: TID251 - of the child, which finds the package there
    done = subprocess.run(
        [sys.executable, "-c", USE, NAME, str(target)], env=environment, check=True, capture_output=True, text=True
    )
    said = json.loads(done.stdout)
    assert NAME in said["listed"]
    assert said["described"]["title"] == "Median by group"
    assert said["described"]["parameters"]["properties"]["fewest_rows"]["x-unit"] == "rows"
    assert said["format"] == "onnx"
    assert said["trained"] == said["opened"] == [[1.0], [5.0], [3.0]]


def test_the_package_s_own_tests_pass(site: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(site)}  # noqa: TID251 - of the child, which finds the package there
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(PACKAGE / "tests")]
    done = subprocess.run(command, cwd=site, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout
