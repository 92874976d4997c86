"""Answers as an Arrow stream: `prediction`, for classification with `probability` and `probability_<class>` behind it.

`prediction` is a string or a float64, all others are float64; there are no nulls. One schema, one batch, the end.
"""

import numpy as np
from numpy.typing import NDArray

from modelyard.serving.forms.arrow.flatbuffers import Fields, Longs, build
from modelyard.serving.forms.arrow.reader import BATCH, CONTINUATION, SCHEMA

_VERSION = ("h", 4)
_FLOAT, _STRING = 3, 5
_DOUBLE = ("h", 2)
_END = CONTINUATION + bytes(4)


class ArrowWriter:
    """Writes the answers of one version. `classes` is () for regression."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        self._labels = [label.encode() for label in classes]
        self._sizes = np.array([len(label) for label in self._labels], np.int64)
        names = ["prediction"]
        if classes:
            names += ["probability", *(f"probability_{label}" for label in classes)]
        columns: list[Fields] = [{0: name, 2: ("B", _FLOAT), 3: {0: _DOUBLE}, 5: []} for name in names]
        if classes:
            columns[0] = {0: names[0], 2: ("B", _STRING), 3: {}, 5: []}
        self._schema = _message(SCHEMA, {1: columns}, 0)

    def write(self, values: NDArray[np.float32]) -> bytes:
        """The stream."""
        rows = len(values)
        # One column behind the other, as they lie in the stream.
        wide = np.ascontiguousarray(values.T, "<f8")
        columns = [[bytes(column)] for column in wide]
        if self._labels:
            best = values.argmax(axis=1)
            ends = np.zeros(rows + 1, "<i4")
            np.cumsum(self._sizes[best], out=ends[1:])
            labels = b"".join([self._labels[place] for place in best.tolist()])
            columns = [[ends.tobytes(), labels], [wide.max(axis=0).tobytes()], *columns]
        return b"".join([self._schema, *_batch(rows, columns), _END])


def _batch(rows: int, columns: list[list[bytes]]) -> list[bytes]:
    """A record batch of these columns, each given by its buffers without the one for nulls, which is empty."""
    places, body, end = [], [], 0
    for column in columns:
        places += [end, 0]
        for buffer in column:
            places += [end, len(buffer)]
            padded = -(-len(buffer) // 8) * 8
            body.append(buffer.ljust(padded, b"\0"))
            end += padded
    nodes = [rows, 0] * len(columns)
    header = {0: ("q", rows), 1: Longs(nodes, 2), 2: Longs(places, 2)}
    return [_message(BATCH, header, end), *body]


def _message(kind: int, header: Fields, size: int) -> bytes:
    """A message without its body, which has `size` bytes."""
    metadata = build({0: _VERSION, 1: ("B", kind), 2: header, 3: ("q", size)})
    return CONTINUATION + len(metadata).to_bytes(4, "little") + metadata
