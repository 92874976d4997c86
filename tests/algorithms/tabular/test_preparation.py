"""What is learned of categories, dates and texts."""

import numpy as np
import pytest

from modelyard.algorithms.tabular import categories, preparation
from modelyard.formats.base import Batch
from modelyard.formats.features import Features, Featuriser


def objects(values: list) -> np.ndarray:
    return np.array(values, object)


def test_frequent_categories_get_codes_and_rare_ones_share_one() -> None:
    column = objects(["b"] * 5 + ["a"] * 5 + ["c"] * 9 + [f"rare {n}" for n in range(6)]).reshape(-1, 1)
    (vocabulary,) = categories.learn(column, at_least=3, most=100)
    assert vocabulary == (("c", "a", "b"), True)
    asked = objects([["c"], ["b"], ["rare 1"], ["never seen"]])
    assert categories.codes(asked, (vocabulary,)).ravel().tolist() == [1, 3, 4, 4]


def test_without_enough_rare_ones_what_is_unseen_has_code_0() -> None:
    (vocabulary,) = categories.learn(objects([["a"], ["a"], [""], [""], ["odd"]]), at_least=2, most=100)
    assert vocabulary == (("", "a"), False)
    assert categories.codes(objects([["odd"], ["a"], [""]]), (vocabulary,)).ravel().tolist() == [0, 2, 1]


def test_the_number_of_categories_is_bounded() -> None:
    column = objects([f"v{n % 50}" for n in range(500)]).reshape(-1, 1)
    (vocabulary,) = categories.learn(column, at_least=2, most=20)
    assert len(vocabulary.values) == 20
    assert vocabulary.other


def test_texts_about_the_same_thing_lie_close() -> None:
    about_boxes = ["the box came late again", "a late box", "late box late", "my box was late"] * 10
    about_money = ["paid the bill twice", "bill was paid", "they paid no bill", "bill paid"] * 10
    column = preparation.learn_text(0, objects(about_boxes + about_money), seed=0)
    asked = objects([["box late"], ["late late box"], ["bill paid"], ["nothing known"], [""]])
    places = Featuriser(Features((), texts=(column,)))(Batch(np.empty((5, 0), np.float32), asked)).numbers

    def cosine(one: int, other: int) -> float:
        a, b = places[one, :-1], places[other, :-1]
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    assert cosine(0, 1) > 0.9
    assert cosine(0, 2) < 0.3
    assert not places[3, :-1].any()
    assert places[4].tolist() == [0] * places.shape[1]


def test_texts_without_words_in_common_become_their_length() -> None:
    column = preparation.learn_text(0, objects(["alpha", "beta gamma"]), seed=0)
    asked = Batch(np.empty((1, 0), np.float32), objects([["one two three"]]))
    assert Featuriser(Features((), texts=(column,)))(asked).numbers == pytest.approx(np.log1p(3))


@pytest.mark.parametrize(
    ("dates", "parts"),
    [
        (["2024-01-01", "2024-02-03", ""], ("month", "day", "weekday", "ordinal")),
        (["2024-01-01T10:00:00", "2024-01-01T12:30:00"], ("hour",)),
        (["", ""], ()),
    ],
)
def test_only_the_parts_of_dates_that_differ_are_kept(dates: list[str], parts: tuple[str, ...]) -> None:
    from modelyard.protocol.signature import Field, Signature

    signature = Signature(scenario="s", inputs=(Field(name="d", kind="date"),), target="y")
    rows = Batch(np.empty((len(dates), 0), np.float32), objects(dates).reshape(-1, 1))
    assert preparation.learn_features(signature, rows, 0).dates[0].parts == parts
