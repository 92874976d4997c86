"""What MLflow's scoring server takes and answers."""

import contextlib
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures import forms
from modelyard.core.errors import Invalid, Malformed
from modelyard.formats.base import Batch
from modelyard.formats.codec import Codec
from modelyard.protocol.signature import Field, Signature
from modelyard.serving.forms.mlflow import Mlflow

INPUTS = (
    Field(name="x", kind="number"),
    Field(name="plan", kind="category", categories=("pro", "7")),
    Field(name="since", kind="date"),
)
TABLE: dict[str, list[Any]] = {"plan": ["pro", None], "extra": [[1], {}], "x": [1.5, None], "since": ["2020-01-01", ""]}
ROWS = forms.rows_of(TABLE)
CODEC = Codec(Signature(scenario="tabular-classification", target="y", classes=("No", "Ünï"), inputs=INPUTS))
FORM = Mlflow(CODEC)


def arrays(value: Any) -> tuple[list[list[Any]], list[list[str]]]:
    data = FORM.read(value if isinstance(value, bytes) else json.dumps(value).encode()).data
    assert not isinstance(data, Batch)
    batch = CODEC.batch(data)
    return [[None if np.isnan(x) else x for x in row] for row in batch.numbers.tolist()], batch.strings.tolist()


GOT = ([[1.5], [None]], [["pro", "2020-01-01"], ["", ""]])
SPLIT = forms.split(TABLE)


@pytest.mark.parametrize(
    "value",
    [
        {"dataframe_split": SPLIT},
        {"dataframe_split": {"data": SPLIT["data"], "columns": SPLIT["columns"]}, "params": {}},
        {"dataframe_split": forms.split({name: TABLE[name] for name in ("x", "plan", "since")})},
        {"dataframe_records": ROWS, "params": None},
        {"instances": ROWS, "signature_name": "x"},
        {"instances": TABLE},
        {"inputs": TABLE},
        {"inputs": ROWS, "instances": None},
    ],
)
def test_every_form_gives_the_same_rows(value: dict[str, Any]) -> None:
    assert arrays(value) == GOT
    assert FORM._fast(json.dumps(value).encode()) is not None


def test_nan_that_its_client_writes_is_missing() -> None:
    text = json.dumps(
        {"dataframe_split": forms.split({**TABLE, "x": [1.5, float("nan")], "plan": ["pro", float("nan")]})}
    )
    assert arrays(text.encode()) == GOT
    with pytest.raises(Malformed, match="Infinity"):
        arrays(text.replace("NaN", "Infinity").encode())


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "Expected an object with one of"),
        ({}, "exactly one of dataframe_split, dataframe_records, instances, inputs; the body has none of them"),
        ({"instances": ROWS, "inputs": ROWS}, "the body has `instances` and `inputs`"),
        (
            {"inputs": ROWS, "params": {"temperature": 1}},
            'Parameter "temperature": there is no such option. Choose from',
        ),
        ({"inputs": ROWS, "params": 1}, "`params` must be an object of options, got the number 1"),
        ({"inputs": 5}, "must be a list of objects or an object of lists, got the number 5"),
        ({"dataframe_records": TABLE}, "must be a list of objects, got an object"),
        ({"dataframe_records": []}, "at least one"),
        ({"dataframe_split": []}, "must be an object with `columns` and `data`"),
        ({"dataframe_split": {"data": [[1]]}}, "must have `columns`"),
        ({"dataframe_split": {"columns": ["x", 5], "data": []}}, "must have `columns`, a list of names"),
        ({"dataframe_split": {"columns": ["x"]}}, "must have `data`, a list of rows"),
        ({"dataframe_split": {"columns": ["x", "x"], "data": []}}, 'Column "x": `columns` names it more than once'),
        ({"dataframe_split": {**SPLIT, "data": [*SPLIT["data"], [1]]}}, "Row 2: expected a list of 4 values"),
        ({"dataframe_split": {**SPLIT, "data": []}}, "at least one"),
        ({"dataframe_split": {"columns": ["x", "Plan", "since"], "data": [[1, 2, 3]]}}, 'Did you mean it by "Plan"?'),
        ({"inputs": {**TABLE, "x": [1, "2"]}}, 'Row 1, column "x": expected a number'),
        ({"inputs": {**TABLE, "x": [1]}}, "this column has 1 values, others have 2"),
        ({"dataframe_split": forms.split({**TABLE, "since": ["2020-01-01", "soon"]})}, 'Row 1, column "since"'),
    ],
)
def test_what_is_wrong_is_named(value: Any, said: str) -> None:
    with pytest.raises(Invalid) as caught:
        arrays(value)
    assert (caught.value.status, said in caught.value.message) == (422, True), caught.value.message


def test_many_orders_of_columns_are_read_one_after_the_other() -> None:
    for number in range(200):
        columns = {f"extra {number}": [number, number], **dict(reversed(TABLE.items()))}
        assert arrays({"dataframe_split": forms.split(columns)}) == GOT
    assert arrays({"dataframe_split": forms.split({f"more {place}": [1, 2] for place in range(5000)} | TABLE)}) == GOT


def test_a_model_of_one_column_is_read_too() -> None:
    codec = Codec(Signature(scenario="tabular-regression", target="y", inputs=(Field(name="x", kind="number"),)))
    form = Mlflow(codec)
    for columns in ({"x": [1, 2]}, {"other": ["a", "b"], "x": [1, 2]}):
        assert form.read(json.dumps({"dataframe_split": forms.split(columns)}).encode()).data == [(1.0,), (2.0,)]
    assert json.loads(form.write(np.array([[1.5], [2]], np.float32))) == {"predictions": [1.5, 2]}


def test_labels_are_answered() -> None:
    assert json.loads(FORM.write(np.array([[0.25, 0.75], [0.5, 0.5]], np.float32))) == {"predictions": ["Ünï", "No"]}


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A body in any of the forms that mostly fits, now and then with something odd, or damaged."""
    odd = st.sampled_from([None, True, 0, 1, 1.5, 10**25, "", "pro", "2020-01-01", "\ud800", "a\x00", [], {}])
    rows = draw(st.integers(0, 3))
    table = {name: draw(st.lists(odd, min_size=rows, max_size=rows)) for name in draw(st.permutations(list(TABLE)))}
    if draw(st.integers(0, 3)):
        table |= {"x": draw(st.lists(st.floats(width=32), min_size=rows, max_size=rows))}
        table |= {"plan": ["pro"] * rows, "since": ["2020-01-01"] * rows}
    whole = [
        {"dataframe_split": forms.split(table)},
        {"dataframe_records": forms.rows_of(table)},
        {"instances": table, "inputs": None},
        {"inputs": forms.rows_of(table), "params": draw(st.sampled_from([None, {}, {"a": 1}]))},
        {"inputs": table, "instances": forms.rows_of(table)},
    ]
    text = json.dumps(draw(st.sampled_from(whole)), ensure_ascii=draw(st.booleans())).encode(errors="surrogatepass")
    if draw(st.integers(0, 5)) == 0:
        place = draw(st.integers(0, len(text) - 1))
        text = text[:place] + draw(st.binary(max_size=2)) + text[place + draw(st.integers(0, 2)) :]
    return text


@settings(max_examples=1000, deadline=None)
@given(bodies())
def test_what_the_fast_way_takes_the_slow_way_takes_with_the_same_rows(body: bytes) -> None:
    fast = FORM._fast(body)
    if not fast or not CODEC.dates_hold(fast):
        return
    one, other = CODEC.batch(fast), CODEC.batch(FORM._slow(body).data)
    np.testing.assert_array_equal(one.numbers, other.numbers)
    assert one.strings.tolist() == other.strings.tolist()


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=40))
def test_no_bytes_at_all_raise_anything_but_our_errors(raw: bytes) -> None:
    with contextlib.suppress(Invalid):
        FORM.read(raw)
