"""What MLflow's scoring server takes and answers at /invocations, as JSON.

Source: mlflow.org/docs/latest/ml/deployment/deploy-model-locally, "Inference Server Specification". Taken are
`dataframe_split` {columns, data, index?}, `dataframe_records` [{...}], and `instances` or `inputs` as a list of objects
or as an object of lists; beside them `params`, what the request chooses. Answered is {"predictions": [...]}: class
labels, as a model's `predict` gives, or numbers; objects where there is more to say.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelyard.core.errors import Invalid
from modelyard.formats.codec import UNREAD, Codec, Row, describe, is_plain, list_of, parse
from modelyard.serving.forms.base import Asked

FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
_KNOWN_ORDERS = 64
_MOST_COLUMNS = 4096


class _Split(msgspec.Struct):
    columns: list[str]
    data: msgspec.Raw


class Mlflow:
    """Reads and writes for one version."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._fields = codec.reference.fields
        self._decode = self._decoder()
        self._orders: dict[tuple[str, ...], Callable[[msgspec.Raw], list[Row]]] = {}

    def read(self, body: bytes) -> Asked:
        """The rows of a request. Raises Malformed, and Invalid naming field and row."""
        rows = self._fast(body)
        return Asked(rows) if rows and self._codec.dates_hold(rows) else self._slow(body)

    def write(self, values: NDArray[np.float32], options: Any = None) -> bytes:
        """The answer."""
        return msgspec.json.encode({"predictions": self._codec.wording.brief(values, options)})

    @staticmethod
    def write_entries(entries: Sequence[dict[str, Any]]) -> bytes:
        """The answer of a RequestPredictor."""
        return msgspec.json.encode({"predictions": entries})

    def _decoder(self) -> Callable[[bytes], Any] | None:
        shapes = self._codec.shapes
        if shapes is None:
            return None
        rows = list_of(shapes.row)
        either: Any = rows | shapes.columns | None
        request: Any = msgspec.defstruct(
            "Request",
            [
                ("dataframe_split", _Split | None, None),
                ("dataframe_records", rows | None, None),
                ("instances", either, None),
                ("inputs", either, None),
                ("params", dict[str, Any] | None, None),
            ],
        )
        return msgspec.json.Decoder(request).decode

    def _fast(self, body: bytes) -> list[Row] | None:
        """The rows, or None where the slow way has to look."""
        shapes = self._codec.shapes
        if self._decode is None or shapes is None or not is_plain(body):
            return None
        try:
            request = self._decode(body)
            sent = [value for value in msgspec.structs.astuple(request)[:4] if value is not None]
            if request.params or len(sent) != 1:
                return None
            if isinstance(sent[0], list):
                return shapes.rows(sent[0])
            return self._split(sent[0]) if isinstance(sent[0], _Split) else shapes.across(sent[0])
        except UNREAD:
            return None

    def _split(self, split: _Split) -> list[Row] | None:
        """Rows in the order in which their columns were named. One decoder for each order that callers use."""
        order = tuple(split.columns)
        if len(order) > _MOST_COLUMNS:
            return None
        decode = self._orders.get(order)
        if decode is None:
            decode = self._order(order)
            if decode is None:
                return None
            if len(self._orders) >= _KNOWN_ORDERS:
                self._orders.clear()
            self._orders[order] = decode
        return decode(split.data)

    def _order(self, order: tuple[str, ...]) -> Callable[[msgspec.Raw], list[Row]] | None:
        shapes = self._codec.shapes
        names = [field.name for field in self._fields]
        if shapes is None or not set(names) <= set(order) or len(set(order)) != len(order):
            return None
        types = {field.name: kind for field, kind in zip(self._fields, shapes.types.values(), strict=True)}
        row: Any = tuple[tuple(types.get(name, Any) for name in order)]  # type: ignore[misc]
        decode = msgspec.json.Decoder(list_of(row)).decode
        if names == list(order):
            return decode
        pick = itemgetter(*(order.index(name) for name in names)) if len(names) > 1 else None
        place = order.index(names[0])
        return lambda data: [pick(each) if pick else (each[place],) for each in decode(data)]

    def _slow(self, body: bytes) -> Asked:
        # MLflow's own client writes NaN where a data frame has no value.
        value = parse(body, nan=True)
        if not isinstance(value, dict):
            raise Invalid(f"Expected an object with one of {', '.join(FORMS)}, got {describe(value)}.")
        sent = [form for form in FORMS if value.get(form) is not None]
        options = self._options(value.get("params"))
        if not sent and self._codec.reference.empty:
            return Asked([], None, options)
        if len(sent) != 1:
            found = " and ".join(f"`{form}`" for form in sent) or "none of them"
            raise Invalid(f"Send exactly one of {', '.join(FORMS)}; the body has {found}.")
        return Asked(self._rows(sent[0], value[sent[0]]), None, options)

    def _options(self, params: Any) -> Any:
        if params is not None and not isinstance(params, dict):
            raise Invalid(f"`params` must be an object of options, got {describe(params)}.")
        return self._codec.options(params) if params else None

    def _rows(self, form: str, table: Any) -> list[Row]:
        if form == "dataframe_split":
            return self._codec.reference.instances(_records(table))
        if isinstance(table, list):
            return self._codec.reference.instances(table)
        if form == "dataframe_records" or not isinstance(table, dict):
            wanted = "a list of objects" if form == "dataframe_records" else "a list of objects or an object of lists"
            raise Invalid(f"`{form}` must be {wanted}, got {describe(table)}.")
        return self._codec.reference.columns(table)


def _records(split: Any) -> list[dict[str, Any]]:
    """The objects that a split table stands for. Raises Invalid."""
    if not isinstance(split, dict):
        raise Invalid(f"`dataframe_split` must be an object with `columns` and `data`, got {describe(split)}.")
    columns, data = split.get("columns"), split.get("data")
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise Invalid("`dataframe_split` must have `columns`, a list of names.")
    for name, count in Counter(columns).items():
        if count > 1:
            reason = "`columns` names it more than once."
            raise Invalid(f'Column "{name}": {reason}', fields=[{"field": name, "message": reason}])
    if not isinstance(data, list):
        raise Invalid("`dataframe_split` must have `data`, a list of rows.")
    for number, row in enumerate(data):
        if not isinstance(row, list) or len(row) != len(columns):
            reason = f"expected a list of {len(columns)} values, as `columns` names."
            raise Invalid(f"Row {number}: {reason}", fields=[{"field": "", "row": number, "message": reason}])
    return [dict(zip(columns, row, strict=True)) for row in data]
