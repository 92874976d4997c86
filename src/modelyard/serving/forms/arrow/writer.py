"""Answers as an Arrow stream: one schema, one batch, the end.

For classification `prediction`, `probability` and a `probability_<class>` for each class; other answers have a column
for each of their members. Columns are strings, float64, int64 or booleans; a missing value is null.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.formats._columns import Column, Kind
from modelyard.formats.codec import Codec
from modelyard.serving.forms.arrow.flatbuffers import Fields, Longs, build
from modelyard.serving.forms.arrow.reader import BATCH, CONTINUATION, SCHEMA

_VERSION = ("h", 4)
_INTEGER, _FLOAT, _STRING, _BOOLEAN = 2, 3, 5, 6
_DOUBLE: Fields = {0: ("h", 2)}
_LONG: Fields = {0: ("i", 64), 1: ("?", True)}
_TYPES: dict[Kind, tuple[int, Fields]] = {
    "text": (_STRING, {}),
    "double": (_FLOAT, _DOUBLE),
    "single": (_FLOAT, _DOUBLE),
    "integer": (_INTEGER, _LONG),
    "truth": (_BOOLEAN, {}),
}
_END = CONTINUATION + bytes(4)

Buffers = tuple[int, list[bytes]]
"""One column of a batch: how many of its values are null, and its buffers, that of the nulls first."""


class ArrowWriter:
    """Writes the answers of one version."""

    def __init__(self, codec: Codec) -> None:
        self._wording = codec.wording
        classes = codec.signature.classes
        self._labels = [label.encode() for label in classes]
        self._sizes = np.array([len(label) for label in self._labels], np.int64)
        names = ["prediction", "probability", *(f"probability_{label}" for label in classes)]
        kinds: list[Kind] = ["double"] * len(names)
        self._schema = _schema(names, ["text", *kinds[1:]])

    def write(self, values: NDArray[np.float32], options: Any = None) -> bytes:
        """The stream for the rows that a predictor answered with `values`."""
        if not self._labels or options is not None:
            return self.table(self._wording.columns(values, options), nullable=False)
        best = values.argmax(axis=1)
        ends = np.zeros(len(values) + 1, "<i4")
        np.cumsum(self._sizes[best], out=ends[1:])
        labels = b"".join([self._labels[place] for place in best.tolist()])
        # One column behind the other, as they lie in the stream.
        wide = np.ascontiguousarray(values.T, "<f8")
        columns = [(0, [b"", ends.tobytes(), labels]), (0, [b"", wide.max(axis=0).tobytes()])]
        return self._stream(self._schema, len(values), [*columns, *((0, [b"", bytes(column)]) for column in wide)])

    def table(self, columns: Sequence[Column], *, nullable: bool = True) -> bytes:
        """The stream for these columns; `nullable` says that others of them may hold nulls."""
        rows = len(columns[0].values) if columns else 0
        schema = _schema([column.name for column in columns], [column.kind for column in columns], nullable)
        return self._stream(schema, rows, [_buffers(column) for column in columns])

    @staticmethod
    def _stream(schema: bytes, rows: int, columns: list[Buffers]) -> bytes:
        return b"".join([schema, *_batch(rows, columns), _END])


def _schema(names: Sequence[str], kinds: Sequence[Kind], nullable: bool = False) -> bytes:
    columns: list[Fields] = []
    for name, kind in zip(names, kinds, strict=True):
        number, about = _TYPES[kind]
        columns.append({0: name, 1: ("?", nullable), 2: ("B", number), 3: about, 5: []})
    return _message(SCHEMA, {1: columns}, 0)


def _buffers(column: Column) -> Buffers:
    """A column as it lies in a batch. Bits are packed from the lowest on."""
    values = column.values
    there = [value is not None for value in values]
    nulls = len(there) - sum(there)
    present = _bits(there) if nulls else b""
    match column.kind:
        case "text":
            texts = [(value or "").encode() for value in values]
            ends = np.zeros(len(texts) + 1, "<i4")
            np.cumsum([len(text) for text in texts], out=ends[1:])
            return nulls, [present, ends.tobytes(), b"".join(texts)]
        case "truth":
            return nulls, [present, _bits([bool(value) for value in values])]
        case "integer":
            return nulls, [present, np.array([value or 0 for value in values], "<i8").tobytes()]
        case _:
            return nulls, [present, np.array([0.0 if value is None else value for value in values], "<f8").tobytes()]


def _bits(truths: list[bool]) -> bytes:
    return np.packbits(np.array(truths, np.bool_), bitorder="little").tobytes()


def _batch(rows: int, columns: list[Buffers]) -> list[bytes]:
    """A record batch of these columns."""
    places, nodes, body, end = [], [], [], 0
    for nulls, buffers in columns:
        nodes += [rows, nulls]
        for buffer in buffers:
            places += [end, len(buffer)]
            padded = -(-len(buffer) // 8) * 8
            body.append(buffer.ljust(padded, b"\0"))
            end += padded
    header = {0: ("q", rows), 1: Longs(nodes, 2), 2: Longs(places, 2)}
    return [_message(BATCH, header, end), *body]


def _message(kind: int, header: Fields, size: int) -> bytes:
    """A message without its body, which has `size` bytes."""
    metadata = build({0: _VERSION, 1: ("B", kind), 2: header, 3: ("q", size)})
    return CONTINUATION + len(metadata).to_bytes(4, "little") + metadata
