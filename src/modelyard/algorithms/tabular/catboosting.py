"""Gradient boosted symmetric trees (CatBoost, Prokhorenkova et al. 2018) for tables: what both scenarios share.

CatBoost is given numbers only: categories are encoded in front (`encodings.py`), since what it does with them itself
cannot be served as a graph.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.algorithms.base import Report, Trained, TrainingData
from modelyard.algorithms.forms import Search, parameter
from modelyard.algorithms.tabular import encodings, extras, rounds, threads
from modelyard.algorithms.tabular.boosting import UNWATCHED, Preparation
from modelyard.algorithms.tabular.encodings import Encoder
from modelyard.algorithms.tabular.forest import Forest, ForestModel, Growing
from modelyard.algorithms.tabular.goals import Goal
from modelyard.algorithms.tabular.rounds import RoundsForm
from modelyard.algorithms.tabular.rows import joined
from modelyard.algorithms.tabular.trees import Tree
from modelyard.formats.base import Batch

LOSSES = {"binary": "Logloss", "multiclass": "MultiClass", "regression": "RMSE"}


class CatBoostParameters(RoundsForm):
    """The form of CatBoost."""

    depth: int = parameter(
        6, "Depth", "How many questions a tree asks; all nodes of one depth ask the same.",
        group="Trees", unit="splits", search=Search(4, 8, step=1), ge=1, le=10,
    )  # fmt: skip
    l2: float = parameter(
        3.0, "L2 regularisation", "Draws leaf values towards zero.",
        group="Trees", search=Search(1.0, 10.0, log=True), ge=0.0, le=1000.0,
    )  # fmt: skip
    row_fraction: float = parameter(
        0.8, "Share of rows per tree", "Each tree sees a random share of the rows.",
        group="Randomness", search=Search(0.5, 1.0), ge=0.1, le=1.0,
    )  # fmt: skip


def fit(data: TrainingData, parameters: CatBoostParameters, report: Report, goal: Goal) -> ForestModel:
    """Learn from the training rows until the validation rows are served no better."""
    extras.imported("catboost")
    report.progress("preparing the columns", 0.0)
    learner = _Learner(data, data.rows, data.labels, parameters, goal)
    if len(data.validation_labels):
        follow = rounds.Search(report, goal.metric, parameters.max_rounds, parameters.patience)
        model = learner.learned(parameters.max_rounds, _Watching(follow), (data.validation, data.validation_labels))
        best = follow.best
    else:
        best = UNWATCHED
        model = learner.learned(best, _Counting(rounds.Known(report, best)), None)
    report.log(f"CatBoost: {best} rounds, {len(learner.encoder.encodings)} columns for categories.")
    return learner.model(model, best)


def finish(
    data: TrainingData, trained: Trained, parameters: CatBoostParameters, report: Report, goal: Goal
) -> ForestModel:
    """Learn again from training and validation rows, as many rounds as served best."""
    if not isinstance(trained, ForestModel):
        raise TypeError(f"{type(trained).__name__} is no forest")
    rows, labels = joined([data.rows, data.validation]), np.concatenate([data.labels, data.validation_labels])
    best = int(trained.chosen)
    learner = _Learner(data, rows, labels, parameters, goal)
    return learner.model(learner.learned(best, _Counting(rounds.Known(report, best)), None), best)


class _Watching:
    """CatBoost's callback: stops once more rounds bring nothing."""

    def __init__(self, follow: rounds.Search) -> None:
        self._follow = follow

    def after_iteration(self, info: Any) -> bool:
        """Whether to go on."""
        values = next(iter(info.metrics["validation"].values()))
        return not self._follow.tell(info.iteration, float(values[-1]))


class _Counting:
    """CatBoost's callback for a known number of rounds."""

    def __init__(self, follow: rounds.Known) -> None:
        self._follow = follow

    def after_iteration(self, info: Any) -> bool:
        """Whether to go on."""
        self._follow.tell(info.iteration)
        return True


class _Learner:
    """CatBoost on some rows."""

    def __init__(
        self, data: TrainingData, rows: Batch, labels: NDArray[Any], parameters: CatBoostParameters, goal: Goal
    ) -> None:
        self._data, self._goal, self._parameters = data, goal, parameters
        self._preparation = Preparation.learn(data.signature, rows, data.seed)
        self._targets = goal.targets(labels)
        classes = len(data.signature.classes)
        wanted = np.eye(classes)[labels] if classes > 2 else self._targets.reshape(-1, 1)
        self.encoder, self._matrix = encodings.learn(self._preparation, rows, wanted, data.seed)

    def learned(self, most: int, follow: Any, watched: tuple[Batch, NDArray[Any]] | None) -> Any:
        """The model of at most so many rounds."""
        catboost, goal = extras.imported("catboost"), self._goal
        validation = None
        if watched is not None:
            validation = catboost.Pool(self.encoder.matrix(watched[0]), goal.targets(watched[1]))
        model = catboost.CatBoost({
            "loss_function": LOSSES[goal.objective],
            **({"classes_count": goal.scores} if goal.scores > 1 else {}),
            "iterations": most,
            "learning_rate": self._parameters.learning_rate,
            "depth": self._parameters.depth,
            "l2_leaf_reg": self._parameters.l2,
            "bootstrap_type": "Bernoulli",
            "subsample": self._parameters.row_fraction,
            "random_seed": self._data.seed % 2**31,
            "thread_count": threads.wanted(self._matrix.size),
            "use_best_model": False,
            "allow_writing_files": False,
            "logging_level": "Silent",
        })  # fmt: skip
        model.fit(catboost.Pool(self._matrix, self._targets), eval_set=validation, callbacks=[follow])
        return model

    def model(self, model: Any, best: int) -> ForestModel:
        """What answers, of the first `best` rounds."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.json"
            model.save_model(str(path), format="json")
            content = json.loads(path.read_bytes())
        floats = content["features_info"]["float_features"]
        missing_left = [feature["nan_value_treatment"] != "AsTrue" for feature in floats]
        scores = self._goal.scores
        told = content["oblivious_trees"][:best]
        trees, tables, first = [], [], 0
        for tree in told:
            values = np.array(tree["leaf_values"], np.float64).reshape(-1, scores)
            trees.append(_tree(tree, self.encoder, missing_left, values[:, 0] if scores == 1 else first))
            tables.append(values)
            first += len(values)
        _, bias = content["scale_and_bias"]
        forest = Forest(
            trees=tuple(trees), scores=scores, offsets=np.broadcast_to(np.array(bias, np.float64), scores).copy(),
            table=None if scores == 1 else np.concatenate(tables),
        )  # fmt: skip
        return ForestModel(self._data.signature, self._preparation, forest, self._goal.link, best)


def _tree(told: dict[str, Any], encoder: Encoder, missing_left: list[bool], leaves: Any) -> Tree:
    """A symmetric tree: bit i of a leaf's number says whether the row is above border i.

    `leaves` are their values, or the number of the first one.
    """
    splits = told["splits"] or []
    growing = Growing(encoder)
    depth = len(splits)
    # Level by level from the top: the node at place p of level k is node 2^k - 1 + p, and p has the bits so far.
    for level, split in enumerate(splits):
        feature, last = split["float_feature_index"], level + 1 == depth
        for place in range(2**level):
            children = [place, place + 2**level]
            left, right = (~child if last else 2 ** (level + 1) - 1 + child for child in children)
            growing.split(feature, split["border"], left, right, missing_left=missing_left[feature])
    for leaf in range(2**depth):
        growing.leaf(float(leaves + leaf if isinstance(leaves, int) else leaves[leaf]))
    return growing.grown()
