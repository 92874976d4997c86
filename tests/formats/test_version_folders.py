"""Version folders: checksums, descriptions, and the right format for each."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from modelyard.core.errors import Broken
from modelyard.formats import folder as folders
from modelyard.formats import python
from modelyard.formats.base import Batch, Predictor
from modelyard.formats.registry import REGISTRY, open_version
from modelyard.protocol.artifact import Artifact
from modelyard.protocol.signature import Field, Signature

SIGNATURE = Signature(scenario="tabular-regression", inputs=(Field(name="n", kind="number"),), target="y")


class Doubled(Predictor):
    def __init__(self) -> None:
        self.signature = SIGNATURE

    def predict(self, batch: Batch) -> np.ndarray:
        return batch.numbers * 2


@pytest.fixture
def version(tmp_path: Path) -> Path:
    """A version in the format python, with checksums."""
    folder = tmp_path / "v1"
    form = python.save(Doubled(), folder)
    folders.write(
        folder / "model.json", Artifact(format=form, scenario="tabular-regression", algorithm="a/b", isolated=True)
    )
    folders.write(folder / "signature.json", SIGNATURE)
    (folder / "evaluation").mkdir()
    (folder / "evaluation" / "curves.json").write_text("{}")
    folders.write_checksums(folder)
    return folder


def test_the_formats_there_are() -> None:
    assert REGISTRY.names() == ["anomaly", "forecast", "log_templates", "onnx", "python", "series_anomaly", "text"]


def test_sha256sum_accepts_the_checksums(version: Path) -> None:
    ran = subprocess.run(
        ["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=version, capture_output=True, text=True, check=True
    )
    assert ran.stdout.count(": OK") == 4


def test_the_entries_are_all_files_with_size_and_digest(version: Path) -> None:
    entries = {entry.path: entry for entry in folders.entries(version)}
    assert set(entries) == {
        "SHA256SUMS",
        "evaluation/curves.json",
        "model.json",
        "model/predictor.pickle",
        "signature.json",
    }
    assert entries["evaluation/curves.json"].size == 2
    assert entries["evaluation/curves.json"].sha256.startswith("44136fa355b3678a")


def test_an_untouched_folder_is_verified_and_opened(version: Path) -> None:
    predictor = open_version(version, checksum=folders.sha256(version / "SHA256SUMS"))
    batch = Batch(np.ones((2, 1), np.float32), np.empty((2, 0), object))
    assert predictor.predict(batch).tolist() == [[2.0], [2.0]]
    assert predictor.signature == SIGNATURE


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: (folder / "model/predictor.pickle").write_bytes(b"x"), "was changed or damaged"),
        (lambda folder: (folder / "signature.json").unlink(), "missing or additional files: signature.json"),
        (lambda folder: (folder / "more.txt").write_text(""), "missing or additional files: more.txt"),
        (lambda folder: (folder / "SHA256SUMS").unlink(), "incomplete"),
        (lambda folder: (folder / "SHA256SUMS").write_text("nonsense\n"), "no checksum"),
        (lambda folder: (folder / "SHA256SUMS").write_text(f"{'0' * 64}  ../v1/model.json\n"), "no checksum"),
        (lambda folder: (folder / "link").symlink_to("/etc/passwd"), "neither a file nor a folder"),
    ],
)
def test_damage_is_named(version: Path, damage, says: str) -> None:
    damage(version)
    with pytest.raises(Broken, match=says):
        folders.verify_checksums(version)


def test_other_checksums_than_the_registered_ones_are_refused(version: Path) -> None:
    with pytest.raises(Broken, match="not the one that was registered"):
        open_version(version, checksum="0" * 64)


@pytest.mark.parametrize("name", ["model.json", "signature.json"])
def test_a_description_that_cannot_be_read_is_named(version: Path, name: str) -> None:
    (version / name).write_text('{"format": 3}')
    with pytest.raises(Broken, match=f"v1/{name} cannot be read"):
        open_version(version)


def test_an_unknown_format_is_named(version: Path) -> None:
    description = json.loads((version / "model.json").read_text())
    (version / "model.json").write_text(json.dumps({**description, "format": "clay tablet"}))
    with pytest.raises(Broken, match="clay tablet"):
        open_version(version)


def test_a_pickle_that_holds_no_predictor_is_refused(version: Path) -> None:
    (version / "model/predictor.pickle").write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(Broken, match="holds no predictor"):
        open_version(version)


@pytest.mark.parametrize("content", [b"", b"no graph"])
def test_a_graph_that_cannot_be_loaded_is_named(version: Path, content: bytes) -> None:
    shutil.rmtree(version / "model")
    (version / "model.onnx").write_bytes(content)
    folders.write(version / "model.json", Artifact(format="onnx", scenario="s", algorithm="a"))
    with pytest.raises(Broken, match=r"v1/model\.onnx cannot be loaded"):
        open_version(version)
