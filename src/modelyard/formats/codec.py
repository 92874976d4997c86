"""Between the bytes of a request and the arrays of a model: built once for each version from its signature.

Two ways lead to the same rows. The fast one is a msgspec decoder compiled from the signature that checks types and
ranges while it parses. Whatever it does not take goes to the slow one (`formats/_reference.py`), which is plain and
obvious, accepts the few unusual forms that are still right, and otherwise names the field, the row and the reason.
What the fast way takes, the slow way takes too, with the same rows; a test holds them against each other.

A body is JSON: `{"instances": [{...}]}`, one object, a list of objects, `{"columns": {name: [...]}}`; or CSV with a
header. Beside the rows a JSON object may have `parameters`, what the request chooses.
"""

import math
import re
import struct
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelyard.core.errors import Broken
from modelyard.formats import _reference as reference
from modelyard.formats._answers import UNNAMEABLE, choose, is_finite, schema_of, wording_of
from modelyard.formats._columns import columns_of, csv_of
from modelyard.formats._reference import Read, Reader
from modelyard.formats.base import Batch, Predictor, RequestPredictor
from modelyard.protocol.frames import Content
from modelyard.protocol.signature import Field, Kind, Signature

Row = reference.Row
LARGEST = reference.LARGEST
MOST_PROBLEMS = reference.MOST_PROBLEMS
parse = reference.parse
describe = reference.describe

_FLOAT = Annotated[float, msgspec.Meta(ge=-reference.LARGEST, le=reference.LARGEST)] | None
_INTEGER = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | None
_BOOLEAN = bool | Annotated[int, msgspec.Meta(ge=0, le=1)] | None
_TYPES: dict[Kind, Any] = {
    "number": _FLOAT,
    "integer": _INTEGER,
    "boolean": _BOOLEAN,
    "category": str | None,
    "text": str | None,
    "date": str | None,
}
_INSTANCES = re.compile(rb'\s*\{\s*"instances"\s*:\s*\[')
_COLUMNS = re.compile(rb'\s*\{\s*"columns"\s*:\s*\{')
_LIST = re.compile(rb"\s*\[")
_encode = msgspec.json.Encoder().encode


class Decoded(NamedTuple):
    """One body as a model takes it; `single` as in `Read`."""

    batch: Batch
    single: bool


class Codec:
    """Reads requests for, and writes the answers of, versions with this signature.

    `reference` is the slow way; `shapes` are the types that the fast way is compiled from, None where a column's name
    cannot be borne by one. Other forms than JSON and CSV are read by these too. `wording` says how values become
    answers. `asks` is given for a RequestPredictor: its `Options`; then a body needs no rows.
    """

    def __init__(self, signature: Signature, *, asks: Any = None) -> None:
        self.signature = signature
        self.reference = Reader(signature, empty=asks is not None)
        self.wording = wording_of(signature)
        self.choices: Any = self.wording.Options if asks is None else asks
        self._split = len(signature.numeric_inputs)
        self._width = len(signature.string_inputs)
        self._pack = struct.Struct(f"{self._split}f").pack
        fields = self.reference.fields
        self._dates = [place for place, field in enumerate(fields) if field.kind == "date"]
        nameable = not any(UNNAMEABLE.search(field.name) for field in fields)
        self.shapes = Shapes(fields, self.reference.optional) if nameable else None
        self._fast = _Fast(self.shapes) if self.shapes else None

    @classmethod
    def of(cls, predictor: Predictor) -> "Codec":
        """The codec for what this predictor is asked."""
        asks = predictor.Options if isinstance(predictor, RequestPredictor) else None
        return cls(predictor.signature, asks=asks)

    def decode_json(self, body: bytes) -> Decoded:
        """The rows of a JSON body. Raises Malformed where it cannot be read, Invalid naming field and row."""
        read = self.read(body, Content.JSON)
        return Decoded(self.batch(read.rows), read.single)

    def decode_csv(self, body: bytes) -> Decoded:
        """The same of a CSV body."""
        read = self.read(body, Content.CSV)
        return Decoded(self.batch(read.rows), read.single)

    def read(self, body: bytes, content: int) -> Read:
        """The checked rows of a body, not yet arrays, so that the rows of several requests become one batch."""
        if content == Content.CSV:
            return self.reference.csv(body)
        read = self._fast.read(body) if self._fast is not None else None
        return read if read and read.rows and self.dates_hold(read.rows) else self.reference.json(body)

    def batch(self, rows: Sequence[Row]) -> Batch:
        """Rows as arrays."""
        split, count, pack = self._split, len(rows), self._pack
        try:
            packed = bytearray().join([pack(*row[:split]) for row in rows])
            numbers = np.ndarray((count, split), np.float32, packed)
        except struct.error:
            # A value is missing: packing takes numbers only.
            numbers = np.array([row[:split] for row in rows], np.float32).reshape(count, split)
        strings = np.array([text or "" for row in rows for text in row[split:]], object)
        return Batch(numbers, strings.reshape(count, self._width))

    def options(self, parameters: dict[str, Any] | None) -> Any:
        """What a request chose, as the struct of options that is meant; None or the defaults where it chose nothing.

        Raises Invalid, naming the option.
        """
        if parameters is None and not self.reference.empty:
            return None
        return choose(self.choices, parameters or {})

    def encode(
        self, values: NDArray[np.float32], content: int, *, model: str, version: str, options: Any = None
    ) -> bytes:
        """The answer to a request: `values` as the predictor gave them for its rows.

        Raises Broken where they are not all finite.
        """
        # A sum of float32 is finite in a float64 exactly when each of them is. For a few rows this is quickest.
        if not math.isfinite(sum(map(sum, values.tolist()))):
            raise Broken(f"{model} {version} answered with a value that is not a finite number. Train it again.")
        if content == Content.CSV:
            return csv_of(self.wording.columns(values, options))
        return _encode({"predictions": self.wording.entries(values, options), "model": model, "version": version})

    def encode_entries(self, entries: Sequence[dict[str, Any]], content: int, *, model: str, version: str) -> bytes:
        """The same of what a RequestPredictor answered."""
        check_finite(entries, f"{model} {version}")
        if content == Content.CSV:
            return csv_of(columns_of(entries))
        return _encode({"predictions": entries, "model": model, "version": version})

    def answers(self, values: NDArray[np.float32]) -> list[dict[str, Any]]:
        """One JSON-ready entry for each row."""
        plain: list[dict[str, Any]] = msgspec.to_builtins(self.wording.entries(values))
        return plain

    def dates_hold(self, rows: Iterable[Row]) -> bool:
        """Whether every date in these rows is one."""
        try:
            for place in self._dates:
                for row in rows:
                    if row[place]:
                        datetime.fromisoformat(str(row[place]))
        except ValueError:
            return False
        return True


def answer_example(predictor: Predictor, body: dict[str, Any]) -> dict[str, Any]:
    """What a predictor answers to a whole JSON body, as `{"predictions": [...]}`: JSON-ready.

    What a version's signature keeps as `example_request` and `example_answer`. Raises as reading and answering do.
    """
    codec = Codec.of(predictor)
    read = codec.read(msgspec.json.encode(body), Content.JSON)
    batch, options = codec.batch(read.rows), codec.options(read.parameters)
    if isinstance(predictor, RequestPredictor):
        return {"predictions": msgspec.to_builtins(predictor.answer(batch, options))}
    return {"predictions": msgspec.to_builtins(codec.wording.entries(predictor.predict(batch), options))}


def options_schema(predictor: Predictor) -> dict[str, Any]:
    """The JSON schema of what a request may choose in its `parameters`: a signature's `options`; {} for nothing."""
    return schema_of(Codec.of(predictor).choices)


def check_finite(entries: Sequence[dict[str, Any]], label: str) -> None:
    """Raise Broken where an answer of the version `label` holds a number that JSON has no word for."""
    if not all(map(is_finite, entries)):
        raise Broken(f"{label} answered with a value that is not a finite number. Train it again.")


class Shapes:
    """The types that bodies are decoded into: one object as a row, and one of lists as columns.

    `types` are those of the fields in the order of a row, by the names that the structs have for them; `members` are
    these as a struct's, those of `optional` columns with None as their default.
    """

    def __init__(self, fields: tuple[Field, ...], optional: Collection[str] = ()) -> None:
        self.width = len(fields)
        self.names = {f"f{place}": field.name for place, field in enumerate(fields)}
        self.types = {f"f{place}": _TYPES[field.kind] for place, field in enumerate(fields)}
        self.members: list[Any] = [
            (name, kind, None) if self.names[name] in optional else (name, kind) for name, kind in self.types.items()
        ]
        self.row: Any = msgspec.defstruct("Row", self.members, rename=self.names, kw_only=True)
        self.columns: Any = msgspec.defstruct(
            "Columns", [(name, list_of(kind)) for name, kind in self.types.items()], rename=self.names
        )

    @staticmethod
    def rows(objects: Iterable[Any]) -> list[Row]:
        """What was decoded as a list of `row`."""
        astuple = msgspec.structs.astuple
        return [astuple(each) for each in objects]

    @staticmethod
    def across(columns: Any) -> list[Row] | None:
        """What was decoded as `columns`; None where they differ in length."""
        values = msgspec.structs.astuple(columns)
        return list(zip(*values, strict=True)) if len({len(column) for column in values}) == 1 else None


class _Fast:
    """The compiled decoders. A body that is not plainly right is answered with None, never with a guess."""

    def __init__(self, shapes: Shapes) -> None:
        # The keys that give a body another form: present where they are not expected, the slow way decides.
        keys = ("instances", "columns", "data", "texts", *reference.OPTIONS)
        other = [(key, None, None) for key in keys if key not in shapes.names.values()]
        single: Any = msgspec.defstruct("Single", [*shapes.members, *other], rename=shapes.names, kw_only=True)
        options: list[Any] = [("parameters", dict[str, Any] | None, None), ("config", None, None)]
        instances: Any = msgspec.defstruct(
            "Instances", [("instances", list_of(shapes.row)), ("columns", None, None), *options]
        )
        table: Any = msgspec.defstruct("Table", [("columns", shapes.columns), ("instances", None, None), *options])
        self._shapes = shapes
        self._single = msgspec.json.Decoder(single)
        self._list = msgspec.json.Decoder(list_of(shapes.row))
        self._instances = msgspec.json.Decoder(instances)
        self._table = msgspec.json.Decoder(table)

    def read(self, body: bytes) -> Read | None:
        """The rows, or None where the slow way has to look."""
        if not is_plain(body):
            return None
        try:
            return self._read(body)
        except UNREAD:
            return None

    def _read(self, body: bytes) -> Read | None:
        if _INSTANCES.match(body):
            found = self._instances.decode(body)
            return Read(self._shapes.rows(found.instances), False, found.parameters)
        if _LIST.match(body):
            return Read(self._shapes.rows(self._list.decode(body)), single=False)
        if _COLUMNS.match(body):
            table = self._table.decode(body)
            rows = self._shapes.across(table.columns)
            return None if rows is None else Read(rows, False, table.parameters)
        return Read([msgspec.structs.astuple(self._single.decode(body))[: self._shapes.width]], single=True)


UNREAD = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What a decoder raises where the slow way has to look."""


def is_plain(body: bytes) -> bool:
    """Whether a decoder may be trusted with this JSON: UTF-8 without a NUL.

    msgspec does not look into values that it skips, and a NUL inside a string would end it in the model.
    """
    return b"\\u0000" not in body and (body.isascii() or _is_utf8(body))


def list_of(kind: Any) -> Any:
    """The type of a list of these, where the type is known only at run time."""
    return list[kind]


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
