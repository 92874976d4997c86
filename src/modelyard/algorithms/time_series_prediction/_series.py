"""The training rows as regular series, in groups of one step."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelyard.algorithms.base import Report, TrainingData
from modelyard.core.errors import Invalid
from modelyard.formats._forecasting import forest, panel, seasons
from modelyard.formats._forecasting.block import Floats, Integers, block_of, scaled
from modelyard.formats._forecasting.panel import Covariates
from modelyard.formats.base import Batch
from modelyard.formats.series import Step

MOST_GROUPS = 6
"""Groups of an own step; series of rarer steps go with the largest group."""

MOST_WORDS = 1000


class History(NamedTuple):
    """One regular series; `columns`: those beside the target, (steps, columns), missing ones carried forward."""

    name: str
    step: Step
    end: np.datetime64
    values: Floats
    columns: Floats


@dataclass(frozen=True)
class Kind:
    """Series that are learned together, and after how many steps they repeat."""

    step: Step
    seasons: tuple[int, ...]
    memory: int
    histories: tuple[History, ...]


def joined(data: TrainingData) -> tuple[Batch, Floats]:
    """Training and validation rows together, with their values."""
    batch = Batch(
        np.concatenate([data.rows.numbers, data.validation.numbers]),
        np.concatenate([data.rows.strings, data.validation.strings]),
    )
    return batch, np.concatenate([data.labels, data.validation_labels]).astype(np.float64)


def covariates_of(data: TrainingData, batch: Batch, values: Floats) -> Covariates:
    """The columns beside time, series and target. A word stands for the mean of the target where it is found."""
    signature = data.signature
    numbers = tuple(
        place for place, field in enumerate(signature.numeric_inputs) if field.name != signature.target
    )  # fmt: skip
    strings = tuple(
        place
        for place, field in enumerate(signature.string_inputs)
        if field.name not in {signature.time, signature.series}
    )
    return Covariates(numbers, strings, tuple(_words(batch.strings[:, place], values) for place in strings))


def _words(column: NDArray[np.object_], values: Floats) -> dict[str, float]:
    texts, codes = np.unique(column.astype(str), return_inverse=True)
    known = np.isfinite(values)
    counts = np.bincount(codes[known], minlength=len(texts))
    means = np.bincount(codes[known], values[known], len(texts)) / np.maximum(counts, 1)
    kept = np.sort(np.argsort(-counts, kind="stable")[:MOST_WORDS])
    ranks = np.argsort(np.argsort(means[kept], kind="stable"), kind="stable")
    return {str(text): float(rank) for text, rank in zip(texts[kept], ranks, strict=True) if text}


def kinds_of(
    data: TrainingData, batch: Batch, values: Floats, covariates: Covariates, wanted: tuple[int, ...], memory: int,
    report: Report,
) -> list[Kind]:  # fmt: skip
    """The series in groups, the largest first. Raises Invalid where there is nothing to learn from."""
    rows = [each for each in panel.rows_of(data.signature, batch, values) if len(each.known)]
    if not rows:
        raise Invalid(f"No training row has a value of {data.signature.target}. Check the target column.")
    usual = panel.usual_step(rows)
    histories, filled, repeated = [], 0, 0
    for each in rows:
        step = panel.own_step(each, usual)
        found = panel.regular(each.times, each.values, step)
        filled, repeated = filled + found.filled, repeated + found.repeated
        columns = _aligned(covariates.matrix(batch, each.known), found.places, len(found.values))
        histories.append(History(each.name, step, found.end, found.values, columns))
    if filled:
        report.log(f"{filled:,} steps without a value lie between others; they were filled in a line.")
    if repeated:
        report.log(f"{repeated:,} values stand for a time that has another one; the last of each was kept.")
    return [_kind(step, group, wanted, memory, report) for step, group in _by_step(histories)]


def _aligned(matrix: Floats, places: Integers, count: int) -> Floats:
    whole = np.full((count, matrix.shape[1]), np.nan)
    whole[places[places >= 0]] = matrix[places >= 0]
    return panel.carried(whole, np.full(matrix.shape[1], np.nan))


def _by_step(histories: list[History]) -> list[tuple[Step, list[History]]]:
    groups: dict[Step, list[History]] = {}
    for history in histories:
        groups.setdefault(history.step, []).append(history)
    ordered = sorted(groups.items(), key=lambda entry: -len(entry[1]))
    for _, rare in ordered[MOST_GROUPS:]:
        ordered[0][1].extend(rare)
    return ordered[:MOST_GROUPS]


def _kind(step: Step, histories: list[History], wanted: tuple[int, ...], memory: int, report: Report) -> Kind:
    longest = max(len(history.values) for history in histories)
    if wanted:
        found = tuple(sorted(set(wanted)))
    else:
        sample = histories[:: max(1, len(histories) // 500)]
        found = seasons.detect(scaled(block_of([each.values[-5000:] for each in sample]))[0], step)
    kept = memory or int(np.clip(6 * max([*found, 1]), 500, 2500))
    distance = f"{step.months} months" if step.months else f"{step.micros / 1e6:g} seconds"
    repeats = f"they repeat after {' and '.join(map(str, found))} steps" if found else "they have no season"
    report.log(f"{len(histories):,} series with a value every {distance}, the longest of {longest:,}: {repeats}.")
    return Kind(step, found, kept, tuple(histories))


def time_at(kind: Kind, series: int, count: int) -> np.datetime64:
    """When the last of the first `count` values of a series is."""
    history = kind.histories[series]
    back = np.array([count - len(history.values) - 1])
    found: np.datetime64 = forest.target_times(np.array([history.end], "datetime64[us]"), kind.step, back)[0, 0]
    return found
