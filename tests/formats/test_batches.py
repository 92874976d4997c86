"""Rows as files come back as they were, and nothing in them is ever run."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from modelyard.formats.base import Batch
from modelyard.formats.batches import load_array, load_batch, save_batch


@pytest.mark.parametrize(
    ("numbers", "strings"),
    [
        ([[1.5, np.nan], [-0.0, 3e38], [0, 0]], [["a", ""], ["", "ü 漢"], ["a", "x\ny"]]),
        ([[], [], []], [["a"], ["b"], ["a"]]),
        ([[1.0], [2.0]], [[], []]),
        (np.empty((0, 2)), np.empty((0, 1))),
    ],
)
def test_rows_come_back_as_they_were(numbers, strings, tmp_path: Path) -> None:
    given = Batch(np.array(numbers, np.float32), np.array(strings, object))
    save_batch(tmp_path / "rows", given)
    found = load_batch(tmp_path / "rows")
    np.testing.assert_array_equal(found.numbers, given.numbers)
    assert found.numbers.dtype == np.float32
    assert found.strings.tolist() == given.strings.tolist()
    assert found.strings.shape == given.strings.shape


def test_an_array_of_pickled_objects_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.npy"
    np.save(path, np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle"):
        load_array(path)
    path.write_bytes(pickle.dumps(1))
    with pytest.raises(ValueError, match="pickled"):
        load_array(path)
