"""The Open Inference Protocol V2: what is taken, what is answered, and what is wrong, by tensor and row."""

import contextlib
import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures import forms
from modelyard.core.errors import Invalid
from modelyard.formats.base import Batch
from modelyard.formats.codec import Codec
from modelyard.protocol.frames import Content
from modelyard.protocol.signature import Field, Signature
from modelyard.serving.forms.columns import Columns
from modelyard.serving.forms.v2 import V2
from modelyard.serving.forms.v2_fast import Fast

INPUTS = (
    Field(name="x", kind="number"),
    Field(name="n", kind="integer"),
    Field(name="flag", kind="boolean"),
    Field(name="plan", kind="category", categories=("pro", "7")),
)
TABLE: dict[str, list[Any]] = {"x": [1.5, None], "n": [3, 4], "flag": [True, False], "plan": ["pro", ""]}
CODEC = Codec(Signature(scenario="tabular-classification", target="y", classes=("No", "Ünï"), inputs=INPUTS))
FORM = V2(CODEC, Columns(CODEC), model="sales/eu/churn", version="3")
VALUES = np.array([[0.25, 0.75], [0.5, 0.5]], np.float32)


def arrays(body: bytes, *, binary: bool = False) -> tuple[list[list[Any]], list[list[str]]]:
    """The arrays that a model gets; NaN as None."""
    data = (FORM.read_binary if binary else FORM.read)(body).data
    batch = data if isinstance(data, Batch) else CODEC.batch(data)
    numbers = [[None if np.isnan(value) else value for value in row] for row in batch.numbers.tolist()]
    return numbers, batch.strings.tolist()


GOT = ([[1.5, 3.0, 1.0], [None, 4.0, 0.0]], [["pro"], [""]])


def request(**changes: Any) -> dict[str, Any]:
    """A good request as an object, with these members changed; `x` changes its first tensor."""
    made: dict[str, Any] = json.loads(forms.v2(TABLE, {"x": "FP64"}))
    made["inputs"][0].update(changes.pop("x", {}))
    return {**made, **changes}


def problem(body: Any, *, binary: bool = False) -> Invalid:
    with pytest.raises(Invalid) as caught:
        arrays(body if isinstance(body, bytes) else json.dumps(body).encode(), binary=binary)
    return caught.value


@pytest.mark.parametrize("shape", [1, 2])
def test_tensors_of_either_shape_flat_or_nested_are_columns(shape: int) -> None:
    assert arrays(forms.v2(TABLE, {"x": "FP64"}, shape=shape)) == GOT
    nested = request()
    for tensor in nested["inputs"]:
        tensor["data"] = [[value] for value in tensor["data"]]
    assert arrays(json.dumps(nested).encode()) == GOT


@pytest.mark.parametrize("kind", ["FP64", "FP32", "FP16"])
@pytest.mark.parametrize("integer", [f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)])
def test_every_datatype_is_read_as_json_and_as_binary(kind: str, integer: str) -> None:
    types = {"x": kind, "n": integer}
    assert arrays(forms.v2(TABLE, types)) == GOT
    assert arrays(forms.v2_binary(TABLE, types), binary=True) == GOT
    numbers = {**TABLE, "x": [1, 0], "flag": [1, 0], "plan": [7, 7]}
    types = dict.fromkeys(("x", "n", "flag", "plan"), integer)
    assert arrays(forms.v2_binary(numbers, types), binary=True) == ([[1, 3, 1], [0, 4, 0]], [["7"], ["7"]])


def test_json_and_binary_tensors_may_come_together_and_others_among_them() -> None:
    head = json.loads(forms.v2(TABLE, {"x": "FP64"}))
    head["inputs"].insert(0, {"name": "more", "shape": [9], "datatype": "WHAT", "parameters": {"binary_data_size": 3}})
    head["inputs"][1] = {"name": "x", "shape": [2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}
    raw = json.dumps(head).encode()
    body = struct.pack("<I", len(raw)) + raw + b"abc" + np.array([1.5, np.nan], "<f4").tobytes()
    assert arrays(body, binary=True) == GOT


def test_nan_that_clients_write_into_json_is_missing() -> None:
    assert arrays(forms.v2({**TABLE, "x": [1.5, float("nan")]})) == GOT
    assert "Infinity" in problem(forms.v2({**TABLE, "x": [1.5, float("inf")]})).message


@pytest.mark.parametrize(
    ("x", "row", "said"),
    [
        ({"shape": [2, 2]}, None, "its shape is [2, 2]"),
        ({"shape": []}, None, "its shape is []"),
        ({"shape": [-1]}, None, "its shape is [-1]"),
        ({"shape": [2, 1, 1]}, None, "its shape is [2, 1, 1]"),
        ({"data": [1]}, None, "its data has 1 entries, its shape says 2 rows"),
        ({"data": None}, None, "has no list as `data`"),
        ({"data": "ab"}, None, "has no list as `data`"),
        ({"datatype": "FP8"}, None, "'FP8' is not known"),
        ({"datatype": "INT8", "data": [1, 128]}, 1, "expected INT8, got the number 128."),
        ({"datatype": "UINT64", "data": [-1, 0]}, 0, "expected UINT64, got the number -1."),
        ({"datatype": "INT64", "data": [1, 2**63]}, 1, "expected INT64, got the number 9223372036854775808."),
        ({"datatype": "INT32", "data": [1, 1.0]}, 1, "expected INT32, got the number 1.0."),
        ({"datatype": "INT32", "data": [True, 1]}, 0, "expected INT32, got true."),
        ({"data": [1.5, "2"]}, 1, 'expected FP64, got the string "2".'),
        ({"data": [1.5, True]}, 1, "expected FP64, got true."),
        ({"data": [[1.5], [1, 2]]}, 1, "expected a list of one value"),
        ({"data": [[1.5], 2]}, 1, "expected a list of one value"),
        ({"data": [1.5, [2]]}, 1, "expected FP64, got a list."),
        ({"shape": [2], "data": [[1.5], [2]]}, 0, "expected FP64, got a list."),
        ({"datatype": "BOOL", "data": [1, 0]}, 0, "expected BOOL, got the number 1."),
        ({"datatype": "BYTES", "data": [1, 0]}, 0, "expected BYTES, got the number 1."),
        ({"datatype": "BYTES", "data": ["1.5", None]}, 0, "expected a number, got the string"),
        ({"datatype": "BOOL", "data": [True, None]}, 0, "expected a number, got true."),
        ({"data": [1, 1e39]}, 1, "too large"),
        ({"parameters": {"binary_data_size": 16}}, None, "no Inference-Header-Content-Length"),
        ({"name": "X "}, 0, 'Did you mean it by "X "'),
    ],
)
def test_what_is_wrong_is_named_by_tensor_and_row(x: dict[str, Any], row: int | None, said: str) -> None:
    found = problem(request(x=x))
    assert found.status == 422
    assert said in found.message
    assert (found.fields[0]["field"], found.fields[0].get("row")) == ("x", row)


def test_tensors_that_do_not_go_together_are_named() -> None:
    found = problem(request(x={"shape": [3, 1]}))
    assert (found.fields[0]["field"], found.fields[0]["message"]) == ("n", "it has 2 rows, others have 3.")
    found = problem(request(x={"name": "n"}))
    assert (found.fields[0]["field"], found.fields[0]["message"]) == ("n", "this tensor is there more than once.")


def test_a_5000_digit_integer_is_too_large_and_not_a_crash() -> None:
    text = json.dumps(request(x={"data": [1, 123456]})).replace("123456", "9" * 5000).encode()
    found = problem(text)
    assert "too large" in found.message
    assert (found.fields[0]["field"], found.fields[0]["row"]) == ("x", 1)


@pytest.mark.parametrize("before", [0, 30])
@pytest.mark.parametrize(
    ("kind", "data", "row", "said"),
    [
        ("FP64", b"\0" * 15, None, "15 bytes of binary data"),
        ("FP64", np.array([0, 1e39]).tobytes(), 1, "too large"),
        ("FP32", np.array([np.inf, 0], "<f4").tobytes(), 0, "too large"),
        ("BOOL", b"\1\2", 1, "0 or 1"),
        ("BYTES", struct.pack("<I1sI", 1, b"a", 9), 1, "ends within"),
        ("BYTES", struct.pack("<I1s", 1, b"a"), 1, "ends within"),
        ("BYTES", struct.pack("<I1sI1s", 1, b"a", 1, b"\xff"), 1, "not UTF-8"),
        ("BYTES", struct.pack("<III", 0, 0, 0), None, "4 bytes of binary data behind"),
        ("BYTES", struct.pack("<I1sI", 1, b"a", 0), 0, "expected a number, got the string"),
    ],
)
def test_wrong_binary_data_is_named_by_tensor_and_row(
    kind: str, data: bytes, row: int | None, said: str, before: int
) -> None:
    fill: list[Any] = {"BYTES": [""], "BOOL": [False]}.get(kind, [0.0])
    data = forms.tensor(fill * before, kind) + data
    rows = before + 2
    table = {name: [values[0]] * rows for name, values in TABLE.items()}
    head = json.loads(forms.v2(table))
    head["inputs"][0] = {
        "name": "x", "shape": [rows], "datatype": kind, "parameters": {"binary_data_size": len(data)}
    }  # fmt: skip
    raw = json.dumps(head).encode()
    found = problem(struct.pack("<I", len(raw)) + raw + data, binary=True)
    assert found.status == 422
    assert said.replace("15", str(15 + 8 * before)) in found.message
    assert (found.fields[0]["field"], found.fields[0].get("row")) == ("x", None if row is None else row + before)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "shorter than its JSON"),
        (struct.pack("<I", 9) + b"{}", 400, "ends within its JSON"),
        (struct.pack("<I", 2) + b"{]", 400, "no JSON"),
        (forms.v2_binary({**TABLE, "x": [1.5, 2]}) + b"!", 422, "1 bytes behind its tensors"),
        (forms.v2_binary({**TABLE, "x": [1.5, 2]})[:-1], 422, "bytes are left"),
    ],
)
def test_a_body_that_is_cut_wrongly_is_refused(body: bytes, status: int, said: str) -> None:
    found = problem(body, binary=True)
    assert (found.status, said in found.message) == (status, True)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"inputs": 5}, "no inference request"),
        ({"inputs": [{"name": "x"}]}, "no inference request"),
        ({"inputs": []}, "missing"),
        ({"id": []}, "no inference request"),
        ({"id": "\ud800"}, "no inference request"),
        ({"outputs": [{"name": "what"}]}, "there is no such output"),
        ({"outputs": [{"name": "prediction"}] * 2}, "asked for more than once"),
        ({"outputs": [{"name": "prediction", "parameters": {"binary_data": 1}}]}, "true or false"),
        ({"parameters": {"binary_data_output": "yes"}}, "true or false"),
    ],
)
def test_a_request_of_the_wrong_shape_is_422(change: dict[str, Any], said: str) -> None:
    found = problem(request(**change))
    assert (found.status, said in found.message) == (422, True)


def test_no_rows_are_refused() -> None:
    assert "no rows" in problem(forms.v2({name: [] for name in TABLE})).message


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5", b'{"inputs": [{"name": "\xff"}]}', b"[" * 200_000])
def test_what_is_no_request_is_refused(body: bytes) -> None:
    assert problem(body).status in {400, 422}


def answer(**asked: Any) -> tuple[Content, bytes]:
    return FORM.write(VALUES, FORM.read(json.dumps(request(**asked)).encode()).wish)


def test_the_answer_has_every_output_and_the_id_that_was_sent() -> None:
    content, body = answer(id="mine")
    assert content == Content.V2
    assert json.loads(body) == {
        "model_name": "sales.eu.churn",
        "model_version": "3",
        "id": "mine",
        "outputs": [
            {"name": "prediction", "shape": [2, 1], "datatype": "BYTES", "data": ["Ünï", "No"]},
            {"name": "probability", "shape": [2, 1], "datatype": "FP64", "data": [0.75, 0.5]},
            {"name": "probabilities", "shape": [2, 2], "datatype": "FP64", "data": [0.25, 0.75, 0.5, 0.5]},
        ],
    }
    assert "id" not in json.loads(answer()[1])
    assert [output["name"] for output in json.loads(answer(outputs=[])[1])["outputs"]][-1] == "probabilities"


def test_only_the_outputs_asked_for_are_answered_in_that_order() -> None:
    content, body = answer(outputs=[{"name": "probability"}, {"name": "prediction", "parameters": {}}])
    assert content == Content.V2
    assert [output["name"] for output in json.loads(body)["outputs"]] == ["probability", "prediction"]


@pytest.mark.parametrize(
    ("asked", "binary"),
    [
        ({"parameters": {"binary_data_output": True}}, {"prediction", "probability", "probabilities"}),
        (
            {
                "parameters": {"binary_data_output": True},
                "outputs": [{"name": "probabilities"}, {"name": "prediction", "parameters": {"binary_data": False}}],
            },
            {"probabilities"},
        ),
        (
            {"outputs": [{"name": "prediction", "parameters": {"binary_data": True}}, {"name": "probability"}]},
            {"prediction"},
        ),
    ],
)
def test_outputs_are_binary_where_that_is_asked_for(asked: dict[str, Any], binary: set[str]) -> None:
    content, body = answer(**asked)
    assert content == Content.V2_BINARY
    head, values = forms.split_binary(body)
    assert {output["name"] for output in head["outputs"] if "parameters" in output} == binary
    wanted = {"prediction": ["Ünï", "No"], "probability": [0.75, 0.5], "probabilities": [0.25, 0.75, 0.5, 0.5]}
    assert values == {output["name"]: wanted[output["name"]] for output in head["outputs"]}


def test_a_number_is_answered_as_one_tensor() -> None:
    codec = Codec(Signature(scenario="tabular-regression", target="y", inputs=INPUTS))
    form = V2(codec, Columns(codec), model="a/b", version="1")
    values = np.array([[1.5], [2]], np.float32)
    assert json.loads(form.write(values, None)[1])["outputs"] == [
        {"name": "prediction", "shape": [2, 1], "datatype": "FP64", "data": [1.5, 2]}
    ]
    with pytest.raises(Invalid, match="no such output"):
        form.read(json.dumps(request(outputs=[{"name": "probability"}])).encode())


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request in JSON that mostly fits, now and then with something odd, or damaged."""
    made = request()
    rows = draw(st.integers(1, 3))
    odd = st.sampled_from([None, True, 0, 1, 2.0, 1.5, -1, 2**63, 10**25, "", "pro", "\ud800", "a\x00", [], [1.5], {}])
    good = {
        "x": st.floats(width=32, allow_nan=False),
        "n": st.integers(),
        "flag": st.booleans(),
        "plan": st.text(max_size=3),
    }
    for tensor in made["inputs"]:
        value = good[tensor["name"]] if draw(st.integers(0, 5)) else odd
        tensor["shape"] = draw(st.sampled_from([[rows], [rows, 1]]))
        tensor["data"] = draw(st.lists(value | st.none(), min_size=rows, max_size=rows))
        if draw(st.integers(0, 9)) == 0:
            tensor.update(
                draw(
                    st.sampled_from(
                        [
                            {"datatype": "FP32"}, {"datatype": "INT8"}, {"shape": [rows, 2]}, {"shape": [rows + 1]},
                            {"name": "n"}, {"name": "more"}, {"parameters": {"binary_data_size": 1}},
                            {"parameters": {"content_type": "str"}}, {"parameters": None}, {"data": None}, {"more": 1},
                        ]
                    )
                )
            )  # fmt: skip
    made["inputs"] = draw(st.permutations(made["inputs"]))
    text = json.dumps(made, ensure_ascii=draw(st.booleans())).encode(errors="surrogatepass")
    if draw(st.integers(0, 5)) == 0:
        place = draw(st.integers(0, len(text) - 1))
        text = text[:place] + draw(st.binary(max_size=2)) + text[place + draw(st.integers(0, 2)) :]
    return text


@settings(max_examples=1000, deadline=None)
@given(requests())
def test_what_the_compiled_decoder_takes_the_slow_way_takes_with_the_same_rows(body: bytes) -> None:
    fast = Fast(CODEC).read(body)
    if fast is None:
        return
    slow = FORM._read(body, None)  # the way that does not use it
    assert not isinstance(slow.data, Batch)
    one, other = CODEC.batch(fast[0]), CODEC.batch(slow.data)
    np.testing.assert_array_equal(one.numbers, other.numbers)
    assert one.strings.tolist() == other.strings.tolist()
    assert FORM._wish(fast[1]) == slow.wish


def test_the_compiled_decoder_takes_what_clients_send() -> None:
    fast = Fast(CODEC)
    for types in ({"x": "FP64"}, {"x": "FP32"}):
        assert fast.read(forms.v2(TABLE, types)) is not None
        assert fast.read(forms.v2(TABLE, types, shape=1, id="a", outputs=[{"name": "prediction"}])) is not None


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=40), st.integers(0, 60))
def test_no_bytes_at_all_raise_anything_but_our_errors(raw: bytes, place: int) -> None:
    whole = forms.v2_binary({**TABLE, "x": [1.5, 2]})
    for body in (raw, whole[:place] + raw + whole[place + len(raw) :]):
        for read in (FORM.read, FORM.read_binary):
            with contextlib.suppress(Invalid):
                read(body)
