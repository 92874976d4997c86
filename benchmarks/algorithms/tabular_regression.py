"""Tabular regression: root mean squared error of each algorithm, with default parameters.

The number to beat is that of the best peer with a time budget; it is held against our best single algorithm.
"""

from collections.abc import Iterator

from benchmarks.algorithms._tables import learned, milliseconds, single, task
from benchmarks.algorithms.base import DATA, Result
from modelyard.algorithms import scoring
from modelyard.formats.base import Batch

SCENARIO = "tabular-regression"
SETS = {"tab_reg_california": ("median_house_value", 47490.0), "tab_reg_diamonds": ("price", 564.0)}
QUICK = ("linear", "lightgbm")


def results(*, quick: bool) -> Iterator[Result]:
    """Every figure; `quick` leaves out all but the quickest algorithms."""
    for name, (target, goal) in SETS.items():
        told = task(SCENARIO, DATA / name, target)
        found = []
        for algorithm in single(SCENARIO):
            if quick and algorithm.partition("/")[2] not in QUICK:
                continue
            predictor, seconds = learned(algorithm, told.data)
            value = scoring.score("rmse", scoring.Question(0), told.test_labels, predictor.predict(told.test))
            found.append(Result(SCENARIO, name, algorithm, "RMSE", value, None, False, seconds))
            one = milliseconds(predictor, Batch(*(part[:1] for part in told.test)))
            yield Result(SCENARIO, name, algorithm, "ms for one row", one, None, False, seconds)
        best = min(found, key=lambda result: result.value)
        yield from (result._replace(goal=goal) if result is best else result for result in found)
