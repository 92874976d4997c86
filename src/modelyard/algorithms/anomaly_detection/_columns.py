"""Learning which columns of a table say something about odd rows, and on what scale."""

from collections import Counter

import numpy as np

from modelyard.algorithms.base import Report
from modelyard.core.errors import Invalid
from modelyard.formats._anomaly_columns import Columns, Rarity, raw_values
from modelyard.formats.base import Batch
from modelyard.protocol.signature import Signature

MOST_CATEGORIES = 10_000
QUARTILES = 1.349
"""Of a normal distribution: how far apart its quartiles lie, in standard deviations."""


def learn_columns(signature: Signature, rows: Batch, report: Report) -> Columns:
    """Numbers that vary, and categories that vary. Raises Invalid where there is neither."""
    ignored = [field.name for field in signature.string_inputs if not _is_category(signature, field.name, field.kind)]
    rarities = [
        _rarity(rows, place)
        for place, field in enumerate(signature.string_inputs)
        if _is_category(signature, field.name, field.kind)
    ]
    numbers = list(range(len(signature.numeric_inputs)))
    names = [field.name for field in signature.numeric_inputs]
    names += [signature.string_inputs[rarity.column].name for rarity in rarities]
    raw = raw_values(rows, numbers, tuple(rarities))
    spread = np.array(
        [bool(len(seen) and np.ptp(seen) > 0) for seen in (column[~np.isnan(column)] for column in raw.T)]
    )
    if ignored:
        report.log(f"Not looked at (dates, texts, time and series): {', '.join(ignored)}.")
    constant = [name for name, varies in zip(names, spread, strict=True) if not varies]
    if constant:
        report.log(f"Left out, the same in every row: {', '.join(constant)}.")
    if not spread.any():
        raise Invalid("No column says which rows are odd: add a number or a category that is not always the same.")
    centre, scale = zip(*(_scale(column[~np.isnan(column)]) for column in raw.T[spread]), strict=True)
    kept = np.flatnonzero(spread).tolist()
    return Columns(
        numbers=tuple(place for place in kept if place < len(numbers)),
        rarities=tuple(rarities[place - len(numbers)] for place in kept if place >= len(numbers)),
        centre=centre,
        scale=scale,
    )


def _is_category(signature: Signature, name: str, kind: str) -> bool:
    return kind == "category" and name not in {signature.time, signature.series}


def _rarity(rows: Batch, place: int) -> Rarity:
    counts = Counter(rows.strings[:, place].tolist())
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_CATEGORIES]
    total = rows.rows + 1.0
    return Rarity(
        column=place,
        values={value: float(-np.log(count / total)) for value, count in ranked},
        unseen=float(np.log(2.0 * total)),
    )


def _scale(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[float, float]:
    """Centre and scale: median and quartiles, which anomalies do not move; where most values are one, the deviation."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    deviation = float(values.std())
    return float(middle), max(float(high - low) / QUARTILES, deviation / 10.0)
