"""What the columns of an Arrow stream are: their types, and which buffers of a batch are theirs."""

from typing import Literal, NamedTuple

import numpy as np

from modelyard.core.errors import Invalid, Unsupported
from modelyard.serving.forms.arrow.flatbuffers import MOST_TABLES, Table, damaged

Family = Literal["null", "number", "boolean", "text", "view", "date", "other"]

_NAMES = (
    "none", "null", "integer", "floating point", "binary", "string", "boolean", "decimal", "date", "time", "timestamp",
    "interval", "list", "struct", "union", "fixed-size binary", "fixed-size list", "map", "duration", "large binary",
    "large string", "large list", "run-end encoded", "binary view", "string view", "list view", "large list view",
)  # fmt: skip
# How many buffers a node of each type has of its own. Those of a view come with further ones, as the batch says.
_BUFFERS = (0, 0, 2, 2, 3, 3, 2, 2, 2, 2, 2, 2, 2, 1, 1, 2, 1, 2, 2, 3, 3, 2, 0, 2, 2, 3, 3)
_NULL, _INTEGER, _FLOAT, _STRING, _BOOLEAN, _DATE, _TIMESTAMP, _UNION = 1, 2, 3, 5, 6, 8, 10, 14
_LARGE_STRING, _BINARY_VIEW, _STRING_VIEW = 20, 23, 24
_UNITS = ("s", "ms", "us", "ns")
_DEEPEST = 64
_NEWEST = 4
"""MetadataVersion V5."""


class Type(NamedTuple):
    """A column's type. `dtype` is that of its numbers or offsets, or of its times, which count `unit`s since 1970.

    `zoned` says that times are in UTC.
    """

    name: str
    family: Family
    dtype: np.dtype[np.generic] | None = None
    unit: str = ""
    zoned: bool = False


class Node(NamedTuple):
    """One node of a column's tree: how many buffers it has, and whether others follow as the batch says."""

    buffers: int
    variadic: bool


class Field(NamedTuple):
    """One column. Where it is dictionary-encoded, `index_type` is that in batches, `type` that in the dictionary.

    `nodes` is its tree in batches, `values` that of its dictionary, depth first.
    """

    name: str
    type: Type
    nodes: tuple[Node, ...]
    dictionary: int | None = None
    index_type: Type | None = None
    values: tuple[Node, ...] = ()


def read_schema(schema: Table, version: int) -> list[Field]:
    """The columns of a Schema message. Raises Malformed, and Invalid or Unsupported for what is not read here."""
    if schema.number(0, "h"):
        raise Unsupported("The Arrow stream is big-endian. Send it little-endian.")
    fields: list[Field] = []
    left = MOST_TABLES
    for table in schema.tables(1):
        fields.append(_field(table, version, left))
        # Tables may share what is below them, so that few bytes stand for any number.
        left -= len(fields[-1].nodes) + len(fields[-1].values)
    return fields


def _field(field: Table, version: int, most: int) -> Field:
    name, kind = field.text(0), field.number(2, "B")
    described = field.table(3)
    if not 0 < kind < len(_NAMES) or described is None:
        reason = "it has an Arrow type that is not known here."
        raise Invalid(f'Column "{name}": {reason}', fields=[{"field": name, "message": reason}])
    own = _type(kind, described)
    encoding = field.table(4)
    nodes = _nodes(field, version, most)
    if encoding is None:
        return Field(name, own, nodes)
    index = encoding.table(1)
    # Left out, an index is a 32-bit integer.
    index_type = _integer(index) if index is not None else Type("integer", "number", np.dtype("<i4"))
    return Field(name, own, (Node(2, variadic=False),), encoding.number(0, "q"), index_type, nodes)


def _type(kind: int, described: Table) -> Type:
    name = _NAMES[kind]
    match kind:
        case 1:
            return Type(name, "null")
        case 2:
            return _integer(described)
        case 3:
            size = {0: 2, 1: 4, 2: 8}.get(described.number(0, "h"))
            if size is None:
                raise damaged()
            return Type(name, "number", np.dtype(f"<f{size}"))
        case 5 | 20:
            return Type(name, "text", np.dtype("<i4" if kind == _STRING else "<i8"))
        case 6:
            return Type(name, "boolean")
        case 24:
            return Type(name, "view")
        case 8:
            in_days = described.number(0, "h", 1) == 0
            return Type(name, "date", np.dtype("<i4" if in_days else "<i8"), "D" if in_days else "ms")
        case 10:
            unit = described.number(0, "h")
            if not 0 <= unit < len(_UNITS):
                raise damaged()
            return Type(name, "date", np.dtype("<i8"), _UNITS[unit], zoned=bool(described.text(1)))
        case _:
            return Type(name, "other")


def _integer(described: Table) -> Type:
    bits, signed = described.number(0, "i"), described.number(1, "?")
    if bits not in {8, 16, 32, 64}:
        raise damaged()
    return Type("integer", "number", np.dtype(f"<{'i' if signed else 'u'}{bits // 8}"))


def _nodes(root: Table, version: int, most: int) -> tuple[Node, ...]:
    """The tree below a field as it is in its batch, depth first, without what a dictionary keeps elsewhere.

    Raises Malformed beyond `most` nodes.
    """
    nodes: list[Node] = []
    waiting = [(root, 0)]
    while waiting:
        field, depth = waiting.pop()
        kind = field.number(2, "B")
        # Tables may point to themselves.
        if not 0 < kind < len(_BUFFERS) or depth > _DEEPEST or len(nodes) >= most:
            raise damaged()
        if depth and field.table(4) is not None:
            nodes.append(Node(2, variadic=False))
            continue
        nodes.append(Node(_own(field, kind, version), variadic=kind in {_BINARY_VIEW, _STRING_VIEW}))
        waiting += [(child, depth + 1) for child in reversed(field.tables(5))]
    return tuple(nodes)


def _own(field: Table, kind: int, version: int) -> int:
    if kind != _UNION:
        return _BUFFERS[kind]
    described = field.table(3)
    dense = described is not None and described.number(0, "h") == 1
    # Before V5 a union had a validity buffer too.
    return 1 + dense + (version < _NEWEST)
