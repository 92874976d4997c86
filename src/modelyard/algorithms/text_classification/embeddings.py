"""Sentence embeddings with a logistic regression: knows words that the training texts do not have."""

from typing import ClassVar

from modelyard.algorithms.base import Algorithm, Report, Trained, TrainingData
from modelyard.algorithms.forms import Form, Search, parameter
from modelyard.algorithms.text_classification import _encoder
from modelyard.algorithms.text_classification._texts import TrainedText


class EmbeddingsParameters(Form):
    """The form of the logistic regression on embeddings."""

    inverse_strength: float | None = parameter(
        None, "C", "Inverse of the L2 regularisation: small draws weights to zero. Empty: held-out rows choose.",
        search=Search(0.1, 100.0, log=True), ge=1e-4, le=1e4,
    )  # fmt: skip
    most_texts: int = parameter(
        20_000, "Most texts", "A sample of so many is learned from, since each takes some milliseconds to encode.",
        unit="texts", advanced=True, ge=100, le=1_000_000,
    )  # fmt: skip

    @property
    def strengths(self) -> tuple[float, ...]:
        """What is tried."""
        return (self.inverse_strength,) if self.inverse_strength else _encoder.TRIED


class Embeddings(Algorithm[EmbeddingsParameters]):
    """Logistic regression on vectors of a pretrained sentence encoder."""

    title: ClassVar[str] = "Sentence embeddings"
    description: ClassVar[str] = (
        "A pretrained encoder (MiniLM, English) turns each text into a vector by its meaning; a logistic regression "
        "learns from the vectors: good where there are few texts, some milliseconds an answer."
    )
    requires: ClassVar[tuple[str, ...]] = _encoder.REQUIRES
    Parameters = EmbeddingsParameters

    def fit(self, data: TrainingData, parameters: EmbeddingsParameters, report: Report) -> Trained:
        return _encoder.fit(data, parameters.strengths, parameters.most_texts, report)

    def finish(self, data: TrainingData, trained: Trained, parameters: EmbeddingsParameters, report: Report) -> Trained:
        if not isinstance(trained, TrainedText):
            raise TypeError(f"{type(trained).__name__} is no model of texts")
        return _encoder.finish(data, trained, parameters.most_texts, report)
