"""Gradient boosted trees (XGBoost, Chen and Guestrin 2016) for tables: what classification and regression share.

Categories and missing values are native. Every tree is read from the model that XGBoost saves, and added in double
precision, here and where it is served; XGBoost itself adds in single precision and so answers a little differently.
"""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.algorithms.base import Report, Trained, TrainingData
from modelyard.algorithms.forms import Search, parameter
from modelyard.algorithms.tabular import extras, rounds, threads
from modelyard.algorithms.tabular.boosting import UNWATCHED, Preparation
from modelyard.algorithms.tabular.encodings import Encoder
from modelyard.algorithms.tabular.forest import Forest, ForestModel, Growing
from modelyard.algorithms.tabular.goals import Goal
from modelyard.algorithms.tabular.rounds import RoundsForm
from modelyard.algorithms.tabular.rows import joined
from modelyard.algorithms.tabular.trees import Tree
from modelyard.formats.base import Batch

OBJECTIVES = {
    "binary": ("binary:logistic", "logloss"),
    "multiclass": ("multi:softprob", "mlogloss"),
    "regression": ("reg:squarederror", "rmse"),
}


class XGBoostParameters(RoundsForm):
    """The form of XGBoost."""

    max_depth: int = parameter(
        6, "Depth", "How many questions a tree asks one after the other; deeper follows finer patterns.",
        group="Trees", unit="splits", search=Search(3, 10, step=1), ge=1, le=12,
    )  # fmt: skip
    min_child_weight: float = parameter(
        2.0, "Weight per leaf", "The least sum of second derivatives in a leaf: for squared error, its rows.",
        group="Trees", search=Search(0.5, 50.0, log=True), ge=0.0, le=1000.0,
    )  # fmt: skip
    l2: float = parameter(
        1.0, "L2 regularisation", "Draws leaf values towards zero.",
        group="Trees", search=Search(0.01, 100.0, log=True), ge=0.0, le=1000.0,
    )  # fmt: skip
    feature_fraction: float = parameter(
        0.8, "Share of columns per tree", "Each tree sees a random share of the columns.",
        group="Randomness", search=Search(0.4, 1.0), ge=0.1, le=1.0,
    )  # fmt: skip
    row_fraction: float = parameter(
        0.8, "Share of rows per tree", "Each tree sees a random share of the rows.",
        group="Randomness", search=Search(0.5, 1.0), ge=0.1, le=1.0,
    )  # fmt: skip


def fit(data: TrainingData, parameters: XGBoostParameters, report: Report, goal: Goal) -> ForestModel:
    """Learn from the training rows until the validation rows are served no better."""
    extras.imported("xgboost")
    report.progress("preparing the columns", 0.0)
    learner = _Learner(data, data.rows, data.labels, parameters, goal)
    follow = rounds.Search(report, goal.metric, parameters.max_rounds, parameters.patience)
    best = UNWATCHED
    if len(data.validation_labels):
        booster = learner.watched(data.validation, data.validation_labels, follow)
        best = follow.best
    else:
        booster = learner.for_rounds(best, rounds.Known(report, best))
    report.log(f"XGBoost: {best} rounds of {goal.scores} trees.")
    return learner.model(booster, best)


def finish(
    data: TrainingData, trained: Trained, parameters: XGBoostParameters, report: Report, goal: Goal
) -> ForestModel:
    """Learn again from training and validation rows, as many rounds as served best."""
    if not isinstance(trained, ForestModel):
        raise TypeError(f"{type(trained).__name__} is no forest")
    rows, labels = joined([data.rows, data.validation]), np.concatenate([data.labels, data.validation_labels])
    learner, best = _Learner(data, rows, labels, parameters, goal), int(trained.chosen)
    return learner.model(learner.for_rounds(best, rounds.Known(report, best)), best)


class _Learner:
    """XGBoost on some rows."""

    def __init__(
        self, data: TrainingData, rows: Batch, labels: NDArray[Any], parameters: XGBoostParameters, goal: Goal
    ) -> None:
        self._data, self._goal, self._most = data, goal, parameters.max_rounds
        self._preparation = Preparation.learn(data.signature, rows, data.seed)
        targets = goal.targets(labels)
        # What is left is learned in single precision: the mean of prices or years would take its digits.
        self._mean = float(targets.mean()) if goal.objective == "regression" else 0.0
        self._training = self._matrix(rows, labels)
        objective, metric = OBJECTIVES[goal.objective]
        self._settings = {
            "objective": objective,
            "eval_metric": metric,
            **({"num_class": goal.scores} if goal.scores > 1 else {}),
            "base_score": 0.0 if goal.objective == "regression" else 0.5,
            "eta": parameters.learning_rate,
            "max_depth": parameters.max_depth,
            "min_child_weight": parameters.min_child_weight,
            "lambda": parameters.l2,
            "colsample_bytree": parameters.feature_fraction,
            "subsample": parameters.row_fraction,
            "tree_method": "hist",
            "seed": data.seed % 2**31,
            "nthread": threads.wanted(len(labels) * self._preparation.width),
            "verbosity": 0,
        }

    def watched(self, validation: Batch, labels: NDArray[Any], follow: rounds.Search) -> Any:
        """The booster, stopped by validation rows."""

        def tell(step: int, value: float) -> bool:
            return follow.tell(step, value)

        return self._train(self._most, tell, [(self._matrix(validation, labels), "validation")])

    def for_rounds(self, number: int, follow: rounds.Known) -> Any:
        """The booster of so many rounds."""

        def tell(step: int, value: float) -> bool:  # noqa: ARG001
            follow.tell(step)
            return False

        return self._train(number, tell, [])

    def model(self, booster: Any, best: int) -> ForestModel:
        """What answers, of the first `best` rounds."""
        content = json.loads(bytes(booster.save_raw("json")))
        told = content["learner"]["gradient_booster"]["model"]["trees"][: best * self._goal.scores]
        encoder = Encoder(self._preparation, ())
        sizes = [vocabulary.size for vocabulary in self._preparation.vocabularies]
        forest = Forest(
            trees=tuple(_tree(tree, encoder, sizes) for tree in told), scores=self._goal.scores,
            offsets=np.full(self._goal.scores, self._mean),
        )  # fmt: skip
        return ForestModel(self._data.signature, self._preparation, forest, self._goal.link, best)

    def _matrix(self, rows: Batch, labels: NDArray[Any]) -> Any:
        xgboost = extras.imported("xgboost")
        kinds = ["q"] * len(self._preparation.fill) + ["c"] * len(self._preparation.vocabularies)
        matrix, targets = self._preparation.matrix(rows), self._goal.targets(labels) - self._mean
        return xgboost.DMatrix(matrix, targets, feature_types=kinds, enable_categorical=True)

    def _train(self, number: int, tell: Any, watched: list[Any]) -> Any:
        xgboost = extras.imported("xgboost")

        class Follow(xgboost.callback.TrainingCallback):  # type: ignore[misc, name-defined]
            def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:  # noqa: ARG002
                values = evals_log["validation"] if watched else {"": [0.0]}
                return bool(tell(epoch + 1, float(next(iter(values.values()))[-1])))

        return xgboost.train(
            self._settings, self._training, number, evals=watched, callbacks=[Follow()], verbose_eval=False
        )


def _tree(told: dict[str, Any], encoder: Encoder, sizes: list[int]) -> Tree:
    """A tree as XGBoost writes it: below the threshold goes left, categories of the node's set go right."""
    leaf = np.array(told["left_children"]) < 0
    places = np.where(leaf, ~(np.cumsum(leaf) - 1), np.cumsum(~leaf) - 1)
    segments = zip(told["categories_segments"], told["categories_sizes"], strict=True)
    sets = {
        node: told["categories"][first : first + size]
        for node, (first, size) in zip(told["categories_nodes"], segments, strict=True)
    }
    growing = Growing(encoder)
    for node in np.flatnonzero(~leaf).tolist():
        left, right = int(places[told["left_children"][node]]), int(places[told["right_children"][node]])
        feature, condition = told["split_indices"][node], np.float32(told["split_conditions"][node])
        if node in sets:
            codes = np.zeros(sizes[feature - encoder.numbers], bool)
            codes[sets[node]] = True
            growing.member(feature, codes, right, left)
        else:
            # Of single precision, what is below a number is at most the one before it.
            threshold = float(np.nextafter(condition, np.float32(-np.inf)))
            growing.split(feature, threshold, left, right, missing_left=bool(told["default_left"][node]))
    for node in np.flatnonzero(leaf).tolist():
        growing.leaf(float(np.float32(told["split_conditions"][node])))
    return growing.grown()
