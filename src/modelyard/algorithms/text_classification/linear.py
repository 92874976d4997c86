"""A linear model of words and pieces of words: the usual best choice for texts without a neural network."""

from typing import ClassVar, Literal

from modelyard.algorithms.base import Algorithm, Report, Trained, TrainingData
from modelyard.algorithms.forms import Form, Search, parameter
from modelyard.algorithms.text_classification import _texts
from modelyard.algorithms.text_classification._search import Candidate
from modelyard.algorithms.text_classification._search import Linear as Solver
from modelyard.algorithms.text_classification._texts import Plan
from modelyard.formats._text_features import Recipe

HINGE = (0.1, 0.3, 1.0, 3.0)
LOGISTIC = (3.0, 30.0)


class LinearParameters(Form):
    """The form of the linear model."""

    loss: Literal["automatic", "hinge", "logistic"] = parameter(
        "automatic", "Loss",
        "Hinge (a support vector machine) separates sharply; logistic follows the probabilities. Automatic: what "
        "serves held-out rows better for two classes, hinge for more.",
        search=("hinge", "logistic"),
    )  # fmt: skip
    inverse_strength: float | None = parameter(
        None, "C",
        "Inverse of the L2 regularisation: small draws weights to zero. Empty: held-out rows choose.",
        search=Search(0.01, 100.0, log=True), ge=1e-4, le=1e4,
    )  # fmt: skip
    class_weights: Literal["automatic", "none", "balanced"] = parameter(
        "automatic", "Weights of classes",
        "Balanced lets each class weigh the same in learning, however rare it is. Automatic: balanced is tried where "
        "classes differ much in size.",
    )  # fmt: skip
    words: int = parameter(
        2, "Words in a row", "The longest row of words that is counted; 0 counts no words.",
        group="Counting", unit="words", search=(1, 2, 3), ge=0, le=3,
    )  # fmt: skip
    longest_piece: int = parameter(
        5, "Longest piece of a word",
        "Pieces of 2 to so many characters are counted beside words: they carry inflection, spelling mistakes, and "
        "languages that write no spaces; 0 counts no pieces.",
        group="Counting", unit="characters", search=(0, 4, 5), ge=0, le=8,
    )  # fmt: skip
    least_texts: int = parameter(
        1, "Fewest texts", "In how many training texts a word or piece must occur to count.",
        group="Counting", unit="texts", search=(1, 2, 3), ge=1, le=100,
    )  # fmt: skip
    most_characters: int = parameter(
        10_000, "Characters that are read", "Of each text its beginning of so many characters is read.",
        group="Counting", unit="characters", advanced=True, ge=10, le=1_000_000,
    )  # fmt: skip
    max_iterations: int = parameter(
        300, "Most iterations", "Of the solver, for each regularisation that is tried.",
        unit="iterations", advanced=True, ge=10, le=10_000,
    )  # fmt: skip


class Linear(Algorithm[LinearParameters]):
    """TF-IDF of words, pairs of words and pieces of words; a linear model; calibrated probabilities."""

    title: ClassVar[str] = "Words and pieces of words"
    description: ClassVar[str] = (
        "A linear model that weighs each word, pair of words and piece of a word: learns in seconds, answers in a "
        "fraction of a millisecond, works in every language, and is hard to beat from a few hundred texts on."
    )
    Parameters = LinearParameters

    def fit(self, data: TrainingData, parameters: LinearParameters, report: Report) -> Trained:
        return _texts.fit(data, _plan(data, parameters), report)

    def finish(self, data: TrainingData, trained: Trained, parameters: LinearParameters, report: Report) -> Trained:
        return _texts.finish(data, trained, _plan(data, parameters), report)


def _plan(data: TrainingData, parameters: LinearParameters) -> Plan:
    return Plan(
        recipe=Recipe(words=parameters.words, longest=parameters.longest_piece, characters=parameters.most_characters),
        least=parameters.least_texts,
        weighted=True,
        candidates=_candidates(parameters, len(data.signature.classes)),
        balance=parameters.class_weights == "automatic",
        solver=Solver(len(data.signature.classes), parameters.max_iterations, data.seed),
    )


def _candidates(parameters: LinearParameters, classes: int) -> tuple[Candidate, ...]:
    strength, balanced = parameters.inverse_strength, parameters.class_weights == "balanced"
    hinge, logistic = ((strength,), (strength,)) if strength else (HINGE, LOGISTIC)
    # Of many classes the logistic loss takes ten times as long, and has not been better.
    wanted = {"automatic": ("hinge", "logistic") if classes == 2 else ("hinge",)}.get(
        parameters.loss, (parameters.loss,)
    )
    found = [Candidate("hinge", each, balanced) for each in hinge if "hinge" in wanted]
    return (*found, *(Candidate("logistic", each, balanced) for each in logistic if "logistic" in wanted))
