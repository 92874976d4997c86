"""What the learners of texts share: reading the columns, bounding the work, counting, and the model that is served."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelyard.algorithms.base import Report, Trained, TrainingData
from modelyard.algorithms.tabular.rows import joined as joined_rows
from modelyard.algorithms.text_classification import _vocabulary
from modelyard.algorithms.text_classification._search import Candidate, Found, Solver, Weights, folds_of, search
from modelyard.core.errors import Invalid
from modelyard.formats._text_embeddings import Embedded
from modelyard.formats._text_features import Counter, Recipe, joined
from modelyard.formats._text_linear import Linear
from modelyard.formats.text import Description, TextClassifier, scores_of
from modelyard.protocol.signature import Signature

MOST_CHARACTERS = 20_000_000
"""Characters of all texts up to which pieces of words are counted; twelve times as many where only words are."""

MOST_WEIGHTS = 20_000_000
"""Columns of one kind times scores: what bounds the size of a version."""

MOST_COLUMNS, FEWEST_COLUMNS = 300_000, 20_000

SPACED = 0.05
"""Share of spaces from which on a text is taken to consist of words."""


class TrainedText(TextClassifier, Trained):
    """A classifier of texts that knows how its parts were found: "linear", "embedded"."""

    def __init__(
        self,
        signature: Signature,
        description: Description,
        linear: Linear | None,
        embedded: Embedded | None,
        found: dict[str, Found],
    ) -> None:
        super().__init__(signature, description, linear, embedded)
        self.found = found

    def save(self, folder: Path) -> str:
        return self.write(folder)


@dataclass(frozen=True)
class Texts:
    """The rows to learn from, as texts with labels; the last `validation` of them are the validation rows.

    `places` says where each stands among all rows of training and validation, should these be a sample.
    """

    columns: tuple[int, ...]
    texts: list[str]
    labels: NDArray[np.int64]
    validation: int
    places: NDArray[np.intp]

    @property
    def training(self) -> int:
        """How many rows are no validation rows."""
        return len(self.texts) - self.validation

    def sampled(self, most: int, seed: int) -> "Texts":
        """At most so many, in order."""
        if len(self.texts) <= most:
            return self
        chosen = np.sort(np.random.default_rng(seed).permutation(len(self.texts))[:most])
        return replace(
            self,
            texts=[self.texts[row] for row in chosen],
            labels=self.labels[chosen],
            validation=int(np.sum(chosen >= self.training)),
            places=self.places[chosen],
        )


def read(data: TrainingData, report: Report) -> Texts:
    """All rows, training ones first. Raises Invalid where there is nothing to read, or nothing to tell apart."""
    fields = data.signature.string_inputs
    columns = tuple(place for place, field in enumerate(fields) if field.kind in {"text", "category"})
    if not columns:
        raise Invalid(
            "Text classification needs a column of text, and the table has none beside its target. "
            "Use tabular-classification for a table of numbers."
        )
    left_out = [field.name for field in data.signature.inputs if field not in [fields[column] for column in columns]]
    report.log(f"Read as text: {', '.join(fields[column].name for column in columns)}.")
    if left_out:
        report.log(f"Not read, since they hold no text: {', '.join(left_out)}.")
    rows = joined_rows([data.rows, data.validation])
    labels = np.concatenate([data.labels, data.validation_labels]).astype(np.int64)
    return Texts(columns, joined(rows.strings, columns), labels, len(data.validation_labels), np.arange(len(labels)))


def bounded(texts: Texts, recipe: Recipe, seed: int, report: Report) -> tuple[Texts, Recipe]:
    """A sample of the texts, or of what is counted in them, where all of it would take too long and too much memory."""
    lengths = np.minimum([len(text) for text in texts.texts], recipe.characters)
    total, most = int(lengths.sum()), MOST_CHARACTERS
    if recipe.longest and recipe.words and total > most and _spaces(texts.texts) >= SPACED:
        report.log(f"Only words are counted, no pieces of words: the texts have {total:,} characters.")
        recipe = msgspec.structs.replace(recipe, longest=0)
    if not recipe.longest:
        most *= 12
    if total <= most:
        return texts, recipe
    sample = texts.sampled(int(len(lengths) * most / total), seed)
    report.log(f"Learned from a sample of {len(sample.texts):,} of {len(lengths):,} texts, of {total:,} characters.")
    return sample, recipe


def counter_of(texts: Texts, recipe: Recipe, classes: int, *, least: int, weighted: bool) -> Counter:
    """What counts in the texts."""
    most = int(np.clip(MOST_WEIGHTS // scores_of(classes), FEWEST_COLUMNS, MOST_COLUMNS))
    return Counter(recipe, _vocabulary.learn(texts.texts, recipe, least=least, most=most, weighted=weighted))


def matrix_of(counter: Counter, texts: list[str]) -> Any:
    """The features of texts as a SciPy matrix, compressed by rows."""
    from scipy.sparse import csr_array

    rows = counter(texts)
    shape = (len(texts), max(1, counter.vocabulary.size))
    return csr_array((rows.values, rows.columns, rows.starts.astype(np.int32)), shape=shape)


def _spaces(texts: list[str]) -> float:
    sample = "".join(texts[:: max(1, len(texts) // 1000)])[:1_000_000]
    return sample.count(" ") / max(1, len(sample))


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a linear model of counts is learned."""

    recipe: Recipe
    least: int
    weighted: bool
    candidates: tuple[Candidate, ...]
    balance: bool
    solver: Solver


def fit(data: TrainingData, plan: Plan, report: Report) -> TrainedText:
    """Search among the candidates; then learn from the training rows."""
    report.progress("counting words", 0.0)
    classes = len(data.signature.classes)
    texts, recipe = bounded(read(data, report), plan.recipe, data.seed, report)
    counter = counter_of(texts, recipe, classes, least=plan.least, weighted=plan.weighted)
    matrix = matrix_of(counter, texts.texts)
    products = matrix.nnz * scores_of(classes)
    vocabulary = counter.vocabulary
    report.log(f"{len(vocabulary.terms):,} words and pairs, {len(vocabulary.buckets):,} pieces of words are counted.")
    folds = folds_of(texts.labels, texts.validation, products, data.seed)
    found = search(matrix, texts.labels, classes, plan.candidates, folds, plan.solver, report, balance=plan.balance)
    weights = plan.solver(matrix[: texts.training], texts.labels[: texts.training], found.candidate)
    return _trained(data, texts, counter, weights, found._replace(held_out=texts.places[found.held_out]))


def finish(data: TrainingData, trained: Trained, plan: Plan, report: Report) -> TrainedText:
    """Learn from training and validation rows what `fit` found."""
    if not isinstance(trained, TrainedText) or trained.linear is None:
        raise TypeError(f"{type(trained).__name__} is no linear model of texts")
    report.progress("learning again with the validation rows", 0.0)
    # What is counted was learned from all rows: that takes no labels.
    texts, _ = bounded(read(data, report), trained.linear.counter.recipe, data.seed, report)
    found = trained.found["linear"]
    matrix = matrix_of(trained.linear.counter, texts.texts)
    weights = plan.solver(matrix, texts.labels, found.candidate)
    report.progress("learning again with the validation rows", 1.0)
    return _trained(data, texts, trained.linear.counter, weights, found)


def _trained(data: TrainingData, texts: Texts, counter: Counter, weights: Weights, found: Found) -> TrainedText:
    slopes, intercepts = found.calibration.apply(weights)
    slopes = slopes[: counter.vocabulary.size]
    linear = Linear(counter, np.ascontiguousarray(slopes, np.float32), intercepts)
    return TrainedText(data.signature, Description(columns=texts.columns), linear, None, {"linear": found})
