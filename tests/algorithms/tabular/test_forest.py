"""Trees of other libraries answer as these libraries do, in numpy and in the graph."""

import numpy as np
import pytest

from modelyard.algorithms import registry
from modelyard.algorithms.tabular import encodings, extras
from modelyard.algorithms.tabular.boosting import Preparation
from modelyard.algorithms.tabular.encodings import Encoder
from modelyard.algorithms.tabular.forest import Forest, Growing
from modelyard.core.errors import Invalid
from modelyard.formats.base import Batch


@pytest.mark.parametrize("classes", [0, 2, 4])
def test_the_trees_of_xgboost_answer_as_xgboost(classes: int, made, report, monkeypatch) -> None:
    xgboost = pytest.importorskip("xgboost")
    boosters = []
    train = xgboost.train
    monkeypatch.setattr(
        xgboost, "train", lambda *given, **named: boosters.append(train(*given, **named)) or boosters[-1]
    )
    data = made(classes)
    algorithm = registry.get(f"tabular-{'classification' if classes else 'regression'}/xgboost")
    model = algorithm().fit(data, algorithm.Parameters(max_rounds=40, patience=40), report)
    preparation = model._preparation
    kinds = ["q"] * len(preparation.fill) + ["c"] * len(preparation.vocabularies)
    matrix = xgboost.DMatrix(preparation.matrix(data.rows), feature_types=kinds, enable_categorical=True)
    native = boosters[-1].predict(matrix, output_margin=True, iteration_range=(0, int(model.chosen)))
    found = model._forest.raw(preparation.matrix(data.rows)) - model._forest.offsets
    if classes > 2:
        native, found = (scores - scores.mean(axis=1, keepdims=True) for scores in (native, found))
    np.testing.assert_allclose(found, native.reshape(found.shape), atol=2e-5)


def test_a_threshold_on_an_encoding_parts_the_codes_exactly(made) -> None:
    data = made(2)
    preparation = Preparation.learn(data.signature, data.rows, 0)
    encoder, matrix = encodings.learn(preparation, data.rows, data.labels.reshape(-1, 1).astype(float), 0)
    plain = preparation.matrix(data.rows)
    asked = encoder.matrix(data.rows)
    for feature in range(encoder.numbers, matrix.shape[1]):
        threshold = float(np.median(asked[:, feature]))
        left = encoder.left(feature, threshold)
        codes = plain[:, encoder.column(feature)].astype(int)
        np.testing.assert_array_equal(left[codes], asked[:, feature] <= threshold)


def test_a_training_row_s_mean_of_the_target_does_not_know_its_own_label(made) -> None:
    data = made(0)
    preparation = Preparation.learn(data.signature, data.rows, 0)
    one = data.labels.reshape(-1, 1).copy()
    other = one.copy()
    other[0] += 1e6
    _, before = encodings.learn(preparation, data.rows, one, 0)
    _, after = encodings.learn(preparation, data.rows, other, 0)
    np.testing.assert_array_equal(before[0], after[0])
    assert (before != after).any()


def test_missing_numbers_and_sets_of_codes_go_where_they_belong(made) -> None:
    data = made(2, rows=200)
    encoder = Encoder(Preparation.learn(data.signature, data.rows, 0), ())
    column = encoder.numbers
    growing = Growing(encoder)
    growing.split(0, 1.5, 1, ~0, missing_left=True)
    growing.member(column, np.isin(np.arange(70), [3, 66]), ~1, 2)
    growing.member(column, np.zeros(70, bool), ~2, ~3)
    for value in (10.0, 20.0, 30.0, 40.0):
        growing.leaf(value)
    forest = Forest(trees=(growing.grown(),), scores=1, offsets=np.zeros(1))
    matrix = np.zeros((5, column + 1), np.float32)
    matrix[:, 0] = [2.0, np.nan, 1.5, 1.0, np.nan]
    matrix[:, column] = [3, 3, 66, 4, 2000]
    assert forest.raw(matrix)[:, 0].tolist() == [10, 20, 20, 40, 40]


def test_a_library_that_is_not_there_says_what_to_install() -> None:
    with pytest.raises(Invalid, match=r"pip install 'modelyard\[no_such_library\]'"):
        extras.imported("no_such_library")


def test_extra_trees_never_call_a_class_impossible(made, report, odd: Batch) -> None:
    algorithm = registry.get("tabular-classification/extra-trees")
    model = algorithm().fit(made(4), algorithm.Parameters(trees=20, min_samples_leaf=1), report)
    assert model.predict(odd).min() > 0
