"""Texts of every kind: other scripts, hardly any text, many classes, few of one; and real messages."""

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from modelyard.algorithms import registry
from modelyard.algorithms.base import TrainingData
from modelyard.algorithms.tabular.split import split
from modelyard.algorithms.text_classification import _texts
from modelyard.algorithms.text_classification._search import calibrated, folds_of
from modelyard.core.errors import Invalid
from modelyard.formats._text_features import Recipe
from modelyard.formats.base import Batch
from modelyard.formats.text import probabilities
from modelyard.protocol.signature import Field, Signature

MESSAGES = Path(__file__).parents[3] / "benchmarks" / "data" / "text_sms_spam"


def batch(texts) -> Batch:
    return Batch(np.empty((len(texts), 0), np.float32), np.array(texts, object).reshape(-1, 1))


def data_of(texts: list[str], labels: list[int], kind: str = "text") -> TrainingData:
    values, rows = np.array(labels, np.int64), np.array(texts, object)
    signature = Signature(
        scenario="text-classification", inputs=(Field(name="text", kind=kind),), target="y",
        classes=tuple(f"class {place}" for place in range(values.max() + 1)),
    )  # fmt: skip
    validation = split(values, 0, test=False, validation=True) == "validation"
    return TrainingData(
        signature=signature, rows=batch(rows[~validation]), labels=values[~validation],
        validation=batch(rows[validation]), validation_labels=values[validation], seed=0,
    )  # fmt: skip


def learned(name: str, data: TrainingData, report, **parameters):
    algorithm = registry.get(f"text-classification/{name}")
    form = algorithm.Parameters(**parameters)
    return algorithm().finish(data, algorithm().fit(data, form, report), form, report)


def read(part: str) -> tuple[list[str], list[int]]:
    with (MESSAGES / f"{part}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], [int(row["label"] == "spam") for row in rows]


@pytest.mark.parametrize("name", ["linear", "nbsvm"])
def test_unwanted_messages_are_told_from_others(name: str, report) -> None:
    texts, labels = read("test")
    answers = learned(name, data_of(*read("train")), report, inverse_strength=1.0).predict(batch(texts))
    assert np.mean(answers.argmax(axis=1) == labels) >= 0.98
    assert np.corrcoef(answers.argmax(axis=1), labels)[0, 1] >= 0.92
    # Calibrated: of what is called spam with p, a share of p is spam.
    assert abs(float(answers[:, 1].mean()) - np.mean(labels)) < 0.02


def test_a_language_without_spaces_is_learned_from_pieces(report) -> None:
    random = np.random.default_rng(1)
    good, bad = ["質が良い", "とても満足", "素晴らしい"], ["壊れていた", "返品したい", "最悪です"]
    filler = ["昨日届いた商品は", "友達に勧められて", "この店の", "三回目の購入で"]
    labels = random.integers(0, 2, 200).tolist()
    texts = [random.choice(filler) + random.choice((good, bad)[label]) + random.choice(filler) for label in labels]
    model = learned("linear", data_of(texts, labels, "category"), report)
    asked = ["先週は質が良いと思った", "すぐに壊れていたので"]
    assert model.predict(batch(asked)).argmax(axis=1).tolist() == [0, 1]


def test_empty_and_unknown_texts_are_answered_by_the_shares_of_the_classes(report) -> None:
    texts = ["yes please"] * 60 + ["no thanks"] * 20 + [""] * 8
    model = learned("linear", data_of(texts, [0] * 60 + [1] * 20 + [0, 0, 0, 1] * 2), report)
    answers = model.predict(batch(["", " \n", "\u200b", "ζ"]))
    assert np.isfinite(answers).all()
    assert (answers[:, 0] > 0.5).all()


def test_a_hundred_classes(report) -> None:
    random = np.random.default_rng(2)
    labels = np.repeat(np.arange(100), 8)
    texts = [f"order about item{label} {random.choice(['red', 'blue', 'old'])} box" for label in labels]
    model = learned("linear", data_of(texts, labels.tolist()), report, inverse_strength=1.0)
    answers = model.predict(batch([f"where is item{label}" for label in range(100)]))
    assert np.mean(answers.argmax(axis=1) == np.arange(100)) > 0.95
    assert np.mean(answers.max(axis=1)) > 0.3


def test_one_of_a_hundred_is_found(report) -> None:
    random = np.random.default_rng(3)
    words = ["box", "late", "blue", "paid", "again", "house", "green", "tree"]
    labels = (np.arange(2000) % 100 == 0).astype(int)
    texts = [" ".join(random.choice(words, 6)) + (" fire alarm" if label else "") for label in labels]
    model = learned("linear", data_of(texts, labels.tolist()), report)
    answers = model.predict(batch(["late again fire alarm box", "late again box house"]))[:, 1]
    assert answers[0] > 0.5
    assert answers[1] < 0.05


def test_every_column_of_strings_is_read_and_numbers_are_named_as_left_out(report) -> None:
    fields = (
        Field(name="title", kind="category"), Field(name="n", kind="number"), Field(name="body", kind="text"),
        Field(name="day", kind="date"),
    )  # fmt: skip
    strings = np.array([["urgent", "the box", ""], ["calm", "the box", ""]] * 40, object)
    data = data_of(["x"] * 80, [0, 1] * 40)
    rows, labels = Batch(np.ones((80, 1), np.float32), strings), np.array([0, 1] * 40)
    signature = Signature(scenario="text-classification", inputs=fields, target="y", classes=("a", "b"))
    data = dataclasses.replace(
        data, signature=signature, rows=rows, labels=labels, validation=rows, validation_labels=labels
    )
    model = learned("linear", data, report)
    assert model.predict(rows).argmax(axis=1).tolist() == labels.tolist()
    assert any("n, day" in line for line in report.lines)


def test_a_table_without_text_is_refused(report) -> None:
    data = data_of(["x"] * 20, [0, 1] * 10, "date")
    with pytest.raises(Invalid, match="column of text"):
        learned("linear", data, report)


def test_a_class_without_training_rows_is_never_answered_first(report) -> None:
    data = data_of(["good"] * 20 + ["bad"] * 20 + ["odd"] * 3, [0] * 20 + [1] * 20 + [2] * 3)
    kept = data.labels < 2
    data = dataclasses.replace(data, rows=batch(data.rows.strings[kept, 0]), labels=data.labels[kept])
    algorithm = registry.get("text-classification/linear")
    model = algorithm().fit(data, algorithm.Parameters(), report)
    assert set(model.predict(batch(["good", "bad", "odd", ""])).argmax(axis=1).tolist()) <= {0, 1}


def test_long_texts_are_counted_by_words_only_and_sampled_beyond(report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_texts, "MOST_CHARACTERS", 1000)
    texts = _texts.read(data_of(["some words here " * 60] * 40, [0, 1] * 20), report)
    sample, recipe = _texts.bounded(texts, Recipe(), 0, report)
    assert recipe.longest == 0
    assert len(sample.texts) == 12
    assert sample.labels.tolist() == texts.labels[sample.places].tolist()
    assert sample.validation == sum(sample.places >= texts.training)


def test_folds_hold_every_row_out_once_with_its_share_of_each_class() -> None:
    labels = np.array([0] * 90 + [1] * 10)
    folds = folds_of(labels, 15, 1000, 0)
    assert sorted(np.concatenate([held for _, held in folds]).tolist()) == list(range(100))
    assert [int(labels[held].sum()) for _, held in folds] == [2] * 5
    assert all(not set(learned.tolist()) & set(held.tolist()) for learned, held in folds)
    ((_, held),) = folds_of(labels, 15, 10**9, 0)
    assert held.tolist() == list(range(85, 100))


def test_calibrated_scores_are_probabilities() -> None:
    random = np.random.default_rng(4)
    truth = random.normal(0, 2, 5000)
    labels = (random.random(5000) < 1 / (1 + np.exp(-truth))).astype(np.int64)
    found = calibrated((truth / 7 + 3).reshape(-1, 1), labels, 2)
    assert found.scale == pytest.approx(7, rel=0.1)
    answers = probabilities((truth / 7 + 3).reshape(-1, 1) * found.scale + found.biases)
    assert answers[:, 1].mean() == pytest.approx(labels.mean(), abs=0.005)


@pytest.mark.parametrize("name", ["embeddings", "blend"])
def test_without_the_encoder_s_packages_it_says_what_to_install(name: str, report, monkeypatch) -> None:
    monkeypatch.setattr("modelyard.algorithms.text_classification._encoder.find_spec", lambda package: None)
    with pytest.raises(Invalid, match=r"pip install 'modelyard\[text\]'"):
        learned(name, data_of(["a", "b"] * 20, [0, 1] * 20), report)
