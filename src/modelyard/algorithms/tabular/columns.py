"""Which columns a model is given, and as what: the kinds of a signature's fields, and why the rest is left out."""

import re
from collections import Counter
from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np

from modelyard.algorithms.tabular.table import Column, Table
from modelyard.protocol.signature import Field, Kind

MOST_CATEGORIES_LISTED = 1000
FEWEST_WORDS = 4.0
"""Mean number of words from which on a string column with many different values is free text."""

UNIQUE = 0.95
"""Share of different values from which on a column of short strings only names its rows."""

# Scripts without spaces between words (Thai, Lao, Khmer, kana, Chinese): there about two characters are a word.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")
_ID = re.compile(r"(^|[\W_])(?i:id|uuid|guid|key)$|[a-z](Id|ID|Uuid|UUID)$")
_COUNTER = re.compile(r"(unnamed: ?\d+|index|row|row_?(id|num|number)|#|no\.?|)$", re.IGNORECASE)


class Chosen(NamedTuple):
    """The fields in the order of the table, and why each of the others is left out."""

    fields: tuple[Field, ...]
    dropped: dict[str, str]


def choose(table: Table, target: str, drop: Collection[str]) -> Chosen:
    """Look at training rows."""
    fields: list[Field] = []
    dropped: dict[str, str] = {}
    for column in table.columns.values():
        if column.name == target:
            continue
        if column.name in drop:
            dropped[column.name] = "left out on request"
        elif reason := useless(column):
            dropped[column.name] = reason
        else:
            fields.append(describe(column))
    return Chosen(tuple(fields), dropped)


def useless(column: Column) -> str:
    """Why a column teaches nothing; empty where it may."""
    present = _present(column)
    different = len(set(present.tolist()))
    if not len(present):
        return "has no values"
    if different == 1 and len(present) == len(column.values):
        return "has the same value in every row"
    if len(present) < 3:
        return ""
    if column.type == "string" and different >= UNIQUE * len(present) and _mean_words(present) < FEWEST_WORDS:
        return "identifies rows: nearly every value occurs once"
    if column.type == "integer" and different == len(present):
        if _ID.search(column.name):
            return "identifies rows: every value occurs once, and its name says so"
        if _COUNTER.match(column.name) and np.ptp(present) == len(present) - 1:
            return "counts the rows"
    return ""


def describe(column: Column) -> Field:
    """The field of a signature for a column."""
    present = _present(column)
    kind = kind_of(column)
    missing = round(1 - len(present) / max(1, len(column.values)), 6)
    if kind in {"number", "integer", "boolean"}:
        minimum, maximum = (plain(float(bound), "number") for bound in (present.min(), present.max()))
        example = plain(float(np.median(present)), kind)
        if kind == "boolean":
            return Field(name=column.name, kind=kind, missing=missing, example=example)
        return Field(name=column.name, kind=kind, missing=missing, example=example, minimum=minimum, maximum=maximum)
    ranked = sorted(Counter(present.tolist()).items(), key=lambda item: (-item[1], item[0]))
    listed = tuple(value for value, _ in ranked[:MOST_CATEGORIES_LISTED]) if kind == "category" else ()
    return Field(name=column.name, kind=kind, missing=missing, categories=listed, example=ranked[0][0])


def kind_of(column: Column) -> Kind:
    """What a column is to a model."""
    if column.type != "string":
        return column.type
    present = _present(column)
    different = len(set(present.tolist()))
    long = _mean_words(present) >= FEWEST_WORDS
    return "text" if long and different >= 20 and different > 0.2 * len(present) else "category"


def plain(value: float, kind: Kind) -> Any:
    """A number as JSON would have it: what a client sends, and what becomes the same float32 again."""
    if np.isnan(value):
        return None
    if kind == "boolean":
        return bool(value)
    if kind == "integer":
        return int(value)
    return float(str(np.float32(value)))


def _present(column: Column) -> Any:
    values = column.values
    return values[values != ""] if column.values.dtype == object else values[~np.isnan(values)]


def _mean_words(values: Any) -> float:
    return float(np.mean([len(value.split()) + len(_UNSPACED.findall(value)) / 2 for value in values.tolist()]))
