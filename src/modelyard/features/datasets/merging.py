"""Profiles of several tables put together: what a release of untouched files says without reading them again.

Counts, extremes, means and deviations are exact. Distributions are put together from histograms and frequent values:
close, not exact; distinct values are exact where every table lists all of its own.
"""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from modelyard.features.datasets.contents.view import common
from modelyard.features.datasets.profile import BINS, EXAMPLES, QUANTILES, TOP

Column = dict[str, Any]


def merged(profiles: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The profile of all tables together. A column that a table lacks is missing in its rows."""
    if len(profiles) == 1:
        return profiles[0]
    rows = sum(profile["rows"] for profile in profiles)
    names = list(dict.fromkeys(column["name"] for profile in profiles for column in profile["columns"]))
    found: dict[str, list[Column]] = {name: [] for name in names}
    for profile in profiles:
        for column in profile["columns"]:
            found[column["name"]].append({**column, "present": profile["rows"] - column["missing"]})
    return {"rows": rows, "columns": [_column(found[name], rows) for name in names]}


def _column(parts: Sequence[Column], rows: int) -> Column:
    present = sum(part["present"] for part in parts)
    full = [part for part in parts if part["present"]] or list(parts)
    largest = max(full, key=lambda part: part["present"])
    kind = full[0]["type"]
    for part in full[1:]:
        kind = common(kind, part["type"])
    one_type = all((part["type"] == "VARCHAR") == (kind == "VARCHAR") for part in full)
    top = _top(full)
    distinct = _distinct(full, present)
    listed = len(top) == distinct and sum(count for _, count in top) == present
    histogram = (_counted(top) if listed else _histogram(full)) if one_type and full[0]["histogram"] else None
    return {
        **{name: value for name, value in largest.items() if name != "present"},
        "type": kind,
        "missing": rows - present,
        "distinct": distinct,
        "minimum": _extreme(full, "minimum", min) if one_type else None,
        "maximum": _extreme(full, "maximum", max) if one_type else None,
        **(_moments(full) if one_type else {"mean": None, "deviation": None}),
        "quantiles": (_of_counts(top) if listed else _quantiles(histogram)) if histogram else None,
        "top": top,
        "histogram": histogram,
        "examples": list(dict.fromkeys(value for part in full for value in part["examples"]))[:EXAMPLES],
        "identifier": one_type and _names_rows(full),
    }


def _distinct(parts: Sequence[Column], present: int) -> int:
    if all(len(part["top"]) == part["distinct"] for part in parts):
        return len({value for part in parts for value, _ in part["top"]})
    if _names_rows(parts):
        return present
    return max(int(part["distinct"]) for part in parts)


def _names_rows(parts: Sequence[Column]) -> bool:
    """Whether a column names the rows of every file; one row alone does not tell."""
    telling = [part["identifier"] for part in parts if part["present"] > 1]
    return bool(telling) and all(telling)


def _extreme(parts: Sequence[Column], which: str, choose: Any) -> Any:
    values = [part[which] for part in parts if part[which] is not None]
    return choose(values) if values else None


def _moments(parts: Sequence[Column]) -> dict[str, float | None]:
    if any(part["mean"] is None for part in parts):
        return {"mean": None, "deviation": None}
    count = sum(part["present"] for part in parts)
    mean = math.fsum(part["mean"] * part["present"] for part in parts) / count
    squares = math.fsum(
        (part["deviation"] or 0.0) ** 2 * (part["present"] - 1) + part["present"] * (part["mean"] - mean) ** 2
        for part in parts
    )
    deviation = math.sqrt(squares / (count - 1)) if count > 1 else None
    return {"mean": _short(mean), "deviation": None if deviation is None else _short(deviation)}


def _top(parts: Sequence[Column]) -> list[list[Any]]:
    counts: Counter[Any] = Counter()
    for part in parts:
        counts.update({(type(value).__name__, value): count for value, count in part["top"]})
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], str(pair[0][1])))
    return [[value, count] for (_, value), count in ordered[:TOP]]


def _histogram(parts: Sequence[Column]) -> dict[str, Any] | None:
    found = [part["histogram"] for part in parts]
    if any(one is None for one in found):
        return None
    low, high = min(one["edges"][0] for one in found), max(one["edges"][-1] for one in found)
    if high == low:
        return {"edges": [low, high], "counts": [sum(sum(one["counts"]) for one in found)]}
    edges = [*(low + (high - low) * number / BINS for number in range(BINS)), high]
    below = [sum(mass_below(one, edge) for one in found) for edge in edges]
    below[-1] = sum(sum(one["counts"]) for one in found)
    rounded = [round(value) for value in below]
    return {
        "edges": [_short(edge) for edge in edges],
        "counts": [after - before for before, after in pairwise(rounded)],
    }


def _counted(top: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """The histogram of numbers that are all listed with their counts."""
    low, high = (float(choose(value for value, _ in top)) for choose in (min, max))
    if high == low:
        return {"edges": [low, high], "counts": [sum(count for _, count in top)]}
    bins = min(BINS, len(top))
    counts = [0] * bins
    for value, count in top:
        counts[min(bins - 1, int((value - low) / (high - low) * bins))] += count
    edges = [*(low + (high - low) / bins * number for number in range(bins)), high]
    return {"edges": [_short(edge) for edge in edges], "counts": counts}


def _of_counts(top: Sequence[Sequence[Any]]) -> dict[str, float]:
    """Quantiles of numbers that are all listed with their counts, between neighbours by their distance."""
    ordered = sorted((float(value), count) for value, count in top)
    last = sum(count for _, count in ordered) - 1

    def at(place: int) -> float:
        for value, count in ordered:
            place -= count
            if place < 0:
                return value
        return ordered[-1][0]

    found = {}
    for name, share in QUANTILES.items():
        low = int(last * share)
        one, two = at(low), at(min(last, low + 1))
        found[name] = _short(one + (two - one) * (last * share - low))
    return found


def _quantiles(histogram: dict[str, Any]) -> dict[str, float]:
    whole = sum(histogram["counts"])
    return {name: _short(_value_at(histogram, share * whole)) for name, share in QUANTILES.items()}


def mass_below(histogram: dict[str, Any], value: float) -> float:
    """How many of a histogram's values lie below `value`, those of a bin spread evenly over it.

    A histogram without width has all its values at its edge; they lie below what is larger.
    """
    edges, counts = histogram["edges"], histogram["counts"]
    below = 0.0
    for (low, high), count in zip(pairwise(edges), counts, strict=True):
        if value >= high and (value > low):
            below += count
        elif value > low:
            below += count * (value - low) / (high - low)
    return below


def _value_at(histogram: dict[str, Any], mass: float) -> float:
    below = 0.0
    for (low, high), count in zip(pairwise(histogram["edges"]), histogram["counts"], strict=True):
        if count and below + count >= mass:
            return float(low + (high - low) * (mass - below) / count)
        below += count
    return float(histogram["edges"][-1])


def _short(value: float) -> float:
    return float(f"{value:.10g}")
