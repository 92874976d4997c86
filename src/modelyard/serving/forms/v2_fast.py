"""V2 requests in JSON by a decoder that is compiled from the signature: each tensor's name says what it must hold.

Taken is what is plainly right: every column once, nothing else, flat data of a datatype that clients choose for the
column's kind. All else, which includes all that is wrong, is left to `v2`; a test holds them against each other.
"""

from functools import reduce
from operator import or_
from typing import Any, Literal

import msgspec

from modelyard.formats.codec import UNREAD, Codec, Row, is_plain, list_of
from modelyard.protocol.signature import Kind

_DATATYPES: dict[Kind, Any] = {
    "number": Literal["FP64", "FP32", "FP16"],
    "integer": Literal["INT64"],
    "boolean": Literal["BOOL"],
    "category": Literal["BYTES"],
    "text": Literal["BYTES"],
    "date": Literal["BYTES"],
}


class Wanted(msgspec.Struct):
    """An output that is asked for."""

    name: str
    parameters: dict[str, Any] | None = None


class Head(msgspec.Struct, kw_only=True):
    """What a request holds besides its inputs."""

    id: str | int | None = None
    parameters: dict[str, Any] | None = None
    outputs: list[Wanted] | None = None


class Fast:
    """Decodes for one signature."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._places: dict[type, int] = {}
        self._decoder = self._compiled()

    def read(self, body: bytes) -> tuple[list[Row], Head] | None:
        """The rows, and the rest of the request; None where the slow way has to look."""
        if self._decoder is None or not is_plain(body):
            return None
        try:
            request = self._decoder.decode(body)
        except UNREAD:
            return None
        columns: list[Any] = [None] * len(self._places)
        if len(request.inputs) != len(columns):
            return None
        count = len(request.inputs[0].data)
        shapes = ([count], [count, 1])
        for tensor in request.inputs:
            extra = tensor.parameters
            if tensor.shape not in shapes or len(tensor.data) != count or (extra and "binary_data_size" in extra):
                return None
            columns[self._places[type(tensor)]] = tensor.data
        if not count or None in columns:
            return None
        rows = list(zip(*columns, strict=True))
        return (rows, request) if self._codec.dates_hold(rows) else None

    def _compiled(self) -> Any:
        shapes = self._codec.shapes
        # Where there is one kind of tensor only, its name is not looked at.
        if shapes is None or shapes.width < 2:
            return None
        tensors: list[Any] = []
        for place, (field, kind) in enumerate(zip(self._codec.reference.fields, shapes.types.values(), strict=True)):
            data = list_of(bool | None if field.kind == "boolean" else kind)
            members: list[Any] = [
                ("shape", list[int]),
                ("datatype", _DATATYPES[field.kind]),
                ("data", data),
                ("parameters", dict[str, Any] | None, None),
            ]
            tensors.append(msgspec.defstruct(f"Tensor{place}", members, tag_field="name", tag=field.name))
        self._places = {tensor: place for place, tensor in enumerate(tensors)}
        inputs = list_of(reduce(or_, tensors))
        return msgspec.json.Decoder(msgspec.defstruct("Request", [("inputs", inputs)], bases=(Head,), kw_only=True))
