"""Every form gives the same rows for the same table, or refuses it with the same words, as the slow reference does."""

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures import forms
from modelyard.core.errors import Invalid
from modelyard.formats._reference import Reader
from modelyard.formats.base import Batch
from modelyard.formats.codec import Codec
from modelyard.protocol.frames import Content
from modelyard.protocol.signature import Field, Signature
from modelyard.serving.forms import EMBEDDABLE
from modelyard.serving.forms.table import Forms

KINDS = ("number", "integer", "boolean", "category", "text", "date")
NAMES = ("x", "tenure (months)", "ünï", 'say "x"', "instances", "columns", "a.b", "")

FLOATS = st.one_of(
    st.floats(width=32, allow_infinity=False),
    st.floats(),
    st.sampled_from([0.0, -0.0, 1.0, 2.0, 7.0, 3.4028234663852886e38, 3.4028235e38, 1e39, 5e-324, 16777217.0]),
)
INTEGERS = st.one_of(
    st.integers(-3, 8),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([2**53 + 1, 2**24 + 1, 2**60 + 2**36 + 1, 2**63 - 1, -(2**63)]),
)
NATURALS = st.one_of(st.integers(0, 2**64 - 1), st.sampled_from([2**64 - 1, 2**63, 2**63 + 1]))
TEXTS = st.one_of(
    st.text(max_size=6),
    st.sampled_from(["", "pro", "basic", "7", "true", "2.0", "a\x00b", "x" * 40, "2021-03-04", "2020-02-30"]),
    st.dates().map(str),
    st.datetimes(timezones=st.none() | st.just(None)).map(lambda moment: moment.isoformat()),
)
VALUES = {
    "floats": FLOATS,
    "integers": INTEGERS,
    "naturals": NATURALS,
    "truths": st.booleans(),
    "texts": TEXTS,
    "dates": st.dates().map(str),
    "zero or one": st.sampled_from([0, 1]),
    "whole floats": st.integers(-(2**30), 2**30).map(float),
}
FITTING = {
    "number": ("floats", "integers"),
    "integer": ("integers", "whole floats"),
    "boolean": ("truths", "zero or one"),
    "category": ("texts", "integers"),
    "text": ("texts",),
    "date": ("dates",),
}


@st.composite
def fields(draw: st.DrawFn) -> tuple[Field, ...]:
    """The columns of a model."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    categories = ("basic", "pro", "7", "true", "2.0")
    return tuple(
        Field(name=name, kind=kind, categories=categories if kind == "category" else ())
        for name, kind in zip(names, draw(st.tuples(*[st.sampled_from(KINDS) for _ in names])), strict=True)
    )


@st.composite
def tables(draw: st.DrawFn, of: Sequence[Field]) -> dict[str, list[Any]]:
    """Columns of one type each: mostly fitting, now and then of another type, one too few or one too many."""
    rows = draw(st.sampled_from([1, 1, 2, 3, 17, 20]))
    table: dict[str, list[Any]] = {}
    for field in of:
        fits = draw(st.integers(0, 7)) > 0
        kind = draw(st.sampled_from(FITTING[field.kind] if fits else list(VALUES)))
        values = st.one_of(st.none(), VALUES[kind]) if draw(st.booleans()) else VALUES[kind]
        # One value repeated, and others among them, so that a long column is not slow to draw.
        column = [draw(values)] * rows
        for place in draw(st.lists(st.integers(0, rows - 1), max_size=3)):
            column[place] = draw(values)
        table[field.name] = column
    if draw(st.integers(0, 7)) == 0:
        table["extra"] = [draw(st.sampled_from([None, "a", 1.5]))] * rows
    if draw(st.integers(0, 9)) == 0:
        table.pop(draw(st.sampled_from(list(table))))
    return {name: table[name] for name in draw(st.permutations(list(table)))}


def nothing_for_nan(table: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """The table with NaN as missing values."""
    return {
        name: [None if isinstance(value, float) and math.isnan(value) else value for value in values]
        for name, values in table.items()
    }


def every_body(table: dict[str, list[Any]]) -> list[tuple[str, Content, bytes]]:
    """The table in every form that can hold it."""
    values = [value for column in table.values() for value in column]
    infinite = any(isinstance(value, float) and math.isinf(value) for value in values)
    found = []
    if not infinite:
        plain = nothing_for_nan(table)
        for name, value in {
            "instances": {"instances": forms.rows_of(plain)},
            "columns": {"columns": plain},
        }.items():
            found.append((name, Content.JSON, json.dumps(value).encode()))
        for name, value in {
            "split": {"dataframe_split": forms.split(table)},
            "records": {"dataframe_records": forms.rows_of(table)},
            "inputs": {"inputs": table, "params": {}},
            "instances": {"instances": forms.rows_of(table), "params": None},
        }.items():
            found.append((f"mlflow {name}", Content.MLFLOW, json.dumps(value).encode()))
        found.append(("v2", Content.V2, forms.v2(table)))
        found.append(("v2 flat", Content.V2, forms.v2(table, shape=1)))
    if not any(None in values for values in table.values()):
        found.append(("v2 binary", Content.V2_BINARY, forms.v2_binary(table)))
    found.append(("arrow", Content.ARROW, forms.arrow(table)))
    found.append(("arrow chunks", Content.ARROW, forms.arrow(table, chunk=2, compression="zstd")))
    texts = {name for name, values in table.items() if any(isinstance(value, str) for value in values)}
    for other in (pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())):
        if texts:
            found.append((f"arrow {other}", Content.ARROW, forms.arrow(table, dict.fromkeys(texts, other))))
    return found


def outcome(read: Callable[[], Any]) -> Any:
    """The arrays, or what is wrong: field and row and reason."""
    try:
        return read()
    except Invalid as error:
        wrongs = error.fields or error.message
    # Row by row a missing column is missing in each, and all else is named too.
    absent = [wrong for wrong in wrongs if isinstance(wrong, dict) and "column is missing" in wrong["message"]]
    return [wrong for wrong in absent if wrong["row"] == 0] or wrongs


def same(one: Any, other: Any) -> bool:
    if not isinstance(one, Batch) or not isinstance(other, Batch):
        return bool(one == other)
    return (
        one.numbers.dtype == other.numbers.dtype == np.float32
        and np.array_equal(one.numbers, other.numbers, equal_nan=True)
        and one.strings.shape == other.strings.shape
        and one.strings.tolist() == other.strings.tolist()
        and all(type(text) is str for text in other.strings.ravel().tolist())
    )


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_every_form_gives_the_same_rows_or_the_same_reasons(data: st.DataObject) -> None:
    of = data.draw(fields())
    table = data.draw(tables(of))
    if not table:
        return
    signature = Signature(scenario="tabular-regression", target="y", inputs=of)
    codec, reference = Codec(signature), Reader(signature)
    reader = Forms(codec, model="a/b", version="v1")
    wanted = outcome(lambda: codec.batch(reference.columns(nothing_for_nan(table))))

    def read(body: bytes, content: Content) -> Batch:
        asked = reader.read(body, content).data
        return asked if isinstance(asked, Batch) else codec.batch(asked)

    for name, content, body in every_body(table):
        got = outcome(lambda body=body, content=content: read(body, content))  # type: ignore[misc]
        assert same(wanted, got), f"{name}: {got} instead of {wanted}"


def test_a_million_rows_are_read_in_the_forms_made_for_them() -> None:
    count = 1_000_000
    inputs = (Field(name="x", kind="number"), Field(name="n", kind="integer"), Field(name="plan", kind="category"))
    codec = Codec(Signature(scenario="tabular-regression", target="y", inputs=inputs))
    reader = Forms(codec, model="a/b", version="v1")
    x, n = np.arange(count) / 7, np.arange(count) % 1000
    plans = pa.array(n % 3, pa.int8())
    table = pa.table({"x": x, "n": n, "plan": pa.DictionaryArray.from_arrays(plans, pa.array(["basic", "pro", "ünï"]))})
    bodies = {
        Content.ARROW: forms.stream(table, chunk=300_000),
        Content.V2_BINARY: forms.v2_binary({"x": x.tolist(), "n": n.tolist(), "plan": table["plan"].to_pylist()}),
    }
    for content, body in bodies.items():
        batch = reader.read(body, content).data
        assert isinstance(batch, Batch)
        np.testing.assert_array_equal(batch.numbers, np.column_stack([x, n]).astype(np.float32))
        assert batch.strings[:, 0].tolist() == table["plan"].to_pylist()


@pytest.mark.parametrize("content", [6, 15])
def test_a_form_that_nobody_reads_is_415(content: int) -> None:
    codec = Codec(Signature(scenario="tabular-regression", target="y", inputs=(Field(name="x", kind="number"),)))
    with pytest.raises(Invalid) as caught:
        Forms(codec, model="a/b", version="v1").read(b"{}", content)
    assert caught.value.status == 415


def test_all_forms_may_be_read_inside_a_gateway() -> None:
    assert frozenset(Content) == EMBEDDABLE
