"""The names of a table's columns: kept as they are written, none empty, none twice, not too many."""

from collections import Counter
from collections.abc import Sequence

from modelyard.features.datasets.importers.errors import DuplicateColumns, TooManyColumns

LONGEST_NAME = 256


def check_count(columns: int, limit: int) -> None:
    """Raises TooManyColumns."""
    if columns > limit:
        raise TooManyColumns(
            f"The table has {columns:,} columns, {limit:,} are allowed. Leave out what is not needed, or raise "
            "MODELYARD_LIMITS_COLUMNS.",
            detail={"columns": columns, "limit": limit},
        )


def clean_names(found: Sequence[str]) -> list[str]:
    """The names, trimmed and cut to 256 characters; `column_3` for the third where it has none.

    Raises DuplicateColumns, naming them; names that differ in nothing but case count as the same, as in SQL.
    """
    names = [
        " ".join(name.replace("\ufeff", "").split())[:LONGEST_NAME] or f"column_{number}"
        for number, name in enumerate(found, 1)
    ]
    counts = Counter(name.casefold() for name in names)
    twice = list(dict.fromkeys(name for name in names if counts[name.casefold()] > 1))
    if twice:
        shown = ", ".join(repr(name) for name in twice[:10])
        raise DuplicateColumns(
            f"Several columns have the same name: {shown}. Rename them; case makes no difference.",
            detail={"columns": twice},
        )
    return names
