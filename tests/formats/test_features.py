"""What is computed in front of a graph: dates and texts, from data, the same for a row wherever it stands."""

from pathlib import Path

import numpy as np
import pytest

from modelyard.core.errors import Broken
from modelyard.formats import features
from modelyard.formats.base import Batch
from modelyard.formats.features import DateColumn, Features, Featuriser, TextColumn

PARTS = ("year", "month", "day", "weekday", "ordinal", "hour")
LEARNED = Features(
    categories=(0,),
    dates=(DateColumn(1, ("year", "hour")),),
    texts=(TextColumn(2, ("cat", "dog"), (1.0, 2.0), ((1.0, 0.0), (0.0, 1.0))),),
)


def batch(*rows: tuple[str, str, str]) -> Batch:
    return Batch(np.arange(len(rows), dtype=np.float32).reshape(-1, 1), np.array(rows, object).reshape(len(rows), 3))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01", (1970, 1, 1, 3, 0, 0)),
        ("2024-02-29", (2024, 2, 29, 3, 19782, 0)),
        ("2024-02-29T18:45:00", (2024, 2, 29, 3, 19782, 18.75)),
        ("2024-03-01T00:30:00+01:00", (2024, 2, 29, 3, 19782, 23.5)),
        ("2024-02-29T18:45:00Z", (2024, 2, 29, 3, 19782, 18.75)),
        ("0001-01-01", (1, 1, 1, 0, -719162, 0)),
    ],
)
def test_the_parts_of_a_date(text: str, expected: tuple[float, ...]) -> None:
    assert features.date_numbers(np.array([text], object), PARTS)[0].tolist() == list(expected)


@pytest.mark.parametrize("text", ["", "yesterday", "2024-13-01", "9999-12-31T23:59:59-05:00"])
def test_what_is_no_date_is_missing(text: str) -> None:
    assert np.isnan(features.date_numbers(np.array([text], object), PARTS)).all()


def test_derived_numbers_are_appended_and_categories_stay() -> None:
    made = Featuriser(LEARNED)(batch(("red", "2024-05-31T06:00:00", "Cat, DOG dog!"), ("blue", "", "")))
    length = np.sqrt(1 + (2 * (1 + np.log(2))) ** 2)
    expected = [[0, 2024, 6, 1 / length, 2 * (1 + np.log(2)) / length, np.log1p(3)], [1, np.nan, np.nan, 0, 0, 0]]
    np.testing.assert_allclose(made.numbers, np.array(expected, np.float32), rtol=1e-6)
    assert made.numbers.dtype == np.float32
    assert made.strings.tolist() == [["red"], ["blue"]]


def test_a_row_s_features_do_not_depend_on_its_neighbours() -> None:
    rows = [("a", "2024-05-31", "cat dog " * count) for count in range(1, 9)]
    together = Featuriser(LEARNED)(batch(*rows)).numbers[:, 1:]
    alone = np.concatenate([Featuriser(LEARNED)(batch(row)).numbers[:, 1:] for row in rows])
    np.testing.assert_array_equal(together, alone)


def test_what_was_learned_survives_being_saved(tmp_path: Path) -> None:
    LEARNED.save(tmp_path)
    assert features.load(tmp_path) == LEARNED


def test_nothing_is_saved_where_nothing_is_computed(tmp_path: Path) -> None:
    plain = Features(categories=(0, 1))
    plain.save(tmp_path)
    assert features.load(tmp_path) is None
    given = Batch(np.ones((1, 1), np.float32), np.array([["a", "b"]], object))
    assert Featuriser(plain)(given) is given


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "features.json").write_text("[]")
    with pytest.raises(Broken, match=r"features\.json cannot be read"):
        features.load(tmp_path)
