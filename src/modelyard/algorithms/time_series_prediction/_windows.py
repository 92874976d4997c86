"""Learning the linear map from windows of all series (see formats/_forecasting/linear.py)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from modelyard.algorithms.base import Report
from modelyard.algorithms.tabular import threads
from modelyard.algorithms.time_series_prediction._series import Kind
from modelyard.formats._forecasting import seasons
from modelyard.formats._forecasting.block import Floats
from modelyard.formats._forecasting.linear import LinearMap, normalised

Flags = NDArray[np.bool_]

CELLS = 16_000_000
"""Numbers in all windows together."""

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Of the ridge, in units of the mean variance of the values looked back at."""

FURTHEST = 20.0
HELD_BACK = 0.15
FEWEST = 100


def lookbacks(kind: Kind, cuts: Sequence[int], horizon: int) -> list[int]:
    """How many values a map may look at, shortest first: whole seasons that leave enough windows."""
    known = sorted({*kind.seasons, *(season for season in seasons.calendar(kind.step) if season <= 400)})
    wished = {8, 16, 32, *(season * times for season in known for times in (1, 2, 4) if season * times <= 500)}
    room = np.array(cuts) - horizon
    found = [
        each for each in sorted(wished)
        if each <= kind.memory and np.maximum(room - each, 0).sum() >= max(FEWEST, 3 * each)
        and np.mean(room >= each) >= 0.5
    ]  # fmt: skip
    return found[-4:]


def learn(
    kind: Kind, cuts: Sequence[int], horizon: int, wanted: int, report: Report
) -> LinearMap | None:  # fmt: skip
    """The map that is learned from the first `cuts` values of each series; None where they are too few."""
    choices = lookbacks(kind, cuts, horizon)
    if wanted:
        choices = [wanted] if (np.array(cuts) - horizon - wanted).clip(0).sum() >= FEWEST else []
    if not choices:
        return None
    before, after, late = _windows(kind, cuts, max(choices), horizon)
    with threads.limited(before.size):
        return _best(before, after, late, choices, report)


def _best(before: Floats, after: Floats, late: Flags, choices: Sequence[int], report: Report) -> LinearMap | None:
    """The map whose lookback and ridge serve the late windows best."""
    if len(before) < FEWEST or not late.any() or late.all():
        return None
    best: tuple[float, int, float] | None = None
    for lookback in choices:
        for strength, error in _trials(before[:, -lookback:], after, late):
            if best is None or error < best[0]:
                best = (error, lookback, strength)
    assert best is not None
    _, lookback, strength = best
    report.log(f"Linear map: {lookback} values back, ridge {strength:g}, {len(before):,} windows.")
    inputs, outputs = _pairs(before[:, -lookback:], after)
    return LinearMap(_solve(inputs, outputs, (strength,))[0])


def _windows(kind: Kind, cuts: Sequence[int], lookback: int, horizon: int) -> tuple[Floats, Floats, Flags]:
    """Evenly spaced windows: what comes before, what follows, and which are the late ones of their series."""
    size = lookback + horizon
    room = [max(0, cut - size + 1) for cut in cuts]
    stride = max(1, -(-sum(room) * size // CELLS))
    parts, late = [], []
    for history, cut, count in zip(kind.histories, cuts, room, strict=True):
        if not count:
            continue
        whole = np.lib.stride_tricks.sliding_window_view(history.values[:cut], size)
        chosen = whole[::-1][::stride][::-1]
        parts.append(chosen / max(float(np.abs(history.values[:cut]).max()), 1e-300))
        # None that overlaps the late ones may be learned from when these are to be predicted.
        late.append(np.arange(len(chosen)) >= len(chosen) * (1 - HELD_BACK))
    if not parts:
        return np.zeros((0, lookback)), np.zeros((0, horizon)), np.zeros(0, bool)
    windows = np.concatenate(parts)
    moving = windows[:, :lookback].std(axis=1) > 1e-9
    return windows[moving, :lookback], windows[moving, lookback:], np.concatenate(late)[moving]


def _pairs(before: Floats, after: Floats) -> tuple[Floats, Floats]:
    inputs, centre, width = normalised(before)
    outputs = np.clip((after - centre) / width, -FURTHEST, FURTHEST)
    return np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1), outputs


def _trials(before: Floats, after: Floats, late: Flags) -> list[tuple[float, float]]:
    """Each strength of the ridge with its error in the late windows, in units of the series."""
    inputs, outputs = _pairs(before, after)
    _, centre, width = normalised(before[late])
    found = []
    for strength, weights in zip(STRENGTHS, _solve(inputs[~late], outputs[~late], STRENGTHS), strict=True):
        errors = (inputs[late] @ weights) * width + centre - after[late]
        found.append((strength, float(np.mean(np.abs(errors)))))
    return found


def _solve(inputs: Floats, outputs: Floats, strengths: Sequence[float]) -> list[Floats]:
    """The ridge solutions, all from one decomposition."""
    values, vectors = np.linalg.eigh(inputs.T @ inputs)
    mixed = vectors.T @ (inputs.T @ outputs)
    return [
        vectors @ (mixed / (np.maximum(values, 0) + strength * len(inputs) + 1e-9)[:, None]) for strength in strengths
    ]
