"""Learning the forest of all series with LightGBM (see formats/_forecasting/forest.py)."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from modelyard.algorithms.tabular import threads
from modelyard.algorithms.tabular.trees import Tree, parse
from modelyard.algorithms.time_series_prediction._forms import TreeParameters
from modelyard.algorithms.time_series_prediction._series import Kind, time_at
from modelyard.formats._forecasting import forest
from modelyard.formats._forecasting.block import Floats, block_of
from modelyard.formats._forecasting.forest import CYCLES, Forest

ROWS = 120_000
"""Rows to learn from, of all windows and steps ahead."""

STEPS = 8
"""Steps ahead that are learned from each window."""

DEEPEST = 8
CHUNKS = 40
FEWEST_SERIES = 20
LONG = 1000
FURTHEST = 20.0

Follow = Callable[[int, float], None]


def worth_it(kind: Kind) -> bool:
    """Whether there is enough for trees: many series, or long ones."""
    total = sum(len(history.values) for history in kind.histories)
    return total >= LONG and (len(kind.histories) >= FEWEST_SERIES or total / len(kind.histories) >= LONG)


def learn(
    kind: Kind, cuts: Sequence[int], horizon: int, parameters: TreeParameters, seed: int, follow: Follow
) -> Forest | None:
    """The forest that is learned from the first `cuts` values of each series; None where they are too few.

    `follow` is told rounds and the training error after them.
    """
    random = np.random.default_rng(seed)
    reach = max([*kind.seasons, 4])
    lookback = min(kind.memory, max(CYCLES * reach, 32))
    matrix, answers = _examples(kind, cuts, horizon, lookback, random)
    if len(answers) < 200:
        return None
    trees = list(parse(_boosted(matrix, answers, parameters, seed, follow)))
    return _arrays(trees, lookback, horizon, kind.seasons)


def _examples(
    kind: Kind, cuts: Sequence[int], horizon: int, lookback: int, random: np.random.Generator
) -> tuple[Floats, Floats]:
    """Windows of all series at many origins, some steps ahead of each."""
    pairs = _origins(kind, cuts, horizon, random)
    parts, answers = [], []
    for chunk in np.array_split(pairs, CHUNKS):
        if not len(chunk):
            continue
        ahead = np.sort(random.choice(horizon, min(STEPS, horizon), replace=False))
        pieces = [kind.histories[series].values[max(0, at - lookback) : at] for series, at in chunk]
        window = block_of(pieces).last(lookback)
        centre, width = forest.scale(window, kind.seasons)
        after, known = _after(kind, chunk, ahead, cuts)
        ends = np.array([time_at(kind, series, at) for series, at in chunk], "datetime64[us]")
        times = forest.target_times(ends, kind.step, ahead)
        seen = forest.features((window - centre) / width, kind.seasons, ahead, times, kind.step, known)
        answer = ((after - centre) / width).ravel()
        usable = np.isfinite(answer) & np.repeat(width[:, 0] > 0, len(ahead))
        parts.append(seen[usable])
        answers.append(np.clip(answer[usable], -FURTHEST, FURTHEST))
    if not parts:
        return np.zeros((0, 1)), np.zeros(0)
    return np.concatenate(parts), np.concatenate(answers)


def _origins(kind: Kind, cuts: Sequence[int], horizon: int, random: np.random.Generator) -> Any:
    """(series, values before) of the windows, in random order."""
    least = max(4, 2 * min([*kind.seasons, 4]))
    whole = [(series, least, cut - 1) for series, cut in enumerate(cuts) if cut > least]
    total = sum(last - first + 1 for _, first, last in whole)
    stride = max(1, total * min(STEPS, horizon) // ROWS)
    pairs = [
        (series, at) for series, first, last in whole
        for at in range(last - int(random.integers(0, stride)), first - 1, -stride)
    ]  # fmt: skip
    found = np.array(pairs, np.int64).reshape(-1, 2)
    return found[random.permutation(len(found))]


def _after(kind: Kind, chunk: Any, ahead: Any, cuts: Sequence[int]) -> tuple[Floats, Floats]:
    """What follows on each window at some steps ahead, NaN beyond the cut; and the columns beside it."""
    after = np.full((len(chunk), len(ahead)), np.nan)
    known = np.full((len(chunk), len(ahead), kind.histories[0].columns.shape[1]), np.nan)
    for row, (series, at) in enumerate(chunk):
        places = at + ahead
        there = places < cuts[series]
        after[row, there] = kind.histories[series].values[places[there]]
        known[row, there] = kind.histories[series].columns[places[there]]
    return after, known


def _boosted(matrix: Floats, answers: Floats, parameters: TreeParameters, seed: int, follow: Follow) -> str:
    import lightgbm

    settings = {
        "objective": "regression_l1", "metric": "l1", "learning_rate": parameters.learning_rate,
        "num_leaves": parameters.num_leaves, "min_data_in_leaf": parameters.min_child_samples,
        "max_depth": DEEPEST, "feature_fraction": 0.7, "bagging_fraction": 0.7, "bagging_freq": 1, "lambda_l2": 1.0,
        "seed": seed % 2**31, "deterministic": True, "force_row_wise": True, "verbosity": -1,
        "num_threads": threads.wanted(matrix.size),
    }  # fmt: skip
    # The last rows are of random windows: what they say of the rounds is honest enough to show.
    held = max(1, len(answers) // 20)
    training = lightgbm.Dataset(matrix[:-held], answers[:-held], params={"verbosity": -1})
    check = lightgbm.Dataset(matrix[-held:], answers[-held:], reference=training, params={"verbosity": -1})

    def told(state: Any) -> None:
        if (state.iteration + 1) % 20 == 0:
            follow(state.iteration + 1, float(state.evaluation_result_list[0][2]))

    booster = lightgbm.train(
        settings, training, num_boost_round=parameters.trees, valid_sets=[check], callbacks=[told]
    )  # fmt: skip
    text: str = booster.model_to_string()
    return text


def _arrays(trees: Sequence[Tree], lookback: int, horizon: int, seasons: tuple[int, ...]) -> Forest:
    """Trees as arrays: inner nodes first, then leaves that lead to themselves."""
    size = max(2 * len(tree.leaves) - 1 for tree in trees)
    shape = (len(trees), size)
    features, thresholds, values = np.zeros(shape, np.int64), np.zeros(shape), np.zeros(shape)
    left = np.tile(np.arange(size), (len(trees), 1))
    right = left.copy()
    depth = 1
    for row, tree in enumerate(trees):
        inner = len(tree.features)
        features[row, :inner] = tree.features
        thresholds[row, :inner] = tree.thresholds
        for ways, children in ((left, tree.left), (right, tree.right)):
            ways[row, :inner] = [inner + ~child if child < 0 else child for child in children]
        values[row, inner : inner + len(tree.leaves)] = tree.leaves
        depth = max(depth, _depth(tree))
    return Forest(features, thresholds, left, right, values, depth, lookback, horizon, seasons)


def _depth(tree: Tree) -> int:
    """The longest way from the root to a leaf."""
    depths = [1] * len(tree.features)
    for node in range(len(tree.features)):
        for child in (tree.left[node], tree.right[node]):
            if child >= 0:
                depths[child] = depths[node] + 1
    return max(depths, default=1)
