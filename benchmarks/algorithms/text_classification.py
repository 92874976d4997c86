"""Text classification: accuracy and Matthews correlation on short messages, with default parameters, and speed.

The numbers to beat are those of the paper of the set (Almeida et al. 2011), on its own split.
"""

from collections.abc import Iterator

import numpy as np

from benchmarks.algorithms._tables import learned, milliseconds, single, task
from benchmarks.algorithms.base import DATA, Result
from modelyard.formats.base import Batch

SCENARIO = "text-classification"
SET = "text_sms_spam"
ACCURACY, CORRELATION = 0.9764, 0.893
QUICK = ("linear", "nbsvm")


def results(*, quick: bool) -> Iterator[Result]:
    """Every figure; `quick` leaves out what encodes sentences."""
    told = task(SCENARIO, DATA / SET, "label")
    for algorithm in single(SCENARIO):
        if quick and algorithm.partition("/")[2] not in QUICK:
            continue
        predictor, seconds = learned(algorithm, told.data)
        answered = predictor.predict(told.test).argmax(axis=1)
        accuracy = float(np.mean(answered == told.test_labels))
        yield Result(SCENARIO, SET, algorithm, "accuracy", accuracy, ACCURACY, True, seconds)
        correlation = float(np.corrcoef(answered, told.test_labels)[0, 1])
        yield Result(SCENARIO, SET, algorithm, "MCC", correlation, CORRELATION, True, seconds)
        for rows in (1, 32):
            taken = milliseconds(predictor, Batch(*(part[:rows] for part in told.test)), times=50)
            yield Result(SCENARIO, SET, algorithm, f"ms for {rows} texts", taken, None, False, seconds)
