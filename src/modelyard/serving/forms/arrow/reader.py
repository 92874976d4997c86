"""An Arrow stream becomes rows: its messages, in order, and of their columns those that the model takes."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from modelyard.core.errors import Invalid, Malformed
from modelyard.formats.codec import Codec
from modelyard.serving.forms.arrow.flatbuffers import Table, damaged
from modelyard.serving.forms.arrow.schema import Field, read_schema
from modelyard.serving.forms.arrow.values import Allowance, Buffers, Odd, decoded, read_column
from modelyard.serving.forms.base import Asked
from modelyard.serving.forms.columns import Array, Column, Columns, listed, named

CONTINUATION = b"\xff\xff\xff\xff"
FILE = b"ARROW1"
SCHEMA, DICTIONARY, BATCH = 1, 2, 3
VERSIONS = (3, 4)
"""MetadataVersion V4, of Arrow 0.8, and V5, of 1.0, the newest; what came before is laid out otherwise."""

Words = list[Any] | Odd
"""What a dictionary-encoded column's numbers stand for."""

_KNOWN_SCHEMAS = 64
_LARGEST_KNOWN = 1 << 16


class Message(NamedTuple):
    """One message of a stream: what it is, its metadata as bytes and as a table, and its body."""

    kind: int
    version: int
    metadata: bytes
    header: Table
    body: memoryview


class Taken(NamedTuple):
    """A column that the model takes, and its place among all."""

    field: Field
    place: int


class Start(NamedTuple):
    """Where a column's nodes and buffers begin in a batch, and how many buffers a view has besides its own."""

    node: int
    buffer: int
    variadic: int


class Layout(NamedTuple):
    """The columns of a schema, and those that the model takes, in its order; None for an optional one that is absent.

    `starts` has one for each column and one for the end; None where it varies from batch to batch, as with views.
    """

    fields: list[Field]
    taken: list[Taken | None]
    starts: list[Start] | None


class ArrowReader:
    """Reads streams for one version."""

    def __init__(self, codec: Codec, columns: Columns) -> None:
        self._codec = codec
        self._columns = columns
        # Callers send the same schema again and again.
        self._layouts: dict[bytes, Layout] = {}

    def read(self, body: bytes) -> Asked:
        """The rows of a stream. Raises Malformed, Unsupported, TooLarge, and Invalid naming field and row."""
        messages = _messages(body)
        first = next(messages, None)
        if first is None or first.kind != SCHEMA:
            raise Malformed("The body is no Arrow stream: it does not begin with a schema.")
        layout = self._layout(first)
        allowance = Allowance()
        dictionaries: dict[int, Words] = {}
        chunks: list[list[Column]] = [[] for _ in layout.taken]
        rows = 0
        for message in messages:
            if message.kind == DICTIONARY:
                self._learn(message, layout, dictionaries, allowance)
            elif message.kind == BATCH:
                batch = Buffers(message.header, message.body, allowance)
                if batch.rows < 0:
                    raise damaged()
                if batch.rows:
                    self._columns.check_size(rows + batch.rows)
                self._batch(batch, layout, dictionaries, chunks, rows)
                rows += batch.rows
            else:
                raise damaged()
        self._columns.check_size(rows)
        if not rows:
            return Asked([])
        return Asked(self._columns.read([_joined(pieces) for pieces in chunks], rows))

    def _layout(self, message: Message) -> Layout:
        known = self._layouts.get(message.metadata)
        if known is not None:
            return known
        fields = read_schema(message.header, message.version)
        names: dict[str, int] = {}
        twice = set()
        for place, field in enumerate(fields):
            if field.name in names:
                twice.add(field.name)
            names[field.name] = place
        places = named(self._codec, names, twice, "column")
        taken = [None if place is None else Taken(fields[place], place) for place in places]
        varies = any(node.variadic for field in fields for node in field.nodes)
        layout = Layout(fields, taken, None if varies else _starts(fields, ()))
        if len(message.metadata) <= _LARGEST_KNOWN:
            if len(self._layouts) >= _KNOWN_SCHEMAS:
                self._layouts.clear()
            self._layouts[message.metadata] = layout
        return layout

    def _learn(self, message: Message, layout: Layout, dictionaries: dict[int, Words], allowance: Allowance) -> None:
        """Keep a dictionary for each column that uses it."""
        number, batch = message.header.number(0, "q"), message.header.table(1)
        if batch is None:
            raise damaged()
        is_delta = message.header.number(2, "?")
        for place, (taken, wanted) in enumerate(zip(layout.taken, self._columns.fields, strict=True)):
            if taken is None or taken.field.dictionary != number:
                continue
            field = taken.field
            buffers = Buffers(batch, message.body, allowance)
            if buffers.rows < 0:
                raise damaged()
            allowance.learn(buffers.rows)
            variadic = buffers.variadic[0] if buffers.variadic and field.values[0].variadic else 0
            found = read_column(field.type, buffers, 0, 0, variadic, as_dates=wanted.kind == "date")
            words = found if isinstance(found, Odd) else listed(found)
            before = dictionaries.get(place)
            if is_delta and isinstance(before, list) and isinstance(words, list):
                before.extend(words)
            else:
                dictionaries[place] = words

    def _batch(
        self,
        batch: Buffers,
        layout: Layout,
        dictionaries: dict[int, Words],
        chunks: list[list[Column]],
        rows: int,
    ) -> None:
        """Add the columns of one batch; `rows` came before it."""
        starts = layout.starts or _starts(layout.fields, batch.variadic)
        if len(batch.nodes) != 2 * starts[-1].node or batch.count != starts[-1].buffer:
            raise damaged()
        for place, (taken, wanted) in enumerate(zip(layout.taken, self._columns.fields, strict=True)):
            if taken is None:
                chunks[place].append([None] * batch.rows)
                continue
            field, among = taken
            kind = field.type if field.index_type is None else field.index_type
            found = read_column(kind, batch, *starts[among], as_dates=wanted.kind == "date")
            if field.index_type is not None:
                found = decoded(found, dictionaries.get(place, []))
            if isinstance(found, Odd):
                found = _nothing(found, wanted.name, wanted.kind, batch.rows, rows)
            chunks[place].append(found)


def _messages(body: bytes) -> Iterator[Message]:
    """The messages of a stream. Raises Malformed where it is cut off, or followed by something."""
    view, place = memoryview(body), 0
    if body.startswith(FILE):
        raise Malformed("The body is an Arrow file. Send the stream format (in pyarrow: ipc.new_stream).")
    while place < len(body):
        if body[place : place + 4] != CONTINUATION or place + 8 > len(body):
            raise Malformed("The body is no whole Arrow stream: a message is cut off or something else is in between.")
        length = int.from_bytes(body[place + 4 : place + 8], "little")
        place += 8
        if not length:
            if place != len(body):
                raise Malformed("Something follows the end of the Arrow stream.")
            return
        metadata = body[place : place + length]
        place += length
        message = Table.root(metadata)
        version, size, header = message.number(0, "h"), message.number(3, "q"), message.table(2)
        if header is None or version not in VERSIONS:
            raise damaged()
        if place > len(body) or not 0 <= size <= len(body) - place:
            raise Malformed("The body is no whole Arrow stream: a message is cut off.")
        yield Message(message.number(1, "B"), version, metadata, header, view[place : place + size])
        place += size


def _starts(fields: list[Field], variadic: Sequence[int]) -> list[Start]:
    """Where each column begins in a batch whose views have so many further buffers, and where the last one ends."""
    starts: list[Start] = []
    node, buffer = 0, 0
    counts = iter(variadic)
    for field in fields:
        further = [next(counts, 0) if each.variadic else 0 for each in field.nodes]
        if min(further) < 0:
            raise damaged()
        starts.append(Start(node, buffer, further[0]))
        node += len(field.nodes)
        buffer += sum(each.buffers for each in field.nodes) + sum(further)
    return [*starts, Start(node, buffer, 0)]


def _nothing(found: Odd, name: str, kind: str, count: int, rows: int) -> Column:
    """A column of a type that is not read, where all its values are missing. Raises Invalid where one is not."""
    missing = np.zeros(count, np.bool_) if found.missing is None else found.missing
    if missing.all():
        return [None] * count
    row = rows + int(missing.argmin())
    reason = f"a column of the Arrow type {found.type} cannot be read as {kind}. Cast it before sending it."
    raise Invalid(f'Row {row}, column "{name}": {reason}', fields=[{"field": name, "row": row, "message": reason}])


def _joined(columns: list[Column]) -> Column:
    """One column of several pieces of the same type."""
    if len(columns) == 1:
        return columns[0]
    arrays = [column for column in columns if isinstance(column, Array)]
    if len(arrays) == len(columns):
        if all(array.missing is None for array in arrays):
            return Array(np.concatenate([array.values for array in arrays]))
        gone = [np.zeros(len(array.values), np.bool_) if array.missing is None else array.missing for array in arrays]
        return Array(np.concatenate([array.values for array in arrays]), np.concatenate(gone))
    return [value for column in columns for value in listed(column)]
