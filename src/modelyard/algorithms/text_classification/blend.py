"""Words and sentence embeddings together: the weighted mean of both models' probabilities."""

from typing import ClassVar

import numpy as np

from modelyard.algorithms.base import Algorithm, Report, Trained, TrainingData
from modelyard.algorithms.forms import Form, Search, parameter
from modelyard.algorithms.text_classification import _encoder
from modelyard.algorithms.text_classification._reports import Between
from modelyard.algorithms.text_classification._search import Found, log_loss
from modelyard.algorithms.text_classification._texts import TrainedText
from modelyard.algorithms.text_classification.linear import Linear, LinearParameters
from modelyard.formats.text import Description, probabilities

SHARES = np.linspace(0.0, 1.0, 21)


class BlendParameters(Form):
    """The form of the mean of both."""

    share: float | None = parameter(
        None, "Share of the embeddings", "0 takes only words, 1 only embeddings. Empty: held-out rows choose.",
        group="Mixing", search=Search(0.0, 1.0), ge=0.0, le=1.0,
    )  # fmt: skip
    most_texts: int = parameter(
        20_000, "Most texts", "A sample of so many is encoded, since each takes some milliseconds.",
        group="Embeddings", unit="texts", advanced=True, ge=100, le=1_000_000,
    )  # fmt: skip


class Blend(Algorithm[BlendParameters]):
    """The linear model of words and the one of embeddings, mixed as held-out rows are served best."""

    title: ClassVar[str] = "Words and sentence embeddings"
    description: ClassVar[str] = (
        "The mean of a linear model of words and one of sentence embeddings (MiniLM, English), weighted by validation: "
        "the best answers, some milliseconds each."
    )
    requires: ClassVar[tuple[str, ...]] = _encoder.REQUIRES
    Parameters = BlendParameters

    def fit(self, data: TrainingData, parameters: BlendParameters, report: Report) -> Trained:
        _encoder.installed()
        words = Linear().fit(data, LinearParameters(), Between(report, 0.0, 0.3, "words"))
        embedded = _encoder.fit(data, _encoder.TRIED, parameters.most_texts, Between(report, 0.3, 1.0, "embeddings"))
        if not isinstance(words, TrainedText):
            raise TypeError(f"{type(words).__name__} is no model of texts")
        share = parameters.share
        if share is None:
            share = _share(data, words.found["linear"], embedded.found["embedded"], report)
        report.log(f"The embeddings have a share of {share:.2f} in the answer.")
        return _mixed(words, embedded, share)

    def finish(self, data: TrainingData, trained: Trained, parameters: BlendParameters, report: Report) -> Trained:
        if not isinstance(trained, TrainedText):
            raise TypeError(f"{type(trained).__name__} is no model of texts")
        words = embedded = None
        if trained.linear is not None:
            words = Linear().finish(data, trained, LinearParameters(), Between(report, 0.0, 0.2))
        if trained.embedded is not None:
            embedded = _encoder.finish(data, trained, parameters.most_texts, Between(report, 0.2, 1.0))
        return _mixed(words, embedded, trained.description.share)


def _share(data: TrainingData, words: Found, embedded: Found, report: Report) -> float:
    """The share with the least log loss on the rows that both models were tried on."""
    labels = np.concatenate([data.labels, data.validation_labels])
    rows, of_words, of_embedded = np.intersect1d(words.held_out, embedded.held_out, return_indices=True)
    if not len(rows):
        return 0.5
    one, other = probabilities(words.raw[of_words]), probabilities(embedded.raw[of_embedded])
    losses = [log_loss((1 - share) * one + share * other, labels[rows]) for share in SHARES]
    for step, loss in enumerate(losses, start=1):
        report.metric("mixed_log_loss", step, loss)
    return float(SHARES[int(np.argmin(losses))])


def _mixed(words: Trained | None, embedded: TrainedText | None, share: float) -> TrainedText:
    parts = [part for part in (words, embedded) if isinstance(part, TrainedText)]
    first = parts[0]
    return TrainedText(
        first.signature,
        Description(columns=first.description.columns, share=share),
        next((part.linear for part in parts if part.linear is not None and share < 1), None),
        next((part.embedded for part in parts if part.embedded is not None and share > 0), None),
        {name: found for part in parts for name, found in part.found.items()},
    )
