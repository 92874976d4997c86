"""FlatBuffers, as far as Arrow's metadata needs them: tables read from any bytes, and tables written.

Whatever the bytes say, reading raises Malformed at worst. The text: flatbuffers.dev/internals.
"""

import struct
from typing import Any

from modelyard.core.errors import Malformed

_SIZES = {"?": 1, "B": 1, "h": 2, "i": 4, "q": 8}
_SHORT, _WORD, _SIGNED = struct.Struct("<H"), struct.Struct("<I"), struct.Struct("<i")
_SCALARS = {code: struct.Struct(f"<{code}") for code in _SIZES}

MOST_TABLES = 1 << 14
"""More columns than anybody sends: a vector of tables is read before anything else is known."""


def damaged() -> Malformed:
    """What is raised wherever the bytes make no sense."""
    return Malformed("The body is no whole Arrow stream: its metadata is damaged.")


def _get(kind: struct.Struct, data: bytes, at: int) -> Any:
    if at < 0:
        raise damaged()
    try:
        return kind.unpack_from(data, at)[0]
    except struct.error:
        raise damaged() from None


class Table:
    """A table at `at` in `data`. Fields are named by their number in the schema file."""

    __slots__ = ("_at", "_data", "_fields", "_vtable")

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at
        self._vtable = at - _get(_SIGNED, data, at)
        self._fields = (_get(_SHORT, data, self._vtable) - 4) // 2

    @classmethod
    def root(cls, data: bytes) -> "Table":
        """The table that these bytes are."""
        return cls(data, _get(_WORD, data, 0))

    def _place(self, field: int) -> int:
        """Where the field is, 0 where it is left out."""
        if field >= self._fields:
            return 0
        offset: int = _get(_SHORT, self._data, self._vtable + 4 + 2 * field)
        return self._at + offset if offset else 0

    def number(self, field: int, kind: str, default: int = 0) -> int:
        """A scalar, of a `struct` format character."""
        place = self._place(field)
        value: int = _get(_SCALARS[kind], self._data, place) if place else default
        return value

    def table(self, field: int) -> "Table | None":
        """A table, None where it is left out."""
        place = self._place(field)
        return Table(self._data, place + _get(_WORD, self._data, place)) if place else None

    def text(self, field: int) -> str:
        """A string, "" where it is left out."""
        start, count = self._vector(field, 1)
        try:
            return self._data[start : start + count].decode()
        except UnicodeDecodeError:
            raise damaged() from None

    def tables(self, field: int) -> list["Table"]:
        """A vector of tables, at most MOST_TABLES."""
        start, count = self._vector(field, 4)
        if count > MOST_TABLES:
            raise damaged()
        places = range(start, start + 4 * count, 4)
        return [Table(self._data, place + _get(_WORD, self._data, place)) for place in places]

    def longs(self, field: int, each: int = 1) -> tuple[int, ...]:
        """A vector of 64-bit integers, or of structs of `each` of them, flat."""
        start, count = self._vector(field, 8 * each)
        return struct.unpack_from(f"<{count * each}q", self._data, start)

    def _vector(self, field: int, size: int) -> tuple[int, int]:
        place = self._place(field)
        if not place:
            return 0, 0
        start = place + _get(_WORD, self._data, place) + 4
        count: int = _get(_WORD, self._data, start - 4)
        if start + count * size > len(self._data):
            raise damaged()
        return start, count


class Longs(list[int]):
    """A vector of 64-bit integers, or of structs of `each` of them, to be written."""

    def __init__(self, values: list[int], each: int = 1) -> None:
        super().__init__(values)
        self.each = each


Fields = dict[int, Any]
"""A table to be written: for each field's number its value.

A value is a scalar as (format character, number), a str, Longs, a table (Fields), or a list of tables.
"""


def build(fields: Fields) -> bytes:
    """The bytes of a root table, their length a multiple of 8."""
    out = bytearray(4)
    _WORD.pack_into(out, 0, _table(out, fields))
    return bytes(out.ljust(-(-len(out) // 8) * 8, b"\0"))


def _table(out: bytearray, fields: Fields) -> int:
    """Append a table and, behind it, what it points to; its place. Scalars are aligned to their size."""
    count = max(fields, default=-1) + 1
    offsets, end = [0] * count, 4
    for field, value in sorted(fields.items(), key=lambda item: -_size(item[1])):
        size = _size(value)
        end = -(-end // size) * size
        offsets[field] = end
        end += size
    _align(out, 8, behind=4 + 2 * count)
    vtable = len(out)
    out += struct.pack(f"<HH{count}H", 4 + 2 * count, end, *offsets)
    at = len(out)
    out += _SIGNED.pack(at - vtable) + bytes(end - 4)
    for field, value in fields.items():
        place = at + offsets[field]
        if isinstance(value, tuple):
            _SCALARS[value[0]].pack_into(out, place, value[1])
        else:
            _WORD.pack_into(out, place, _pointed(out, value) - place)
    return at


def _pointed(out: bytearray, value: Any) -> int:
    if isinstance(value, dict):
        return _table(out, value)
    if isinstance(value, str):
        raw = value.encode()
        _align(out, 4)
        at = len(out)
        out += _WORD.pack(len(raw)) + raw + b"\0"
    elif isinstance(value, Longs):
        _align(out, 8, behind=4)
        at = len(out)
        out += struct.pack(f"<I{len(value)}q", len(value) // value.each, *value)
    else:
        _align(out, 4)
        at = len(out)
        out += struct.pack("<I", len(value)) + bytes(4 * len(value))
        for number, each in enumerate(value):
            place = at + 4 + 4 * number
            _WORD.pack_into(out, place, _table(out, each) - place)
    return at


def _size(value: Any) -> int:
    return _SIZES[value[0]] if isinstance(value, tuple) else 4


def _align(out: bytearray, size: int, behind: int = 0) -> None:
    """Pad, so that what comes `behind` bytes later is aligned."""
    out += bytes(-(len(out) + behind) % size)
