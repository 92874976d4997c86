"""The two ways of reading a request give the same rows, and what is wrong is named by field, row and reason."""

import contextlib
import csv
import io
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelyard.core.errors import Broken, Invalid, Malformed
from modelyard.formats._reference import Reader
from modelyard.formats.codec import Codec
from modelyard.protocol.frames import Content
from modelyard.protocol.signature import Field, Signature

SIGNATURE = Signature(
    scenario="tabular-classification",
    target="churn",
    classes=("No", "Yes"),
    inputs=(
        Field(name="plan", kind="category", categories=("basic", "pro", "7", "true", "2.0")),
        Field(name="tenure (months)", kind="integer"),
        Field(name="charges", kind="number"),
        Field(name="senior", kind="boolean"),
        Field(name="note", kind="text"),
        Field(name="since", kind="date"),
    ),
)
ROW = {
    "plan": "pro",
    "tenure (months)": 12,
    "charges": 70.35,
    "senior": False,
    "note": "called twice",
    "since": "2021-03-04",
}
CODEC = Codec(SIGNATURE)
REFERENCE = Reader(SIGNATURE)


def body(value: object) -> bytes:
    return json.dumps(value).encode()


def problem(value: object) -> dict[str, object]:
    with pytest.raises(Invalid) as caught:
        CODEC.decode_json(value if isinstance(value, bytes) else body(value))
    assert caught.value.status == 422
    return caught.value.fields[0] if caught.value.fields else {"message": caught.value.message}


FORMS = {
    "instances": {"instances": [ROW, {**ROW, "charges": None}]},
    "list": [ROW, {**ROW, "charges": None}],
    "columns": {"columns": {name: [value, None if name == "charges" else value] for name, value in ROW.items()}},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_json_form_gives_the_same_arrays(form: str) -> None:
    batch, single = CODEC.decode_json(body(FORMS[form]))
    assert not single
    np.testing.assert_array_equal(batch.numbers, np.array([[12, 70.35, 0], [12, np.nan, 0]], np.float32))
    assert batch.strings.tolist() == [["pro", "called twice", "2021-03-04"]] * 2
    assert batch.numbers.dtype == np.float32
    assert batch.strings.dtype == object


def test_a_bare_object_is_one_row_and_says_so() -> None:
    batch, single = CODEC.decode_json(body(ROW))
    assert single
    assert batch.rows == 1


def test_columns_in_another_order_and_columns_nobody_asked_for_change_nothing() -> None:
    turned = dict(reversed([*ROW.items(), ("extra", {"deep": [1, {"x": None}]})]))
    one, other = CODEC.decode_json(body(ROW)).batch, CODEC.decode_json(body(turned)).batch
    np.testing.assert_array_equal(one.numbers, other.numbers)
    assert one.strings.tolist() == other.strings.tolist()


def test_null_and_the_empty_string_are_missing() -> None:
    for nothing in (None, ""):
        batch = CODEC.decode_json(body(dict.fromkeys(ROW, nothing))).batch
        assert np.isnan(batch.numbers).all()
        assert batch.strings.tolist() == [["", "", ""]]


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("charges", "70.35", "Send it without quotes"),
        ("charges", True, "expected a number, got true"),
        ("charges", [1], "expected a number, got a list"),
        ("charges", 1e39, "too large"),
        ("charges", -(10**300), "too large"),
        ("tenure (months)", 1.5, "expected a whole number"),
        ("tenure (months)", True, "expected a number"),
        ("senior", 2, "expected true or false"),
        ("senior", "yes", "expected true or false"),
        ("plan", 3, "expected a string, got the number 3"),
        ("plan", {"a": 1}, "expected a string, got an object"),
        ("note", 5, "expected a string"),
        ("since", "31/12/2020", "expected a date"),
        ("since", "2021-13-01", "expected a date"),
        ("note", "a\x00b", "NUL"),
        ("note", "\ud800", "surrogate"),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_its_row(field: str, value: object, said: str) -> None:
    found = problem({"instances": [ROW, {**ROW, field: value}]})
    assert (found["field"], found["row"]) == (field, 1)
    assert said in str(found["message"])


@pytest.mark.parametrize(
    ("field", "value", "same_as"),
    [
        ("tenure (months)", 12.0, 12),
        ("senior", 1, True),
        ("senior", 0.0, False),
        ("plan", 7, "7"),
        ("plan", True, "true"),
        ("plan", 2.0, "2.0"),
    ],
)
def test_unusual_values_that_are_right_are_taken(field: str, value: object, same_as: object) -> None:
    one = CODEC.decode_json(body({**ROW, field: value})).batch
    other = CODEC.decode_json(body({**ROW, field: same_as})).batch
    np.testing.assert_array_equal(one.numbers, other.numbers)
    assert one.strings.tolist() == other.strings.tolist()


def test_a_missing_column_is_named_and_a_near_one_suggested() -> None:
    sent = {**ROW, "Tenure(months)": 12}
    del sent["tenure (months)"]
    found = problem(sent)
    assert found["field"] == "tenure (months)"
    assert 'Did you mean it by "Tenure(months)"?' in str(found["message"])


def test_all_problems_are_listed_up_to_a_bound() -> None:
    with pytest.raises(Invalid) as caught:
        CODEC.decode_json(body({"instances": [{**ROW, "charges": "x", "senior": 5}, ROW, {**ROW, "charges": []}]}))
    assert [(f["field"], f["row"]) for f in caught.value.fields] == [("charges", 0), ("senior", 0), ("charges", 2)]
    with pytest.raises(Invalid) as caught:
        CODEC.decode_json(body([{}] * 100_000))
    assert len(caught.value.fields) == 20


def test_a_5000_digit_integer_is_too_large_and_not_a_crash() -> None:
    text = body({**ROW, "charges": 1}).replace(b'"charges": 1', b'"charges": ' + b"9" * 5000)
    assert problem(text)["field"] == "charges"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[1,",
        b"NaN",
        b'{"charges": NaN}',
        b'{"charges": -Infinity}',
        b"\xff\xfe{}",
        b'{"note": "\xff"}',
        b"{} {}",
    ],
)
def test_what_is_no_json_is_malformed(text: bytes) -> None:
    with pytest.raises(Malformed):
        CODEC.decode_json(text)


@pytest.mark.parametrize(
    "text", [b"[" * 200_000, b'{"a":' * 200_000, body(ROW)[:-1] + b', "x": ' + b"[" * 99_999 + b"]" * 99_999 + b"}"]
)
def test_deep_json_is_malformed_and_never_a_recursion_error(text: bytes) -> None:
    with pytest.raises(Malformed, match="nested too deeply"):
        CODEC.decode_json(text)


def test_invalid_utf8_is_malformed_even_in_a_column_nobody_reads() -> None:
    with pytest.raises(Malformed, match="UTF-8"):
        CODEC.decode_json(body(ROW)[:-1] + b', "extra": "\xff"}')


@pytest.mark.parametrize("value", [{"instances": []}, [], {"columns": {name: [] for name in ROW}}])
def test_no_rows_are_refused(value: object) -> None:
    assert "at least one" in str(problem(value)["message"])


@pytest.mark.parametrize(
    "value",
    [
        5,
        {"instances": 5},
        {"instances": [5]},
        {"columns": [1]},
        {"instances": [ROW], "columns": {name: [value] for name, value in ROW.items()}},
        {"columns": {**{name: [value] for name, value in ROW.items()}, "charges": [1, 2]}},
        {"columns": {**{name: [value] for name, value in ROW.items()}, "charges": 1}},
    ],
)
def test_a_body_of_the_wrong_shape_is_refused_with_a_reason(value: object) -> None:
    problem(value)


def test_a_form_key_after_the_columns_of_a_bare_object_still_gives_the_form() -> None:
    batch, single = CODEC.decode_json(body({**ROW, "instances": [ROW, ROW]}))
    assert (batch.rows, single) == (2, False)


def test_models_with_columns_called_like_the_form_keys_work() -> None:
    codec = Codec(
        Signature(
            scenario="tabular-regression",
            target="y",
            inputs=(Field(name="instances", kind="number"), Field(name="columns", kind="number")),
        )
    )
    row = {"instances": 4, "columns": 2}
    assert codec.decode_json(body(row)).batch.numbers.tolist() == [[4, 2]]
    assert codec.decode_json(body({"instances": [row]})).batch.numbers.tolist() == [[4, 2]]
    assert codec.decode_json(body({"columns": {"instances": [4], "columns": [2]}})).batch.numbers.tolist() == [[4, 2]]


def test_column_names_that_no_struct_can_bear_are_read_the_slow_way() -> None:
    name = 'price "net"\n\\'
    codec = Codec(Signature(scenario="tabular-regression", target="y", inputs=(Field(name=name, kind="number"),)))
    assert codec.decode_json(body({name: 3})).batch.numbers.tolist() == [[3]]


def test_csv_columns_may_come_in_any_order_with_others_between() -> None:
    header = "since,extra,charges,senior,note,plan,tenure (months)"
    text = header + '\r\n2021-03-04,x,70.35,FALSE,"a, ""b""",pro, 12 \r\n,,,,,,\r\n'
    batch = CODEC.decode_csv(b"\xef\xbb\xbf" + text.encode()).batch
    np.testing.assert_array_equal(batch.numbers, np.array([[12, 70.35, 0], [np.nan] * 3], np.float32))
    assert batch.strings.tolist() == [["pro", 'a, "b"', "2021-03-04"], ["", "", ""]]


HEADER = b"plan,tenure (months),charges,senior,note,since\n"


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        (b"", 422, "empty"),
        (HEADER, 422, "no rows"),
        (HEADER + b"a,1,2\n", 422, "3 cells"),
        (HEADER + b"a,1,nan,true,x,2020-01-01\n", 422, "expected a number"),
        (HEADER + b"a,1,1_0,true,x,2020-01-01\n", 422, "expected a number"),
        (HEADER + b"a,1.5,1,true,x,2020-01-01\n", 422, "whole number"),
        (HEADER + b"a,1,1e99,true,x,2020-01-01\n", 422, "too large"),
        (HEADER + b"a,1,1,maybe,x,2020-01-01\n", 422, "true or false"),
        (HEADER + b"a,1,1,true,x,yesterday\n", 422, "date"),
        (HEADER + b'a,1,1,true,"x"y,2020-01-01\n', 400, "CSV"),
        (HEADER + b'a,1,1,true,"x\n', 400, "CSV"),
        (HEADER + b"a,1,1,true,\xff,2020-01-01\n", 400, "UTF-8"),
        (b"plan,plan," + HEADER + b"a,a,a,1,1,true,x,2020-01-01\n", 422, "more than once"),
        (HEADER.replace(b"charges", b"Charges ") + b"a,1,1,true,x,2020-01-01\n", 422, 'by "Charges "'),
    ],
)
def test_a_bad_csv_is_refused_with_a_reason(text: bytes, status: int, said: str) -> None:
    with pytest.raises(Invalid, match=said) as caught:
        CODEC.decode_csv(text)
    assert caught.value.status == status


def test_classification_is_answered_with_prediction_probability_and_all_probabilities() -> None:
    values = np.array([[0.25, 0.75], [0.5, 0.5]], np.float32)
    answer = json.loads(CODEC.encode(values, Content.JSON, model="sales/churn", version="v3"))
    assert answer == {
        "predictions": [
            {"prediction": "Yes", "probability": 0.75, "probabilities": {"No": 0.25, "Yes": 0.75}},
            {"prediction": "No", "probability": 0.5, "probabilities": {"No": 0.5, "Yes": 0.5}},
        ],
        "model": "sales/churn",
        "version": "v3",
    }
    assert CODEC.answers(values) == answer["predictions"]


def test_class_labels_that_no_struct_can_bear_are_answered_all_the_same() -> None:
    labels = ('say "no"', "back\\slash")
    codec = Codec(Signature(scenario="tabular-classification", target="y", inputs=SIGNATURE.inputs, classes=labels))
    answer = json.loads(codec.encode(np.array([[0.75, 0.25]], np.float32), Content.JSON, model="a/b", version="v1"))
    assert answer["predictions"][0]["probabilities"] == dict(zip(labels, [0.75, 0.25], strict=True))


def test_csv_is_answered_with_a_header() -> None:
    text = CODEC.encode(np.array([[0.25, 0.75]], np.float32), Content.CSV, model="sales/churn", version="v3").decode()
    assert list(csv.DictReader(io.StringIO(text))) == [
        {"prediction": "Yes", "probability": "0.75", "probability_No": "0.25", "probability_Yes": "0.75"}
    ]
    regression = Codec(Signature(scenario="tabular-regression", target="y", inputs=SIGNATURE.inputs))
    assert (
        regression.encode(np.array([[1.5]], np.float32), Content.CSV, model="a/b", version="v1") == b"prediction\n1.5\n"
    )


def test_a_model_that_answers_nan_is_our_fault_and_no_invalid_json() -> None:
    with pytest.raises(Broken, match="not a finite number"):
        CODEC.encode(np.array([[np.nan, 1]], np.float32), Content.JSON, model="a/b", version="v1")


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=10**18, max_value=10**45),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0, 1, 1.0, -0.0, 3.4e38, 3.5e38, 5e-324, 2**63, -(2**63) - 1, 16777217, "", "7", "2020-02-30"]),
    st.text(max_size=5),
    st.dates().map(str),
    st.datetimes().map(lambda moment: moment.isoformat()),
    st.lists(st.integers(), max_size=2),
)
GOOD = {
    "plan": st.one_of(st.none(), st.text(max_size=8), st.sampled_from(["basic", "pro"])),
    "tenure (months)": st.one_of(st.none(), st.integers(min_value=-(2**70), max_value=2**70)),
    "charges": st.one_of(st.none(), st.floats(width=32, allow_nan=False, allow_infinity=False), st.integers()),
    "senior": st.one_of(st.none(), st.booleans(), st.sampled_from([0, 1])),
    "note": st.one_of(st.none(), st.text(max_size=8)),
    "since": st.one_of(st.none(), st.dates().map(str), st.just("")),
}


@st.composite
def instances(draw: st.DrawFn) -> dict[str, object]:
    """A row that mostly fits, with now and then a wrong value, a missing column or one too many, in any order."""
    row: dict[str, object] = {name: draw(good) for name, good in GOOD.items()}
    for name in draw(st.sets(st.sampled_from([*ROW, "extra", "instances", "columns"]), max_size=2)):
        row[name] = draw(SCALARS)
    for name in draw(st.sets(st.sampled_from(list(ROW)), max_size=1)) if draw(st.integers(0, 5)) == 0 else ():
        del row[name]
    return {name: row[name] for name in draw(st.permutations(list(row)))}


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A body in any of the forms, spelt in any of JSON's ways, now and then damaged."""
    rows = draw(st.lists(instances(), min_size=0, max_size=3))
    names = list(ROW)
    value: object = draw(
        st.sampled_from(
            [
                {"instances": rows},
                {"instances": rows, "parameters": {"x": 1}, "columns": None},
                {"signature_name": "x", "instances": rows},
                rows,
                rows[0] if rows else {},
                {"columns": {name: [row.get(name) for row in rows] for name in names}, "instances": None},
            ]
        )
    )
    text = json.dumps(value, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1])))
    raw = text.encode(errors="surrogatepass")
    if draw(st.integers(0, 3)) == 0 and raw:
        place = draw(st.integers(0, len(raw) - 1))
        raw = raw[:place] + draw(st.binary(max_size=2)) + raw[place + draw(st.integers(0, 2)) :]
    return raw


@settings(max_examples=1500, deadline=None)
@given(bodies())
def test_what_the_fast_way_takes_the_slow_way_takes_with_the_same_rows(raw: bytes) -> None:
    fast = CODEC._fast.read(raw) if CODEC._fast else None
    if not fast or not fast.rows or not CODEC.dates_hold(fast.rows):
        return
    slow = REFERENCE.json(raw)
    assert fast.single == slow.single
    one, other = CODEC.batch(fast.rows), CODEC.batch(slow.rows)
    np.testing.assert_array_equal(one.numbers, other.numbers)
    assert one.strings.tolist() == other.strings.tolist()


@settings(max_examples=500, deadline=None)
@given(st.lists(st.fixed_dictionaries(GOOD), min_size=1, max_size=3))
def test_what_was_sent_is_what_the_model_gets(rows: list[dict[str, object]]) -> None:
    if "\\u0000" in json.dumps(rows):
        return
    batch = CODEC.decode_json(body({"instances": rows})).batch
    for got, sent in zip(batch.numbers.tolist(), rows, strict=True):
        for value, name in zip(got, ["tenure (months)", "charges", "senior"], strict=True):
            if sent[name] is None:
                assert math.isnan(value)
            else:
                assert value == float(np.float32(float(sent[name])))  # type: ignore[arg-type]
    for got, sent in zip(batch.strings.tolist(), rows, strict=True):
        assert got == [sent[name] or "" for name in ("plan", "note", "since")]


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(GOOD["tenure (months)"], GOOD["charges"], GOOD["senior"]), min_size=1, max_size=5))
def test_numbers_are_rounded_one_by_one_as_python_rounds_them(rows: list[tuple[float | None, ...]]) -> None:
    wanted = [[math.nan if value is None else np.float32(float(value)) for value in row] for row in rows]
    batch = CODEC.batch([(*row, None, "", None) for row in rows])
    np.testing.assert_array_equal(batch.numbers, np.array(wanted, np.float32))
    assert batch.numbers.flags.writeable
    assert batch.strings.tolist() == [["", "", ""]] * len(rows)


def test_a_missing_column_among_very_many_is_named_without_comparing_them_all() -> None:
    many = {f"charge{place}": 1 for place in range(200_000)}
    sent = {name: value for name, value in ROW.items() if name != "charges"}
    assert problem({"instances": [{**sent, **many}]})["field"] == "charges"


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=60))
def test_no_bytes_at_all_raise_anything_but_our_errors(raw: bytes) -> None:
    for decode in (CODEC.decode_json, CODEC.decode_csv):
        with contextlib.suppress(Invalid):
            decode(raw)


def test_a_month_is_its_first_day() -> None:
    assert CODEC.decode_json(body({**ROW, "since": "2021-03"})).batch.strings[0].tolist().count("2021-03-01") == 1
