"""Judging the chosen model: which metric decides, and which columns matter."""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.algorithms.scenarios.base import Predict
from modelyard.algorithms.scoring import DIRECTIONS, Judge, score
from modelyard.algorithms.tabular.rows import joined, taken
from modelyard.formats.base import Batch
from modelyard.protocol.signature import Signature
from modelyard.worker.failures import failed
from modelyard.worker.training.loading import Loaded

IMPORTANCE_ROWS = 2000
IMPORTANCE_REPEATS = 3
IMPORTANCE_SECONDS = 3.0
CELLS_AT_ONCE = 10_000_000


def primary_metric(loaded: Loaded, wanted: str | None) -> str:
    """The metric that decides: the one asked for, else the first that is defined on validation and test rows.

    Raises JobFailed for one that this scenario does not have, or that these rows do not allow.
    """
    scenario, prepared = loaded.scenario, loaded.prepared
    judges = [(scenario.judge(prepared, "validation"), prepared.parts.validation.labels)]
    judges += [(scenario.judge(prepared, "test"), prepared.parts.test.labels)]
    names = judges[0][0].metrics
    if wanted is not None and wanted not in names:
        message = f"{loaded.aim.scenario} is not judged by {wanted!r}. Choose one of: {', '.join(names)}."
        raise failed("unknown_metric", message)
    names = (wanted, *names) if wanted else names
    defined = [name for name in names if all(_is_defined(name, judge, labels) for judge, labels in judges)]
    # Without a validation row nothing is defined there, and the test rows decide.
    defined = defined or [name for name in names if _is_defined(name, *judges[1])]
    return defined[0]


def importance(
    predict: Predict,
    question: Judge,
    metric: str,
    signature: Signature,
    rows: Batch,
    labels: NDArray[Any],
    seed: int,
) -> dict[str, float]:
    """How much worse the metric gets when a column is shuffled, largest first (Breiman 2001), over at most 2,000 rows.

    Columns that time does not suffice for are left out.
    """
    random = np.random.default_rng(seed)
    if len(labels) > IMPORTANCE_ROWS:
        chosen = np.sort(random.choice(len(labels), IMPORTANCE_ROWS, replace=False))
        rows, labels = taken(rows, chosen), labels[chosen]
    sign = 1 if DIRECTIONS[metric] == "higher" else -1
    whole = score(metric, question, labels, predict(rows))
    found: dict[str, float] = {}
    end = time.monotonic() + IMPORTANCE_SECONDS
    fields = [*signature.numeric_inputs, *signature.string_inputs]
    together = max(1, CELLS_AT_ONCE // max(1, len(labels) * IMPORTANCE_REPEATS * len(fields)))
    for first in range(0, len(fields), together):
        if time.monotonic() > end:
            break
        places = range(first, min(first + together, len(fields)))
        shuffled = [_shuffled(rows, place, random) for place in places for _ in range(IMPORTANCE_REPEATS)]
        answers = predict(joined(shuffled))
        scores = [score(metric, question, labels, part) for part in np.split(answers, len(shuffled))]
        for place, drops in zip(places, np.reshape(scores, (-1, IMPORTANCE_REPEATS)), strict=True):
            found[fields[place].name] = float(f"{sign * (whole - float(np.mean(drops))):.6g}")
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _shuffled(rows: Batch, place: int, random: np.random.Generator) -> Batch:
    """A copy in which one column, of the numbers first and then of the strings, is shuffled."""
    numbers, strings = rows
    width, order = numbers.shape[1], random.permutation(rows.rows)
    if place < width:
        numbers = numbers.copy()
        numbers[:, place] = numbers[order, place]
    else:
        strings = strings.copy()
        strings[:, place - width] = strings[order, place - width]
    return Batch(numbers, strings)


def _is_defined(name: str, judge: Judge, labels: NDArray[Any]) -> bool:
    anything = np.ones((len(labels), judge.columns), np.float32)
    return bool(len(labels)) and bool(np.isfinite(score(name, judge, labels, anything)))
