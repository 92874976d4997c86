"""A damaged folder of row detectors is refused, a good one answers."""

import msgspec
import numpy as np
import pytest

from modelyard.core.errors import Broken
from modelyard.formats import folder
from modelyard.formats._anomaly_columns import Columns
from modelyard.formats._anomaly_detectors import Histograms
from modelyard.formats.anomaly import ARRAYS, FILE, Description, Judgement, Ladder, RowAnomalies
from modelyard.formats.base import Batch
from modelyard.formats.registry import open_version
from modelyard.protocol.artifact import DESCRIPTION, SIGNATURE, Artifact
from modelyard.protocol.signature import Field, Signature

FORM = Signature(scenario="anomaly-detection", inputs=(Field(name="a", kind="number"),), target="odd")


@pytest.fixture
def version(tmp_path):
    """One histogram with two bins: values from 0 to 1 are usual, from 1 to 2 rare."""
    arrays = {"low": np.zeros(1), "step": np.ones(1), "surprise": np.array([[0.0, 2.0]])}
    columns = Columns(numbers=(0,), rarities=(), centre=(0.0,), scale=(1.0,))
    described = Description(columns, ("histograms",), (), (1.0,), "mean", Judgement(1.0, 0.0))
    predictor = RowAnomalies(FORM, described, [Histograms(arrays, 1)])
    folder.write(tmp_path / SIGNATURE, FORM)
    folder.write(tmp_path / DESCRIPTION, Artifact(format=predictor.save(tmp_path), scenario="any", algorithm="any"))
    return tmp_path


def ask(version, *values):
    return open_version(version).predict(Batch(np.array([values], np.float32).T, np.empty((len(values), 0), object)))


def test_rows_get_score_severity_and_flag(version):
    answers = ask(version, 0.5, 1.5, 9.0, np.nan)
    np.testing.assert_allclose(answers[:2, 0], [0, 2])
    assert answers[2, 0] > 2
    np.testing.assert_array_equal(answers[:, 2], [0, 1, 1, 0])
    assert answers[0, 1] == 0
    assert 0.5 < answers[1, 1] < answers[2, 1] <= 1


@pytest.mark.parametrize("file", [FILE, ARRAYS])
@pytest.mark.parametrize("content", [b"", b"nonsense", b"{}", b"PK\x03\x04"])
def test_a_damaged_file_is_refused(version, file, content):
    (version / file).write_bytes(content)
    with pytest.raises(Broken, match="Train the version again"):
        open_version(version)


@pytest.mark.parametrize("file", [FILE, ARRAYS])
def test_a_missing_file_is_refused(version, file):
    (version / file).unlink()
    with pytest.raises(Broken):
        open_version(version)


@pytest.mark.parametrize(
    "changes",
    [
        {"kinds": ("unheard of",)},
        {"kinds": ("tails",)},
        {"kinds": ()},
        {"weights": ()},
        {"columns": Columns(numbers=(4,), rarities=(), centre=(0.0,), scale=(1.0,))},
        {"columns": Columns(numbers=(0,), rarities=(), centre=(0.0,), scale=(0.0,))},
        {"columns": Columns(numbers=(0, 0), rarities=(), centre=(0.0, 0.0), scale=(1.0, 1.0))},
    ],
)
def test_a_description_that_does_not_fit_is_refused(version, changes):
    described = msgspec.json.decode((version / FILE).read_bytes(), type=Description)
    (version / FILE).write_bytes(msgspec.json.encode(msgspec.structs.replace(described, **changes)))
    with pytest.raises(Broken):
        open_version(version)


def test_arrays_that_hold_objects_are_refused(version):
    with (version / ARRAYS).open("wb") as file:
        np.savez(file, **{name: np.array([{}], object) for name in ("0.low", "0.step", "0.surprise")})
    with pytest.raises(Broken):
        open_version(version)


def test_a_scale_that_does_not_rise_is_refused():
    columns = Columns(numbers=(0,), rarities=(), centre=(0.0,), scale=(1.0,))
    arrays = {"low": np.zeros(1), "step": np.ones(1), "surprise": np.array([[0.0, 2.0]])}
    ladder = Ladder((1.0, 1.0), (0.0, 1.0), 1.0)
    described = Description(columns, ("histograms",) * 2, (ladder,) * 2, (0.5,) * 2, "largest", Judgement(1.0, 0.0))
    with pytest.raises(ValueError, match="does not rise"):
        RowAnomalies(FORM, described, [Histograms(arrays, 1)] * 2)
