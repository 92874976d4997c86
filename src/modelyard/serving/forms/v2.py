"""The Open Inference Protocol, version 2, over HTTP: one tensor for each column, as JSON or with binary data behind it.

The text: github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md. Binary data: Triton's
extension_binary_data.md; here the JSON part's length, which HTTP has in the header Inference-Header-Content-Length,
is a little-endian u32 in front.

Tensors have the shape [n] or [n, 1]. Their data is flat or nested, null in JSON and NaN are missing values. Answered
is one tensor for each member of an answer, [n, 1]: text and what no tensor can hold as BYTES (the latter as JSON),
truths as BOOL, whole numbers as INT64, others as FP64, or FP32 where that is all they have. For classification
`probabilities` is FP64 [n, classes], in the order of the signature. What a request chooses stands in its `parameters`.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelyard.core.errors import Invalid, Malformed
from modelyard.formats._columns import Column as Answered
from modelyard.formats._columns import Kind
from modelyard.formats.codec import UNREAD, Codec, describe, is_plain, parse
from modelyard.protocol.frames import Content
from modelyard.serving.forms.base import Asked
from modelyard.serving.forms.columns import Array, Column, Columns, named
from modelyard.serving.forms.v2_fast import Fast, Head

_LENGTH = struct.Struct("<I")
_ARRAYS = {
    "BOOL": np.dtype("?"),
    **{f"UINT{bits}": np.dtype(f"<u{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"INT{bits}": np.dtype(f"<i{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": np.dtype(f"<f{bits // 8}") for bits in (16, 32, 64)},
}
_BYTES = "BYTES"
_DATATYPES: dict[Kind, str] = {
    "text": _BYTES, "double": "FP64", "single": "FP32", "integer": "INT64", "truth": "BOOL"
}  # fmt: skip
_PROTOCOL = frozenset(
    {"binary_data_output", "sequence_id", "sequence_start", "sequence_end", "priority", "timeout", "content_type",
     "headers"}
)  # fmt: skip
"""Parameters of a request that are the protocol's or its clients' own, none of a model's options."""

_NOTHING = frozenset({type(None)})
_KINDS = {"b": frozenset({bool}) | _NOTHING, "f": frozenset({int, float}) | _NOTHING}
_WHOLE = frozenset({int}) | _NOTHING
_TEXT = frozenset({str}) | _NOTHING
_BOUNDS = {
    name: (int(np.iinfo(kind).min), int(np.iinfo(kind).max)) for name, kind in _ARRAYS.items() if kind.kind in "iu"
}


class _Tensor(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] | None = None
    data: Any = None


class _Request(Head, kw_only=True):
    inputs: list[_Tensor]


class Wish(NamedTuple):
    """What a request says about its answer: its id, and which outputs, each with whether as binary data.

    No outputs are all of them, as binary data where `binary` says so.
    """

    id: str | int | None
    outputs: tuple[tuple[str, bool], ...] = ()
    binary: bool = False


class Tensor(NamedTuple):
    """One output: its datatype, and an array of two dimensions or a list of one value for each row."""

    datatype: str
    values: NDArray[Any] | Sequence[Any]


class V2:
    """Reads and writes for one version. `model` is its full name, `version` its number as text."""

    def __init__(self, codec: Codec, columns: Columns, *, model: str, version: str) -> None:
        self._codec = codec
        self._columns = columns
        self._head = {"model_name": model.replace("/", "."), "model_version": version}
        self._classes = codec.signature.classes
        # What a RequestPredictor answers is known when it has.
        self._members = () if codec.reference.empty else codec.wording.members
        self._fast = Fast(codec)
        self._decode = msgspec.json.Decoder(_Request).decode

    def read(self, body: bytes) -> Asked:
        """A request in JSON. Raises Malformed, and Invalid naming the tensor and where there is one the row."""
        fast = self._fast.read(body)
        return self._read(body, None) if fast is None else Asked(fast[0], self._wish(fast[1]), self._options(fast[1]))

    def read_binary(self, body: bytes) -> Asked:
        """A request with binary data behind its JSON. Raises as `read`."""
        if len(body) < _LENGTH.size:
            raise Malformed("The body is shorter than its JSON part. Set Inference-Header-Content-Length to its bytes.")
        end = _LENGTH.size + _LENGTH.unpack_from(body)[0]
        if end > len(body):
            raise Malformed("The body ends within its JSON part. Set Inference-Header-Content-Length to its bytes.")
        return self._read(body[_LENGTH.size : end], memoryview(body)[end:])

    def write(self, values: NDArray[np.float32], wish: Wish | None, options: Any = None) -> tuple[Content, bytes]:
        """The answer, and which of the two forms it has. Raises Invalid where an output is asked for that is not."""
        if not self._classes or options is not None:
            return self.write_columns(self._codec.wording.columns(values, options), wish)
        most = values.max(axis=1, keepdims=True, initial=-np.inf)
        labels = Tensor(_BYTES, self._codec.wording.brief(values))
        tensors = {"prediction": labels, "probability": Tensor("FP64", most), "probabilities": Tensor("FP64", values)}
        return self._written(tensors, wish)

    def write_columns(self, columns: Sequence[Answered], wish: Wish | None) -> tuple[Content, bytes]:
        """The same of an answer that is columns."""
        return self._written({column.name: _tensor(column) for column in columns}, wish)

    def _written(self, tensors: Mapping[str, "Tensor"], wish: Wish | None) -> tuple[Content, bytes]:
        wish = wish or Wish(None)
        outputs, binary = [], []
        for name, as_binary in wish.outputs or [(name, wish.binary) for name in tensors]:
            if name not in tensors:
                raise _no_output(name, "there is no such output.", tensors)
            datatype, values = tensors[name]
            width = values.shape[1] if isinstance(values, np.ndarray) else 1
            output: dict[str, Any] = {"name": name, "shape": [len(values), width], "datatype": datatype}
            if as_binary:
                data = _packed_all(datatype, values)
                output["parameters"] = {"binary_data_size": len(data)}
                binary.append(data)
            else:
                output["data"] = values.ravel().tolist() if isinstance(values, np.ndarray) else values
            outputs.append(output)
        answer = self._head if wish.id is None else {**self._head, "id": wish.id}
        head = msgspec.json.encode({**answer, "outputs": outputs})
        if not binary:
            return Content.V2, head
        return Content.V2_BINARY, b"".join([_LENGTH.pack(len(head)), head, *binary])

    def _read(self, head: bytes, binary: memoryview | None) -> Asked:
        request = self._request(head)
        columns, twice = self._tensors(request.inputs, binary)
        wish, options = self._wish(request), self._options(request)
        if not columns and self._codec.reference.empty:
            return Asked([], wish, options)
        tensors = named(self._codec, columns, twice, "tensor")
        rows = self._rows([tensor for tensor in tensors if tensor is not None])
        self._columns.check_size(rows)
        found: list[Column] = [
            [None] * rows if tensor is None else _column(tensor[0], tensor[1], rows) for tensor in tensors
        ]
        return Asked(self._columns.read(found, rows), wish, options)

    def _options(self, request: Head) -> Any:
        given = {name: value for name, value in (request.parameters or {}).items() if name not in _PROTOCOL}
        return self._codec.options(given) if given else None

    def _request(self, head: bytes) -> _Request:
        if is_plain(head):
            try:
                return self._decode(head)
            except UNREAD:
                pass
        value = parse(head, nan=True)
        try:
            request = msgspec.convert(value, _Request)
            # It comes back in the answer: there is no way to write half a surrogate pair.
            str(request.id).encode()
        except (msgspec.ValidationError, UnicodeEncodeError) as error:
            raise Invalid(f"The body is no inference request: {error}.") from None
        return request

    @staticmethod
    def _tensors(
        inputs: list[_Tensor], binary: memoryview | None
    ) -> tuple[dict[str, tuple[_Tensor, memoryview | None]], set[str]]:
        """The tensors by name with their binary data, and the names that come more than once."""
        found: dict[str, tuple[_Tensor, memoryview | None]] = {}
        twice: set[str] = set()
        place = 0
        for tensor in inputs:
            data = None
            size = tensor.parameters.get("binary_data_size") if tensor.parameters else None
            if size is not None:
                if binary is None:
                    _refuse(tensor, "it says binary_data_size, but the request has no Inference-Header-Content-Length.")
                if type(size) is not int or size < 0 or size > len(binary) - place:
                    _refuse(tensor, f"its binary_data_size is {size!r}, but {len(binary) - place} bytes are left.")
                if tensor.data is not None:
                    _refuse(tensor, "it has both `data` and binary data. Send one of them.")
                data = binary[place : place + size]
                place += size
            if tensor.name in found:
                twice.add(tensor.name)
            found[tensor.name] = (tensor, data)
        if binary is not None and place != len(binary):
            raise Invalid(f"The body has {len(binary) - place} bytes behind its tensors that belong to none.")
        return found, twice

    def _wish(self, request: Head) -> Wish:
        whole = _flag(request.parameters, "binary_data_output", False)
        wanted: dict[str, bool] = {}
        for output in request.outputs or ():
            if output.name in wanted:
                raise _no_output(output.name, "this output is asked for more than once.", self._members)
            if self._members and output.name not in self._members:
                raise _no_output(output.name, "there is no such output.", self._members)
            wanted[output.name] = _flag(output.parameters, "binary_data", whole)
        return Wish(request.id, tuple(wanted.items()), whole)

    @staticmethod
    def _rows(tensors: list[tuple[_Tensor, memoryview | None]]) -> int:
        """How many rows they all have."""
        rows = None
        for tensor, _ in tensors:
            shape = tensor.shape
            if not 1 <= len(shape) <= 2 or shape[0] < 0 or (shape[-1] != 1 and len(shape) == 2):
                _refuse(tensor, f"its shape is {shape}. Send one column as [rows] or [rows, 1].")
            if rows is not None and shape[0] != rows:
                _refuse(tensor, f"it has {shape[0]} rows, others have {rows}.")
            rows = shape[0]
        return rows or 0


def _column(tensor: _Tensor, binary: memoryview | None, rows: int) -> Column:
    if tensor.datatype != _BYTES and tensor.datatype not in _ARRAYS:
        known = ", ".join([*_ARRAYS, _BYTES])
        _refuse(tensor, f"its datatype {tensor.datatype!r} is not known. Use one of {known}.")
    if binary is not None:
        return _strings(tensor, binary, rows) if tensor.datatype == _BYTES else _array(tensor, binary, rows)
    values = tensor.data
    if not isinstance(values, list):
        _refuse(tensor, "it has no list as `data`, and no binary_data_size.")
    if len(values) != rows:
        _refuse(tensor, f"its data has {len(values)} entries, its shape says {rows} rows.")
    if len(tensor.shape) == 2 and type(values[0]) is list:
        values = [_only(tensor, row, value) for row, value in enumerate(values)]
    _check(tensor, values)
    return values


def _only(tensor: _Tensor, row: int, value: Any) -> Any:
    if type(value) is not list or len(value) != 1:
        _refuse(tensor, "expected a list of one value, as the shape says.", row)
    return value[0]


def _check(tensor: _Tensor, values: list[Any]) -> None:
    """Raise Invalid where a value is not of the tensor's datatype."""
    datatype = tensor.datatype
    allowed = _TEXT if datatype == _BYTES else _KINDS.get(_ARRAYS[datatype].kind, _WHOLE)
    if set(map(type, values)) <= allowed and datatype not in _BOUNDS:
        return
    low, high = _BOUNDS.get(datatype, (0, 0))
    for row, value in enumerate(values):
        if type(value) not in allowed or (datatype in _BOUNDS and value is not None and not low <= value <= high):
            _refuse(tensor, f"expected {datatype}, got {describe(value)}.", row)


def _array(tensor: _Tensor, data: memoryview, rows: int) -> Array:
    kind = _ARRAYS[tensor.datatype]
    if len(data) != rows * kind.itemsize:
        wanted = rows * kind.itemsize
        _refuse(tensor, f"it has {len(data)} bytes of binary data; {rows} of {tensor.datatype} are {wanted}.")
    if kind.kind != "b":
        return Array(np.frombuffer(data, kind))
    truths = np.frombuffer(data, np.uint8)
    if truths.max(initial=0) > 1:
        _refuse(tensor, "a BOOL is one byte, 0 or 1.", int((truths > 1).argmax()))
    return Array(truths.astype(np.bool_))


def _strings(tensor: _Tensor, data: memoryview, rows: int) -> list[Any]:
    values: list[Any] = []
    place = 0
    for row in range(rows):
        start = place + _LENGTH.size
        place = start + _LENGTH.unpack_from(data, place)[0] if start <= len(data) else len(data) + 1
        if place > len(data):
            _refuse(tensor, "the binary data ends within this element.", row)
        try:
            values.append(str(data[start:place], "utf-8"))
        except UnicodeDecodeError:
            _refuse(tensor, "the element is not UTF-8.", row)
    if place != len(data):
        _refuse(tensor, f"it has {len(data) - place} bytes of binary data behind its last element.")
    return values


def _tensor(column: Answered) -> Tensor:
    """A column as a tensor, which has no word for what is missing but null in JSON, and NaN in binary data."""
    kind, values = column.kind, column.values
    if None in values and kind == "text":
        return Tensor(_BYTES, [value or "" for value in values])
    if None in values and kind in {"integer", "truth"}:
        return Tensor("FP64", [None if value is None else float(value) for value in values])
    return Tensor(_DATATYPES[kind], values)


def _packed_all(datatype: str, values: NDArray[Any] | Sequence[Any]) -> bytes:
    if datatype == _BYTES:
        return b"".join(map(_packed, values))
    if isinstance(values, np.ndarray):
        return values.astype("<f8").tobytes()
    kind = _ARRAYS[datatype]
    return np.array([np.nan if value is None else value for value in values], kind).tobytes()


def _packed(text: str) -> bytes:
    raw = text.encode()
    return _LENGTH.pack(len(raw)) + raw


def _no_output(name: str, reason: str, known: Iterable[str]) -> Invalid:
    there = f" The model answers {', '.join(known)}." if known else ""
    fields = [{"field": name[:100], "message": reason}]
    return Invalid(f'Output "{name[:100]}": {reason}{there}', fields=fields)


def _flag(parameters: Mapping[str, Any] | None, name: str, default: bool) -> bool:
    value = parameters.get(name) if parameters else None
    if value is None:
        return default
    if not isinstance(value, bool):
        raise Invalid(f"The parameter {name} is true or false, not {value!r}.")
    return value


def _refuse(tensor: _Tensor, reason: str, row: int | None = None) -> NoReturn:
    place = {} if row is None else {"row": row}
    where = "" if row is None else f"row {row}: "
    raise Invalid(
        f'Tensor "{tensor.name}": {where}{reason}', fields=[{"field": tensor.name, **place, "message": reason}]
    )
