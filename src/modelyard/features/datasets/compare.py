"""Two releases of a dataset side by side, from what is stored of them: no table is read.

PSI: population stability index, the sum over bins of (q - p) ln(q / p); Jensen-Shannon divergence to base 2 (Lin, 1991,
doi:10.1109/18.61115); KS: the largest distance of two cumulative distributions. Numbers are compared over the union of
both histograms' edges, words over the most frequent values and the rest.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from modelyard.features.datasets.merging import mass_below
from modelyard.features.datasets.operations import roles_of
from modelyard.features.datasets.schemas import PURPOSES, ClassShift, ColumnShift, Comparison, FileChanges
from modelyard.features.datasets.tables import ReleaseRow

SHIFTED = 0.2
"""From this PSI on a change is usually taken for a large one; below 0.1 for none."""
MISSING_SHIFTED = 0.05
FEWEST = 1e-4
"""The share that an empty bin counts as, so that a PSI stays finite."""
BINS = 10

Column = Mapping[str, Any]


class Side(NamedTuple):
    """One of two releases."""

    number: int
    checksum: str
    manifest: Sequence[Mapping[str, Any]]
    roles: Mapping[str, str]
    profile: Mapping[str, Any]

    @classmethod
    def of(cls, row: ReleaseRow, profile: Mapping[str, Any]) -> "Side":
        """A release with its profile."""
        return cls(row.number, row.checksum, row.manifest, roles_of(row), profile)

    @property
    def columns(self) -> dict[str, Column]:
        """The columns' profiles by name, with how many values are `present`."""
        rows = self.profile["rows"]
        return {column["name"]: {**column, "present": rows - column["missing"]} for column in self.profile["columns"]}


def compared(before: Side, after: Side) -> Comparison:
    """What changed from `before` to `after`."""
    one, two = before.columns, after.columns
    both = [name for name in one if name in two]
    roles = {*before.roles, *after.roles}
    return Comparison(
        before=before.number,
        after=after.number,
        same=before.checksum == after.checksum,
        files=_files(before, after),
        rows={purpose: (_rows(before, purpose), _rows(after, purpose)) for purpose in PURPOSES},
        columns_added=[name for name in two if name not in one],
        columns_removed=[name for name in one if name not in two],
        columns_changed={
            name: (one[name]["type"], two[name]["type"]) for name in both if one[name]["type"] != two[name]["type"]
        },
        roles_changed={
            role: (before.roles.get(role), after.roles.get(role))
            for role in sorted(roles)
            if before.roles.get(role) != after.roles.get(role)
        },
        shifts=[_shift(before, one[name], after, two[name]) for name in both],
        balance=_balance(before, after),
    )


def _files(before: Side, after: Side) -> FileChanges:
    one, two = _by_name(before), _by_name(after)
    return FileChanges(
        added=sorted(name for name in two if name not in one),
        removed=sorted(name for name in one if name not in two),
        changed=sorted(name for name in one if name in two and one[name] != two[name]),
    )


def _by_name(side: Side) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for entry in side.manifest:
        found.setdefault(f"{entry['purpose']}/{entry['filename']}", []).append(entry["sha256"])
    return {name: sorted(checksums) for name, checksums in found.items()}


def _rows(side: Side, purpose: str) -> int:
    return sum(entry["rows"] for entry in side.manifest if entry["purpose"] == purpose)


def _shift(before: Side, one: Column, after: Side, other: Column) -> ColumnShift:
    shares = _shares(one, other)
    psi = divergence = ks = None
    if shares is not None:
        psi, divergence = _psi(*shares.bins), _divergence(*shares.bins)
        ks = _ks(*shares.fine) if shares.ordered else None
    missing = (_missing(before, one), _missing(after, other))
    moved = abs(missing[0] - missing[1]) >= MISSING_SHIFTED
    return ColumnShift(
        name=one["name"], psi=psi, divergence=divergence, ks=ks, missing=missing,
        shifted=moved or (psi is not None and psi >= SHIFTED),
    )  # fmt: skip


def _missing(side: Side, column: Column) -> float:
    return round(column["missing"] / side.profile["rows"], 6) if side.profile["rows"] else 0.0


class _Shares(NamedTuple):
    """Shares of both sides in the same bins, coarse ones and, where values have an order, fine ones."""

    bins: tuple[list[float], list[float]]
    fine: tuple[list[float], list[float]]
    ordered: bool


def _shares(one: Column, other: Column) -> _Shares | None:
    numbers = bool(one["histogram"] and other["histogram"])
    listed = all(column["top"] and len(column["top"]) >= column["distinct"] for column in (one, other))
    if numbers and not listed:
        return _of_numbers(one["histogram"], other["histogram"])
    if one["top"] and other["top"] and (numbers or one["type"] == other["type"]):
        found = _of_values(one, other, ordered=numbers)
        return _Shares(found, found, ordered=numbers)
    return None


def _of_numbers(one: Mapping[str, Any], other: Mapping[str, Any]) -> _Shares | None:
    whole, rest = sum(one["counts"]), sum(other["counts"])
    if not whole or not rest:
        return None
    edges = sorted({*one["edges"], *other["edges"]})
    fine = (_binned(one, edges), _binned(other, edges))
    # Bins that hold about as many of the first side each: what a PSI is usually taken over.
    cuts = _equal_cuts(one, edges)
    return _Shares((_binned(one, cuts), _binned(other, cuts)), fine, ordered=True)


def _binned(histogram: Mapping[str, Any], edges: Sequence[float]) -> list[float]:
    """Shares of the values below the first edge, between edges, and from the last on."""
    whole = sum(histogram["counts"])
    below = [mass_below(dict(histogram), edge) / whole for edge in edges]
    return [below[0], *(high - low for low, high in pairwise(below)), 1.0 - below[-1]]


def _equal_cuts(histogram: Mapping[str, Any], edges: Sequence[float]) -> list[float]:
    whole, cuts, last = sum(histogram["counts"]), [], 0.0
    for edge in edges:
        below = mass_below(dict(histogram), edge) / whole
        if below - last >= 1 / BINS - 1e-9 and below < 1:
            cuts.append(edge)
            last = below
    return cuts or [edges[len(edges) // 2]]


def _of_values(one: Column, other: Column, *, ordered: bool) -> tuple[list[float], list[float]]:
    sides = (one, other)
    counts = [{_key(value): count for value, count in side["top"]} for side in sides]
    # A value that one side lists and the other does not may be among the rest of the other, unless that lists all.
    values = [
        value
        for value in {**counts[0], **counts[1]}
        if all(_known(value, count, side) for count, side in zip(counts, sides, strict=True))
    ]
    if ordered:
        values.sort(key=lambda value: float(value[1]))
    shares = [
        [count.get(value, 0) / max(1, side["present"]) for value in values]
        for count, side in zip(counts, sides, strict=True)
    ]
    first, second = ([*share, max(0.0, 1.0 - math.fsum(share))] for share in shares)
    return first, second


def _known(value: Any, counts: Mapping[Any, int], side: Column) -> bool:
    return value in counts or len(counts) >= side["distinct"]


def _key(value: Any) -> tuple[str, Any]:
    """Told apart from what is only equal: True is no 1."""
    return ("bool" if isinstance(value, bool) else "value", value)


def _psi(one: Sequence[float], other: Sequence[float]) -> float:
    pairs = ((max(p, FEWEST), max(q, FEWEST)) for p, q in zip(one, other, strict=True))
    return _short(math.fsum((q - p) * math.log(q / p) for p, q in pairs))


def _divergence(one: Sequence[float], other: Sequence[float]) -> float:
    total = 0.0
    for p, q in zip(one, other, strict=True):
        middle = (p + q) / 2
        total += sum(share * math.log2(share / middle) / 2 for share in (p, q) if share > 0)
    return _short(min(1.0, max(0.0, total)))


def _ks(one: Sequence[float], other: Sequence[float]) -> float:
    largest = distance = 0.0
    for p, q in zip(one, other, strict=True):
        distance += p - q
        largest = max(largest, abs(distance))
    return _short(min(1.0, largest))


def _balance(before: Side, after: Side) -> list[ClassShift]:
    """Each of the target's values with its share before and after; empty where the target has more than are listed."""
    sides = [side.columns.get(side.roles.get("target", "")) for side in (before, after)]
    if any(column is None or not column["top"] or len(column["top"]) < column["distinct"] for column in sides):
        return []
    counts = [{_key(value): count for value, count in column["top"]} for column in sides if column is not None]
    whole = [sum(count.values()) for count in counts]
    return [
        ClassShift(
            value=value[1],
            before=_short(counts[0].get(value, 0) / whole[0]),
            after=_short(counts[1].get(value, 0) / whole[1]),
        )
        for value in {**counts[0], **counts[1]}
    ]


def _short(value: float) -> float:
    return float(f"{value:.6g}")
