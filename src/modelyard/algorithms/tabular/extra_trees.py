"""Extremely randomised trees (Geurts, Ernst and Wehenkel 2006) for tables: what classification and regression share.

Each tree takes the best of a few random splits and sees all rows. A leaf answers the mean of its rows, drawn a little
to that of all rows: so no class is ever impossible.
"""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.algorithms.base import Report, Trained, TrainingData
from modelyard.algorithms.forms import Form, Search, parameter
from modelyard.algorithms.tabular import encodings, threads
from modelyard.algorithms.tabular.boosting import Preparation
from modelyard.algorithms.tabular.encodings import Encoder
from modelyard.algorithms.tabular.forest import Forest, ForestModel, Growing
from modelyard.algorithms.tabular.goals import Goal
from modelyard.algorithms.tabular.rows import joined
from modelyard.algorithms.tabular.trees import Tree
from modelyard.formats.base import Batch

TRIED = (1, 2, 4, 8, 16)
USUAL = 4
TRIAL_TREES = 60
SMOOTHING = 1.0
"""As if each leaf had so many rows more, which are as all rows are."""


class ExtraTreesParameters(Form):
    """The form of extremely randomised trees."""

    trees: int = parameter(
        200, "Trees", "More trees answer more evenly and take longer.",
        unit="trees", search=Search(100, 500, step=50), ge=10, le=1000,
    )  # fmt: skip
    min_samples_leaf: int | None = parameter(
        None, "Rows per leaf", "The fewest training rows in a leaf. Empty: the validation rows choose.",
        unit="rows", search=Search(1, 32, log=True), ge=1, le=1000,
    )  # fmt: skip
    column_fraction: float = parameter(
        0.5, "Share of columns per split", "Of so many columns, chosen by chance, the best random split is taken.",
        search=Search(0.2, 1.0), ge=0.05, le=1.0,
    )  # fmt: skip
    most_leaves: int = parameter(
        2000, "Most leaves per tree", "Bounds the size of a version on large tables.",
        unit="leaves", advanced=True, ge=2, le=20_000,
    )  # fmt: skip


def fit(data: TrainingData, parameters: ExtraTreesParameters, report: Report, goal: Goal) -> ForestModel:
    """Learn with the leaves that serve the validation rows best."""
    report.progress("preparing the columns", 0.0)
    tried: tuple[int, ...] = (parameters.min_samples_leaf,) if parameters.min_samples_leaf else TRIED
    if not len(data.validation_labels):
        tried = tried if len(tried) == 1 else (USUAL,)
    losses, started = [], time.monotonic()
    for step, rows in enumerate(tried if len(data.validation_labels) else (), start=1):
        trial = _learned(data, data.rows, data.labels, parameters, goal, rows, min(TRIAL_TREES, parameters.trees))
        losses.append(goal.loss(trial.predict(data.validation), data.validation_labels))
        report.metric(goal.metric, rows, losses[-1])
        eta = (time.monotonic() - started) / step * (len(tried) - step + 2)
        report.progress(f"leaves of {rows} rows", 0.7 * step / len(tried), eta)
    best = tried[int(np.argmin(losses))] if losses else tried[0]
    trained = _learned(data, data.rows, data.labels, parameters, goal, best, parameters.trees)
    report.progress("the whole forest", 1.0)
    report.log(f"Extra trees: {parameters.trees} trees, leaves of at least {best} rows.")
    return trained


def finish(
    data: TrainingData, trained: Trained, parameters: ExtraTreesParameters, report: Report, goal: Goal
) -> ForestModel:
    """Learn again from training and validation rows."""
    if not isinstance(trained, ForestModel):
        raise TypeError(f"{type(trained).__name__} is no forest")
    report.progress("learning again with the validation rows", 0.0)
    rows, labels = joined([data.rows, data.validation]), np.concatenate([data.labels, data.validation_labels])
    return _learned(data, rows, labels, parameters, goal, int(trained.chosen), parameters.trees)


def _learned(
    data: TrainingData, rows: Batch, labels: NDArray[Any], parameters: ExtraTreesParameters, goal: Goal, least: int,
    trees: int,
) -> ForestModel:  # fmt: skip
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    preparation = Preparation.learn(data.signature, rows, data.seed)
    classes = len(data.signature.classes)
    wanted = np.eye(classes)[labels] if classes else goal.targets(labels).reshape(-1, 1)
    encoder, matrix = encodings.learn(preparation, rows, wanted[:, 1:] if classes == 2 else wanted, data.seed)
    settings: dict[str, Any] = {
        "n_estimators": trees,
        "min_samples_leaf": min(least, max(1, len(labels) // 10)),
        "max_features": parameters.column_fraction,
        "max_leaf_nodes": parameters.most_leaves if parameters.most_leaves < len(labels) else None,
        "random_state": data.seed % 2**31,
        "n_jobs": threads.wanted(matrix.size * trees // 10),
    }
    model = ExtraTreesClassifier(**settings) if classes else ExtraTreesRegressor(**settings)
    model.fit(matrix, labels if classes else wanted[:, 0])
    forest = _forest(model, encoder, wanted.mean(axis=0))
    return ForestModel(data.signature, preparation, forest, "identity" if classes else goal.link, least)


def _forest(model: Any, encoder: Encoder, prior: NDArray[np.float64]) -> Forest:
    grown: list[Tree] = []
    tables: list[NDArray[np.float64]] = []
    present = model.classes_ if hasattr(model, "classes_") else np.array([0])
    first = 0
    for estimator in model.estimators_:
        tree = estimator.tree_
        leaf = tree.children_left < 0
        means = np.zeros((int(leaf.sum()), len(prior)))
        means[:, present] = tree.value[leaf][:, 0, :]
        rows = tree.weighted_n_node_samples[leaf][:, None]
        tables.append((means * rows + SMOOTHING * prior) / (rows + SMOOTHING) / len(model.estimators_))
        grown.append(_tree(tree, leaf, encoder, first))
        first += len(means)
    return Forest(trees=tuple(grown), scores=len(prior), offsets=np.zeros(len(prior)), table=np.concatenate(tables))


def _tree(tree: Any, leaf: NDArray[np.bool_], encoder: Encoder, first: int) -> Tree:
    """A tree of scikit-learn; its leaves are numbers from `first` on."""
    places = np.where(leaf, ~(np.cumsum(leaf) - 1), np.cumsum(~leaf) - 1)
    growing = Growing(encoder)
    inner = np.flatnonzero(~leaf)
    left, right = places[tree.children_left[inner]].tolist(), places[tree.children_right[inner]].tolist()
    told = zip(
        tree.feature[inner].tolist(), tree.threshold[inner].tolist(), left, right,
        tree.missing_go_to_left[inner].tolist(), strict=True,
    )  # fmt: skip
    for feature, threshold, to_left, to_right, missing_left in told:
        growing.split(feature, threshold, to_left, to_right, missing_left=bool(missing_left))
    for number in range(int(leaf.sum())):
        growing.leaf(float(first + number))
    return growing.grown()
