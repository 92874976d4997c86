"""From the rows of a table or a request to regular series, and to the steps that are asked for."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelyard.core.errors import Invalid
from modelyard.formats._forecasting.block import Floats, Integers
from modelyard.formats.base import Batch
from modelyard.formats.series import Step, Times, series_of, step_of
from modelyard.protocol.signature import Signature

LONGEST = 200_000
"""Steps of one series at the most: one wrong time must not make a series of millions."""

SURE = 4
"""Values from which on a series says itself how far apart they are."""


class Rows(NamedTuple):
    """The rows of one series: those with a value, and those that ask for one, each in order of time.

    `known` and `wanted` are places in the batch; `values` belong to `known`.
    """

    name: str
    known: NDArray[np.intp]
    times: Times
    values: Floats
    wanted: NDArray[np.intp]
    wanted_times: Times


class Regular(NamedTuple):
    """A series with one value at each step, the last of them at `end`.

    `places`: for each known row its place in `values`, below 0 where it lies before them. `filled` and `repeated` count
    steps without a value of their own and values for a time that had one (the last one counts).
    """

    end: np.datetime64
    values: Floats
    places: Integers
    filled: int
    repeated: int


def target_place(signature: Signature) -> int:
    """Where the value stands among the numbers."""
    return [field.name for field in signature.numeric_inputs].index(signature.target)


def rows_of(signature: Signature, batch: Batch, values: Floats) -> list[Rows]:
    """The rows of each series. `values`, one for each row, are NaN where one is asked for. Raises Invalid."""
    found = []
    for series in series_of(signature, batch):
        given = values[series.rows]
        known = np.isfinite(given)
        found.append(
            Rows(series.name, series.rows[known], series.times[known], given[known], series.rows[~known],
                 series.times[~known])
        )  # fmt: skip
    return found


def usual_step(series: Sequence[Rows]) -> Step:
    """How far apart values are in most of the series; of all times together where each is too short to say."""
    counts: dict[Step, int] = {}
    for each in series:
        if len(each.times) >= SURE:
            step = step_of(each.times)
            counts[step] = counts.get(step, 0) + 1
    if counts:
        return max(counts, key=counts.__getitem__)
    longest = max(series, key=lambda each: len(each.times) + len(each.wanted_times), default=None)
    if longest is None:
        return step_of(np.zeros(0, "datetime64[us]"))
    return step_of(np.sort(np.concatenate([longest.times, longest.wanted_times])))


def own_step(rows: Rows, usual: Step) -> Step:
    """How far apart the values of one series are."""
    return step_of(rows.times) if len(rows.times) >= SURE else usual


def steps_from(step: Step, end: np.datetime64, times: Times) -> Integers:
    """How many steps after `end` each time is, rounded; 0 and below for `end` and what lies before."""
    if step.months:
        months = times.astype("datetime64[M]").astype(np.int64) - int(end.astype("datetime64[M]").astype(np.int64))
        found: Integers = np.rint(months / step.months).astype(np.int64)
    else:
        found = np.rint((times - end.astype("datetime64[us]")).astype(np.int64) / step.micros).astype(np.int64)
    return found


def regular(times: Times, values: Floats, step: Step) -> Regular:
    """Values at equal distances. Gaps are bridged in a line; of several values for one step the last counts."""
    end = times[-1]
    places = steps_from(step, end, times)
    first = max(int(places.min()), 1 - LONGEST)
    found = np.full(1 - first, np.nan)
    inside = places >= first
    found[places[inside] - first] = values[inside]
    absent = np.isnan(found)
    held = np.flatnonzero(~absent)
    found[absent] = np.interp(np.flatnonzero(absent), held, found[held])
    repeated = int(inside.sum()) - len(held)
    return Regular(end, found, places - first, int(absent.sum()), repeated)


class Covariates(NamedTuple):
    """Columns beside the value: numbers, and words as numbers. Missing is NaN.

    `numbers` and `strings` are places in a batch; `words` holds for each string column what each word stands for.
    """

    numbers: tuple[int, ...]
    strings: tuple[int, ...]
    words: tuple[dict[str, float], ...]

    @property
    def width(self) -> int:
        """How many columns there are."""
        return len(self.numbers) + len(self.strings)

    def matrix(self, batch: Batch, rows: NDArray[np.intp]) -> Floats:
        """Shape (rows, width)."""
        found = np.full((len(rows), self.width), np.nan)
        found[:, : len(self.numbers)] = batch.numbers[rows][:, np.array(self.numbers, np.intp)]
        for column, (place, words) in enumerate(zip(self.strings, self.words, strict=True), len(self.numbers)):
            found[:, column] = [words.get(text, np.nan) for text in batch.strings[rows, place].tolist()]
        return np.where(np.isfinite(found), found, np.nan)


def carried(matrix: Floats, before: Floats) -> Floats:
    """Each missing value replaced by the one before it in time, at the start by `before`; (steps, columns)."""
    whole = np.concatenate([before[None], matrix])
    latest = np.maximum.accumulate(np.where(np.isnan(whole), 0, np.arange(len(whole))[:, None]), axis=0)
    found: Floats = np.take_along_axis(whole, latest, axis=0)[1:]
    return found


def check_steps(steps: int, most: int, name: str) -> None:
    """Raise Invalid where a row lies further ahead than anything sensible."""
    if steps > most:
        which = f" of series {name!r}" if name else ""
        raise Invalid(
            f"A row{which} lies {steps:,} steps after the last known value; at most {most:,} can be predicted. "
            "Send the values in between as history."
        )
