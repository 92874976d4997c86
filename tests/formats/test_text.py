"""The format of text classifiers: features of texts, and folders that are damaged."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.core.errors import Broken
from modelyard.formats import folder
from modelyard.formats._text_features import (
    Counter,
    Recipe,
    Vocabulary,
    chunks,
    normalised,
    pieces_of,
    terms_of,
)  # fmt: skip
from modelyard.formats._text_linear import Linear
from modelyard.formats._text_wordpiece import WordPiece, words
from modelyard.formats.base import Batch
from modelyard.formats.registry import open_version
from modelyard.formats.text import Description, TextClassifier, probabilities
from modelyard.protocol.artifact import DESCRIPTION, SIGNATURE, Artifact
from modelyard.protocol.signature import Field, Signature

SIGNATURE_OF_TEXT = Signature(
    scenario="text-classification", inputs=(Field(name="text", kind="text"),), target="y", classes=("a", "b", "c")
)


def batch(texts: list[str]) -> Batch:
    return Batch(np.empty((len(texts), 0), np.float32), np.array(texts, object).reshape(-1, 1))


def classifier() -> TextClassifier:
    """One that knows two words and all pieces of them."""
    buckets = np.unique(pieces_of(["good bad"], 2, 5)[0]).astype(np.int32)
    vocabulary = Vocabulary(("bad", "good"), buckets, np.ones(2 + len(buckets), np.float32))
    slopes = np.random.default_rng(0).normal(size=(vocabulary.size, 3)).astype(np.float32)
    linear = Linear(Counter(Recipe(), vocabulary), slopes, np.array([0.1, 0.2, 0.3]))
    return TextClassifier(SIGNATURE_OF_TEXT, Description(columns=(0,)), linear, None)


@pytest.fixture
def saved(tmp_path):
    model = classifier()
    form = model.write(tmp_path)
    folder.write(tmp_path / SIGNATURE, model.signature)
    folder.write(tmp_path / DESCRIPTION, Artifact(format=form, scenario="text-classification", algorithm="x"))
    return tmp_path


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(st.lists(texts, min_size=1, max_size=5))
def test_pieces_are_the_runs_of_characters_inside_words(given_texts: list[str]) -> None:
    plain = [normalised(text, 100) for text in given_texts]
    buckets, rows = pieces_of(plain, 2, 5)
    expected = []
    for text in plain:
        padded = [f" {word} " for word in text.split()]
        expected.append([word[at : at + n] for n in range(2, 6) for word in padded for at in range(len(word) - n + 1)])
    assert np.bincount(rows, minlength=len(plain)).tolist() == [len(pieces) for pieces in expected]
    found = {}
    for row, pieces in enumerate(expected):
        for bucket, piece in zip(buckets[rows == row].tolist(), pieces, strict=True):
            assert found.setdefault(piece, bucket) == bucket


@given(st.lists(texts, min_size=1, max_size=6))
def test_a_text_is_answered_the_same_alone_and_among_others(given_texts: list[str]) -> None:
    model = classifier()
    together = model.predict(batch(given_texts))
    alone = np.concatenate([model.predict(batch([text])) for text in given_texts])
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_allclose(together.sum(axis=1), 1, atol=1e-6)


@given(st.lists(st.integers(0, 2_000_000), min_size=1, max_size=8))
def test_chunks_keep_every_text_in_order(lengths: list[int]) -> None:
    given_texts = ["x" * (length % 5000) for length in lengths]
    assert [text for chunk in chunks(given_texts, 1000) for text in chunk] == given_texts


def test_the_same_text_in_other_forms_of_writing_is_the_same() -> None:
    assert normalised("  ＦＵＬＬ\twidth ﬁne\n", 100) == "full width fine"
    assert normalised("Cafe\u0301", 100) == normalised("CAFÉ", 100)
    assert normalised("a" * 50 + " tail", 10) == "a" * 10
    assert normalised("half \ud800 pair", 100) == "half pair"


def test_words_marks_and_pairs_are_terms() -> None:
    assert terms_of("is it?", 2) == ["is", "it", "?", "\x02 is", "is it", "it ?", "? \x03"]
    assert terms_of("हिन्दी में", 1) == ["हिन्दी", "में"]
    assert terms_of("", 2) == terms_of("word", 0) == []


def test_a_folder_answers_as_what_was_saved(saved) -> None:
    asked = batch(["good", "bad BAD", "", "neither", "漢字"])
    np.testing.assert_array_equal(open_version(saved).predict(asked), classifier().predict(asked))
    assert open_version(saved).predict(batch([])).shape == (0, 3)


def test_large_scores_are_no_overflow() -> None:
    np.testing.assert_allclose(probabilities(np.array([[1e6], [-1e6]])), [[0, 1], [1, 0]], atol=1e-300)
    assert probabilities(np.array([[1e6, 0, -1e6]])).tolist() == [[1, 0, 0]]


@pytest.mark.parametrize("name", ["text.json", "linear.json", "linear.npz"])
@pytest.mark.parametrize("content", [b"", b"{}", b"\x80\x04pickle", None])
def test_a_damaged_file_is_broken(saved, name: str, content: bytes | None) -> None:
    if content is None:
        (saved / name).unlink()
    else:
        (saved / name).write_bytes(content)
    with pytest.raises(Broken):
        open_version(saved)


@pytest.mark.parametrize(
    "change",
    [
        {"slopes": np.zeros((3, 3), np.float32)},
        {"intercepts": np.zeros(2)},
        {"weights": np.array([np.nan], np.float32)},
        {"buckets": np.array([-5], np.int32)},
        {"buckets": np.array([1.5])},
        {"slopes": np.array([object()])},
    ],
)
def test_parts_that_do_not_fit_are_broken(saved, change: dict) -> None:
    with np.load(saved / "linear.npz") as file:
        arrays = dict(file)
    np.savez(saved / "linear.npz", **{**arrays, **change})
    with pytest.raises(Broken):
        open_version(saved)


@pytest.mark.parametrize("description", [{"columns": []}, {"columns": [1]}, {"columns": [0], "share": 2.0}])
def test_a_description_that_does_not_fit_the_signature_is_broken(saved, description: dict) -> None:
    (saved / "text.json").write_bytes(msgspec.json.encode(description))
    with pytest.raises(Broken, match="does not fit"):
        open_version(saved)


def test_words_are_taken_apart_into_the_longest_known_pieces() -> None:
    tokens = WordPiece(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "play", "##ing", "##s", "the", ",", "漢"], 8)
    assert tokens("Playing, the PLAYS") == [2, 4, 5, 8, 7, 4, 6, 3]
    assert tokens("xyz 漢") == [2, 1, 9, 3]
    assert tokens("the " * 20) == [2, 7, 7, 7, 7, 7, 7, 3]
    assert tokens("p" * 200) == [2, 1, 3]
    assert list(words("Wörld\u0000 it's\u00a0x_y")) == ["world", "it", "'", "s", "x", "_", "y"]


def test_a_vocabulary_without_the_special_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match="CLS"):
        WordPiece(["[UNK]", "[SEP]"], 8)
