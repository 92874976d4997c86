"""How far a narrowed credential reaches: one rule for the gateway and the api."""

from collections.abc import Collection


def covers(prefixes: Collection[str] | None, prefix: str) -> bool:
    """Whether a credential for `prefixes` reaches `prefix`: it names it or a namespace above it; None reaches all."""
    return prefixes is None or any(prefix == own or prefix.startswith(f"{own}/") for own in prefixes)
