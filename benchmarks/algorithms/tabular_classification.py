"""Tabular classification: area under the ROC curve of each algorithm, with default parameters.

The number to beat is that of the best peer with a time budget; it is held against our best single algorithm.
"""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.algorithms._tables import learned, milliseconds, single, task
from benchmarks.algorithms.base import Result
from modelyard.algorithms import scoring
from modelyard.formats.base import Batch

SCENARIO = "tabular-classification"
DATA = Path(__file__).resolve().parents[2] / "tests" / "data"
SETS = {"titanic": ("survived", 0.842), "telco_churn": ("Churn", 0.847)}
QUICK = ("linear", "lightgbm")


def results(*, quick: bool) -> Iterator[Result]:
    """Every figure; `quick` leaves out all but the quickest algorithms."""
    for name, (target, goal) in SETS.items():
        told = task(SCENARIO, DATA / name, target)
        question = scoring.Question(2, told.positive)
        found = []
        for algorithm in single(SCENARIO):
            if quick and algorithm.partition("/")[2] not in QUICK:
                continue
            predictor, seconds = learned(algorithm, told.data)
            value = scoring.score("roc_auc", question, told.test_labels, predictor.predict(told.test))
            found.append(Result(SCENARIO, name, algorithm, "ROC AUC", value, None, True, seconds))
            one = milliseconds(predictor, Batch(*(part[:1] for part in told.test)))
            yield Result(SCENARIO, name, algorithm, "ms for one row", one, None, False, seconds)
        best = max(found, key=lambda result: result.value)
        yield from (result._replace(goal=goal) if result is best else result for result in found)
