"""How a model's traffic is divided: weights that make 100, and rules that fit them. Pure: no rows, no session.

Here rather than with the operations, because users and the controller change shares by the same arithmetic.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from modelyard.protocol.routing import Traffic

Entry = dict[str, Any]
"""One held version, as a revision keeps it: {version: its id, weight: its share of the model's traffic in per cent}."""


def share_out(entries: Sequence[Entry], total: int) -> None:
    """Set the weights of `entries` so that they make `total`, in the proportions that they have now; equally, where
    none has any.

    By largest remainders (Hamilton's method): no weight is further than 1 from its exact share, none is negative.
    """
    weight = sum(entry["weight"] for entry in entries)
    parts = [entry["weight"] if weight else 1 for entry in entries]
    whole = sum(parts)
    exact = [divmod(total * part, whole) for part in parts]
    left = total - sum(share for share, _ in exact)
    favoured = sorted(range(len(parts)), key=lambda position: -exact[position][1])[:left]
    for position, entry in enumerate(entries):
        entry["weight"] = exact[position][0] + (position in favoured)


def fitting(
    traffic: Mapping[str, Traffic], held: Mapping[str, Mapping[int, Entry]]
) -> tuple[dict[str, Traffic], list[str]]:
    """The rules that go with the versions `held` (by model's path and number), and in words those that do not.

    A header rule needs its version to be held; a shadow needs it to be held with a weight of 0.
    """
    kept: dict[str, Traffic] = {}
    dropped: list[str] = []
    for path, rules in traffic.items():
        mine = held.get(path, {})
        headers = tuple(rule for rule in rules.headers if rule.version in mine)
        shadows = tuple(one for one in rules.shadows if one.version in mine and mine[one.version]["weight"] == 0)
        gone = Traffic(
            headers=tuple(rule for rule in rules.headers if rule not in headers),
            sticky=None if mine else rules.sticky,
            shadows=tuple(shadow for shadow in rules.shadows if shadow not in shadows),
        )
        if gone != Traffic():
            dropped.append(f"{path}: {described(gone)}")
        rest = Traffic(headers=headers, sticky=rules.sticky if mine else None, shadows=shadows)
        if rest != Traffic():
            kept[path] = rest
    return kept, dropped


def described(rules: Traffic) -> str:
    """Rules in words: `x-tier=beta → v2; sticky by x-user; shadow v3 50 %`."""
    words = [f"{rule.header}={rule.value} → v{rule.version}" for rule in rules.headers]
    words += [f"sticky by {rules.sticky}"] if rules.sticky else []
    words += [f"shadow v{shadow.version} {shadow.share} %" for shadow in rules.shadows]
    return "; ".join(words)
