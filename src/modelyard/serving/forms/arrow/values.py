"""The buffers of one Arrow batch become columns of values. Whatever they hold, reading raises Malformed at worst."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelyard.core.errors import Malformed, TooLarge, Unsupported
from modelyard.serving.forms.arrow.flatbuffers import Table, damaged
from modelyard.serving.forms.arrow.schema import Type
from modelyard.serving.forms.columns import MOST_CELLS, Array, Column
from modelyard.serving.packing import unpack

LARGEST_UNPACKED = 1 << 27
"""Bytes that the compressed buffers of one body may become."""

_ZSTD = 1
_PREFIX = 8
_NO_VALIDITY = frozenset({"union", "run-end encoded"})
_INLINE = 12
_DAY = 86_400_000


class Odd(NamedTuple):
    """A column of a type that no model takes, and which of its values are missing (None: none of them)."""

    type: str
    missing: NDArray[np.bool_] | None


class Allowance:
    """How much one body may still become: bytes of compressed buffers, and words of dictionaries."""

    def __init__(self) -> None:
        self._bytes = LARGEST_UNPACKED
        self._words = MOST_CELLS

    def take(self, count: int) -> None:
        """Use up `count` bytes. Raises TooLarge."""
        self._bytes -= count
        if self._bytes < 0:
            raise TooLarge(f"The Arrow stream is larger than {LARGEST_UNPACKED} bytes when unpacked. Send fewer rows.")

    def learn(self, count: int) -> None:
        """Use up `count` words. Raises TooLarge."""
        self._words -= count
        if self._words < 0:
            raise TooLarge(f"The Arrow stream has more than {MOST_CELLS} words in its dictionaries. Send fewer rows.")


class Buffers:
    """One record batch: `rows`, the nodes (length, null count) and the buffers that lie in `body`."""

    def __init__(self, batch: Table, body: memoryview, allowance: Allowance) -> None:
        self.rows = batch.number(0, "q")
        self.nodes = batch.longs(1, 2)
        self.variadic = batch.longs(4)
        self._places = batch.longs(2, 2)
        self.count = len(self._places) // 2
        self._body = body
        self._end = len(body)
        self._allowance = allowance
        compression = batch.table(3)
        self._packed = compression is not None
        if compression is not None and compression.number(0, "B") != _ZSTD:
            raise Unsupported("The Arrow stream is compressed with LZ4. Send it uncompressed or with zstd.")

    def __getitem__(self, number: int) -> memoryview:
        if not 0 <= number < self.count:
            raise damaged()
        start, length = self._places[2 * number], self._places[2 * number + 1]
        if start < 0 or length < 0 or start + length > self._end:
            raise damaged()
        found = self._body[start : start + length]
        return self._unpacked(found) if self._packed and length else found

    def _unpacked(self, packed: memoryview) -> memoryview:
        """A compressed buffer: its length as 64 bits, then the data; -1 says that it is not compressed after all."""
        if len(packed) < _PREFIX:
            raise damaged()
        length = int.from_bytes(packed[:_PREFIX], "little", signed=True)
        if length == -1:
            return packed[_PREFIX:]
        if length < 0:
            raise damaged()
        self._allowance.take(length)
        try:
            plain = unpack(packed[_PREFIX:], b"zstd", length)
        except (Malformed, TooLarge):
            raise damaged() from None
        if len(plain) != length:
            raise damaged()
        return memoryview(plain)


def read_column(kind: Type, buffers: Buffers, node: int, first: int, variadic: int, *, as_dates: bool) -> Column | Odd:
    """The column at this node, whose buffers begin at `first`; `variadic` is how many a view has besides its own.

    Times become ISO 8601 texts where `as_dates`, and are odd otherwise.
    """
    if 2 * node + 1 >= len(buffers.nodes):
        raise damaged()
    rows, nulls = buffers.nodes[2 * node], buffers.nodes[2 * node + 1]
    if rows != buffers.rows or not 0 <= nulls <= rows:
        raise damaged()
    if kind.family == "number":
        missing = _missing(buffers[first], rows, nulls)
        return Array(_numbers(buffers[first + 1], kind, rows), missing)
    if kind.family == "null":
        return [None] * rows
    if kind.family == "other" or (kind.family == "date" and not as_dates):
        return Odd(kind.name, None if kind.name in _NO_VALIDITY else _missing(buffers[first], rows, nulls))
    missing = _missing(buffers[first], rows, nulls)
    match kind.family:
        case "boolean":
            return Array(_bits(buffers[first + 1], rows), missing)
        case "date":
            return _dates(_numbers(buffers[first + 1], kind, rows), kind, missing)
        case "text":
            return _texts(_numbers(buffers[first + 1], kind, rows + 1 if rows else 0), buffers[first + 2], missing)
        case _:
            data = [buffers[first + 2 + number] for number in range(variadic)]
            return _views(buffers[first + 1], data, rows, missing)


def decoded(index: Column | Odd, words: list[Any] | Odd) -> Column | Odd:
    """What a dictionary-encoded column stands for. Its time does not depend on the size of the dictionary."""
    if not isinstance(index, Array):
        raise damaged()
    if isinstance(words, Odd):
        return Odd(words.type, index.missing)
    places, missing = index
    present = places if missing is None else places[~missing]
    if len(present) and not (present.min() >= 0 and present.max() < len(words)):
        raise damaged()
    if len(places) < len(words):
        gone = [False] * len(places) if missing is None else missing.tolist()
        return [None if absent else words[place] for place, absent in zip(places.tolist(), gone, strict=True)]
    known = np.empty(len(words) + 1, object)
    known[:-1] = words
    places = places.astype(np.int64)
    if missing is not None:
        places[missing] = len(words)
    found: list[Any] = known[places].tolist()
    return found


def _missing(bitmap: memoryview, rows: int, nulls: int) -> NDArray[np.bool_] | None:
    if not len(bitmap):
        if nulls:
            raise damaged()
        return None
    missing = ~_bits(bitmap, rows)
    if int(missing.sum()) != nulls:
        raise damaged()
    return missing if nulls else None


def _bits(data: memoryview, rows: int) -> NDArray[np.bool_]:
    if 8 * len(data) < rows:
        raise damaged()
    return np.unpackbits(np.frombuffer(data, np.uint8), count=rows, bitorder="little").view(np.bool_)


def _numbers(data: memoryview, kind: Type, count: int) -> NDArray[Any]:
    assert kind.dtype is not None
    if len(data) < count * kind.dtype.itemsize:
        raise damaged()
    return np.frombuffer(data, kind.dtype, count)


def _dates(counts: NDArray[Any], kind: Type, missing: NDArray[np.bool_] | None) -> list[str | None]:
    times = counts.astype("<i8").view(f"<M8[{kind.unit}]")
    if kind.unit == "ms" and not (counts % _DAY).any():
        times = times.astype("<M8[D]")
    texts = np.datetime_as_string(times).tolist()
    if kind.zoned:
        texts = [text + "+00:00" for text in texts]
    return _known(texts, missing)


def _texts(offsets: NDArray[Any], data: memoryview, missing: NDArray[np.bool_] | None) -> list[str | None]:
    if not len(offsets):
        return []
    ends: list[int] = offsets.tolist()
    if ends[0] < 0 or ends[-1] > len(data) or (len(ends) > 1 and bool((offsets[1:] < offsets[:-1]).any())):
        raise damaged()
    raw = bytes(data[: ends[-1]])
    if raw.isascii():
        text = raw.decode()
        return _known([text[start:end] for start, end in pairwise(ends)], missing)
    pieces = [raw[start:end] for start, end in pairwise(ends)]
    return _decoded(pieces, missing)


def _views(
    views: memoryview, data: Sequence[memoryview], rows: int, missing: NDArray[np.bool_] | None
) -> list[str | None]:
    """Strings of up to 12 bytes lie in their view, longer ones in one of the buffers that it names."""
    if len(views) < 16 * rows:
        raise damaged()
    words: list[list[int]] = np.frombuffer(views, "<i4", 4 * rows).reshape(rows, 4).tolist()
    gone = missing.tolist() if missing is not None else [False] * rows
    pieces = []
    for row, ((length, _, number, start), absent) in enumerate(zip(words, gone, strict=True)):
        if absent:
            pieces.append(b"")
        elif 0 <= length <= _INLINE:
            pieces.append(bytes(views[16 * row + 4 : 16 * row + 4 + length]))
        elif not (0 <= number < len(data) and 0 <= start <= start + length <= len(data[number])):
            raise damaged()
        else:
            pieces.append(bytes(data[number][start : start + length]))
    return _decoded(pieces, missing)


def _decoded(pieces: list[bytes], missing: NDArray[np.bool_] | None) -> list[str | None]:
    try:
        if missing is None:
            return [piece.decode() for piece in pieces]
        return [None if gone else piece.decode() for piece, gone in zip(pieces, missing.tolist(), strict=True)]
    except UnicodeDecodeError:
        raise Malformed("The Arrow stream holds a string that is not UTF-8.") from None


def _known(texts: list[str], missing: NDArray[np.bool_] | None) -> list[str | None]:
    if missing is None:
        return list(texts)
    return [None if gone else text for text, gone in zip(texts, missing.tolist(), strict=True)]
