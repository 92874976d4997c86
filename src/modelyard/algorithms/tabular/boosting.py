"""Gradient boosted trees (LightGBM, Ke et al. 2017) for tables: what classification and regression share.

Categories are native: their codes go in as they are, so that a split separates sets of them. The number of rounds is
what served the validation rows best; then the model is learned again with them.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.algorithms.base import Report, Trained, TrainingData
from modelyard.algorithms.forms import Search, parameter
from modelyard.algorithms.tabular import categories, goals, links, rounds, targets, threads, trees
from modelyard.algorithms.tabular.categories import Vocabulary
from modelyard.algorithms.tabular.goals import Goal
from modelyard.algorithms.tabular.graph import Graph
from modelyard.algorithms.tabular.preparation import learn_features
from modelyard.algorithms.tabular.rounds import RoundsForm
from modelyard.algorithms.tabular.rows import joined
from modelyard.formats.base import Batch
from modelyard.formats.features import Features, Featuriser
from modelyard.protocol.signature import Signature

RAREST = 3
"""How often a category must occur to get a code of its own."""

MOST_CATEGORIES = 1000

UNWATCHED = 100
"""How many rounds are learned where no validation rows say when to stop."""


class BoostingParameters(RoundsForm):
    """The form of LightGBM."""

    num_leaves: int = parameter(
        31, "Leaves per tree", "More leaves follow finer patterns and overfit sooner.",
        group="Trees", unit="leaves", search=Search(8, 255, log=True), ge=2, le=255,
    )  # fmt: skip
    min_child_samples: int = parameter(
        20, "Rows per leaf", "The fewest training rows in a leaf; fewer on very small tables.",
        group="Trees", unit="rows", search=Search(2, 100, log=True), ge=1, le=1000,
    )  # fmt: skip
    feature_fraction: float = parameter(
        0.8, "Share of columns per tree", "Each tree sees a random share of the columns.",
        group="Randomness", search=Search(0.4, 1.0), ge=0.1, le=1.0,
    )  # fmt: skip
    row_fraction: float = parameter(
        0.8, "Share of rows per tree", "Each tree sees a random share of the rows.",
        group="Randomness", search=Search(0.5, 1.0), ge=0.1, le=1.0,
    )  # fmt: skip
    l2: float = parameter(
        1.0, "L2 regularisation", "Draws leaf values towards zero.",
        group="Trees", search=Search(0.01, 100.0, log=True), ge=0.0, le=1000.0,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """From a batch to the matrix of the trees: numbers, derived numbers, category codes.

    `fill` stands for a missing value in columns where training had none; NaN in the others.
    """

    features: Features
    vocabularies: tuple[Vocabulary, ...]
    fill: NDArray[np.float32]

    @classmethod
    def learn(cls, signature: Signature, rows: Batch, seed: int) -> "Preparation":
        """From training rows."""
        features = learn_features(signature, rows, seed)
        derived = Featuriser(features)(rows)
        missing = np.isnan(derived.numbers).any(axis=0)
        fill = np.full(derived.numbers.shape[1], np.nan, np.float32)
        fill[~missing] = np.median(derived.numbers[:, ~missing], axis=0)
        vocabularies = categories.learn(derived.strings, at_least=RAREST, most=MOST_CATEGORIES)
        return cls(features=features, vocabularies=vocabularies, fill=fill)

    def matrix(self, batch: Batch) -> NDArray[np.float32]:
        """Shape (rows, numbers + categories)."""
        derived = Featuriser(self.features)(batch)
        numbers = np.where(np.isnan(derived.numbers), self.fill, derived.numbers)
        return np.concatenate([numbers, categories.codes(derived.strings, self.vocabularies)], axis=1, dtype=np.float32)

    def append(self, graph: Graph) -> tuple[str, NDArray[np.float64]]:
        """The name of the matrix in a graph, there with its gaps, and what stands for a gap in each column."""
        parts = [graph.numbers()] if len(self.fill) else []
        if self.vocabularies:
            tables = [np.arange(vocabulary.size, dtype=np.float64) for vocabulary in self.vocabularies]
            parts.append(graph.coded(self.vocabularies, tables))
        matrix = graph.node("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
        return matrix, np.concatenate([self.fill, np.full(len(self.vocabularies), np.nan)])

    @property
    def width(self) -> int:
        """How many columns the matrix has."""
        return len(self.fill) + len(self.vocabularies)

    @property
    def categorical(self) -> list[int]:
        """Which columns of the matrix are codes."""
        return list(range(len(self.fill), self.width))


class BoostedTrees(Trained):
    """A trained booster with all that leads to it and from it; `rounds` is how many of its trees count."""

    def __init__(self, signature: Signature, preparation: Preparation, goal: Goal, text: str, rounds: int) -> None:
        self.signature = signature
        self.goal = goal
        self.rounds = rounds
        self._preparation = preparation
        self._text = text
        self._booster: Any = None

    def predict(self, batch: Batch) -> NDArray[np.float32]:
        if self._booster is None:
            import lightgbm

            self._booster = lightgbm.Booster(model_str=self._text)
        raw = self._booster.predict(
            self._preparation.matrix(batch), raw_score=True, num_threads=threads.wanted(batch.numbers.size)
        )
        return links.answers(self.goal.link, np.asarray(raw, np.float64).reshape(batch.rows, self.goal.scores))

    def save(self, folder: Path) -> str:
        preparation = self._preparation
        numbers, strings = len(preparation.fill), len(preparation.vocabularies)
        graph = Graph(numbers=numbers, strings=strings, outputs=max(1, len(self.signature.classes)))
        matrix, fill = preparation.append(graph)
        raw = trees.append(graph, matrix, trees.parse(self._text), scores=self.goal.scores, fill=fill)
        preparation.features.save(folder)
        return graph.save(folder, links.append(graph, self.goal.link, raw))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_booster": None}


def fit(data: TrainingData, parameters: BoostingParameters, report: Report, goal: Goal) -> BoostedTrees:
    """Learn from the training rows until the validation rows are served no better."""
    report.progress("preparing the columns", 0.0)
    preparation = Preparation.learn(data.signature, data.rows, data.seed)
    training = _dataset(preparation, data.rows, goal.targets(data.labels))
    held_out = _dataset(preparation, data.validation, goal.targets(data.validation_labels), reference=training)
    settings = _settings(parameters, goal, data.seed, len(data.labels), preparation.width)
    follow = rounds.Search(report, goal.metric, parameters.max_rounds, parameters.patience)
    watched = bool(len(data.validation_labels))
    most = parameters.max_rounds if watched else UNWATCHED
    booster = _train(settings, training, most, held_out, _Follow(follow) if watched else None)
    best = follow.best if watched else booster.num_trees() // goal.scores
    report.log(f"LightGBM: {best} rounds of {goal.scores} trees.")
    return BoostedTrees(data.signature, preparation, goal, _text(booster, best), best)


def finish(data: TrainingData, trained: Trained, parameters: BoostingParameters, report: Report) -> BoostedTrees:
    """Learn again from training and validation rows, as many rounds as served best."""
    if not isinstance(trained, BoostedTrees):
        raise TypeError(f"{type(trained).__name__} is no boosted model")
    rows = joined([data.rows, data.validation])
    labels = np.concatenate([data.labels, data.validation_labels])
    preparation = Preparation.learn(data.signature, rows, data.seed)
    training = _dataset(preparation, rows, trained.goal.targets(labels))
    settings = _settings(parameters, trained.goal, data.seed, len(labels), preparation.width)
    follow = rounds.Known(report, trained.rounds)
    booster = _train(settings, training, trained.rounds, None, lambda state: follow.tell(state.iteration + 1))
    return BoostedTrees(data.signature, preparation, trained.goal, _text(booster, trained.rounds), trained.rounds)


def goal_of_numbers(data: TrainingData, parameters: BoostingParameters, report: Report) -> Goal:
    """The value, or its logarithm where the target is skewed and a short trial shows that it helps."""
    if targets.skewed(data.labels, data.validation_labels):
        report.progress("trying the target's logarithm", 0.0)
        if _logarithms_help(data, parameters, goals.NUMBERS):
            report.log("The trees learn the logarithm of the target: it serves the validation rows better.")
            return replace(goals.NUMBERS, link="expm1")
    return goals.NUMBERS


def _logarithms_help(data: TrainingData, parameters: BoostingParameters, goal: Goal) -> bool:
    """Whether a short trial serves the validation rows better when the trees learn log(1 + target)."""
    preparation = Preparation.learn(data.signature, data.rows, data.seed)
    matrix = preparation.matrix(data.validation)
    brief = parameters.model_copy(update={"learning_rate": 0.15})
    errors = []
    for link in ("identity", "expm1"):
        trial = replace(goal, link=link)
        settings = _settings(brief, trial, data.seed, len(data.labels), preparation.width)
        booster = _train(settings, _dataset(preparation, data.rows, trial.targets(data.labels)), 60, None, None)
        values = links.answers(trial.link, booster.predict(matrix, raw_score=True).reshape(-1, 1))[:, 0]
        errors.append(float(np.mean((values - data.validation_labels) ** 2)))
    return errors[1] < errors[0]


class _Follow:
    """LightGBM's callback: reports each round and stops once `patience` rounds brought nothing."""

    def __init__(self, search: rounds.Search) -> None:
        self._search = search

    def __call__(self, state: Any) -> None:
        from lightgbm.callback import EarlyStopException

        if self._search.tell(state.iteration + 1, float(state.evaluation_result_list[0][2])):
            raise EarlyStopException(self._search.best - 1, state.evaluation_result_list)


def _settings(parameters: BoostingParameters, goal: Goal, seed: int, rows: int, width: int) -> dict[str, Any]:
    return {
        "objective": goal.objective,
        **({"num_class": goal.scores} if goal.scores > 1 else {}),
        "metric": goal.metric,
        "learning_rate": parameters.learning_rate,
        "num_leaves": parameters.num_leaves,
        "min_data_in_leaf": min(parameters.min_child_samples, max(1, rows // 20)),
        "feature_fraction": parameters.feature_fraction,
        "bagging_fraction": parameters.row_fraction,
        "bagging_freq": 1 if parameters.row_fraction < 1 else 0,
        "lambda_l2": parameters.l2,
        "min_data_per_group": min(100, max(1, rows // 50)),
        "seed": seed % 2**31,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": threads.wanted(rows * width),
        "verbosity": -1,
    }


def _dataset(preparation: Preparation, rows: Batch, targets: NDArray[np.float64], reference: Any = None) -> Any:
    import lightgbm

    return lightgbm.Dataset(
        preparation.matrix(rows), targets, reference=reference, categorical_feature=preparation.categorical,
        params={"verbosity": -1},
    )  # fmt: skip


def _train(
    settings: dict[str, Any], training: Any, most: int, held_out: Any, follow: Callable[[Any], None] | None
) -> Any:
    import lightgbm

    watched = held_out is not None and held_out.label is not None and len(held_out.label)
    with warnings.catch_warnings():
        # LightGBM warns that settings of the data set are given twice; they are the same ones.
        warnings.simplefilter("ignore")
        return lightgbm.train(
            settings, training, num_boost_round=most, valid_sets=[held_out] if watched else None,
            callbacks=[follow] if follow else None,
        )  # fmt: skip


def _text(booster: Any, best: int) -> str:
    text: str = booster.model_to_string(num_iteration=best)
    return text
