"""Versions that answer a request as a whole: never joined, worded by themselves, in every form."""

import csv
import io
import json
from typing import Annotated, Any, ClassVar

import msgspec
import numpy as np
import pytest
from pyarrow import ipc

from fixtures import forms
from modelyard.core.errors import Broken, Invalid
from modelyard.formats.base import Batch, RequestPredictor
from modelyard.formats.codec import answer_example, options_schema
from modelyard.formats.series import series_of, texts_of
from modelyard.protocol import answers
from modelyard.protocol.frames import Content, exchange
from modelyard.protocol.signature import Field, Signature
from modelyard.serving.held import Answer, Held, Request

SIGNATURE = Signature(
    scenario="time-series-prediction", target="value", time="at", series="shop",
    inputs=(
        Field(name="at", kind="date"), Field(name="value", kind="number"), Field(name="shop", kind="category"),
    ),
)  # fmt: skip
ROWS = [
    {"at": "2024-01-01", "value": 3, "shop": "north"},
    {"at": "2024-01-02", "value": 5, "shop": "north"},
    {"at": "2024-01-01", "value": 7, "shop": "south"},
]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`steps`: so many values are predicted of each series."""

    steps: Annotated[int, msgspec.Meta(ge=1, le=100)] = 2


class Last(RequestPredictor):
    """Repeats the last value of each series; without rows it goes on from 1 of the series `north`."""

    Options: ClassVar[type[msgspec.Struct]] = Options

    def __init__(self, **changes: Any) -> None:
        self.signature = msgspec.structs.replace(SIGNATURE, **changes)
        self.calls = 0

    def predict(self, batch: Batch) -> Any:
        raise NotImplementedError

    def answer(self, batch: Batch, options: Any) -> list[dict[str, Any]]:
        self.calls += 1
        found = [
            (each.name, batch.numbers[each.rows[~np.isnan(batch.numbers[each.rows, 0])], 0], each.times)
            for each in series_of(self.signature, batch)
        ]
        if any(not len(values) for _, values, _ in found):
            raise Invalid("A series has no value at all.")
        known = [(name, float(values[-1]), texts_of(times[-1:])[0]) for name, values, times in found]
        return [
            {"series": name, "after": after, "step": step, "prediction": value, "span": [value - 1, value + 1]}
            for name, value, after in known or [("north", 1.0, None)]
            for step in range(1, options.steps + 1)
        ]


def held(predictor: Any = None) -> Held:
    return Held(predictor or Last(), model="shop/sales", version="v1")


def ask(body: Any, content: Content = Content.JSON, answer: Content | None = None, of: Held | None = None) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return (of or held()).answer([Request(raw, exchange(content, content if answer is None else answer))])[0]


def entries(answer: Answer) -> list[dict[str, Any]]:
    assert answer.status == 200, answer.body
    found: list[dict[str, Any]] = json.loads(answer.body)["predictions"]
    return found


def wanted(steps: int = 2) -> list[dict[str, Any]]:
    known = (("north", 5.0, "2024-01-02T00:00:00Z"), ("south", 7.0, "2024-01-01T00:00:00Z"))
    return [
        {"series": name, "after": after, "step": step, "prediction": value, "span": [value - 1, value + 1]}
        for name, value, after in known
        for step in range(1, steps + 1)
    ]


COLUMNS = {name: [row[name] for row in ROWS] for name in ROWS[0]}


def test_entries_are_answered_in_the_form_that_is_asked_for() -> None:
    assert entries(ask({"instances": ROWS})) == wanted()
    assert entries(ask({"columns": COLUMNS})) == wanted()
    assert entries(ask({"dataframe_split": forms.split(COLUMNS)}, Content.MLFLOW)) == wanted()
    text = "at,value,shop\n" + "".join(f"{row['at']},{row['value']},{row['shop']}\n" for row in ROWS)
    found = list(csv.DictReader(io.StringIO(ask(text.encode(), Content.CSV).body.decode())))
    assert [{**row, "span": json.loads(row["span"])} for row in found] == [
        {**entry, "step": str(entry["step"]), "prediction": str(entry["prediction"])} for entry in wanted()
    ]
    table = ipc.open_stream(ask(forms.arrow(COLUMNS), Content.ARROW).body).read_all()
    table.validate(full=True)
    assert [str(field.type) for field in table.schema] == ["string", "string", "int64", "double", "string"]
    assert [{**row, "span": json.loads(row["span"])} for row in table.to_pylist()] == wanted()
    outputs = json.loads(ask(forms.v2(COLUMNS), Content.V2).body)["outputs"]
    assert [(output["name"], output["datatype"], output["shape"]) for output in outputs] == [
        ("series", "BYTES", [4, 1]), ("after", "BYTES", [4, 1]), ("step", "INT64", [4, 1]),
        ("prediction", "FP64", [4, 1]), ("span", "BYTES", [4, 1]),
    ]  # fmt: skip
    assert outputs[3]["data"] == [5, 5, 7, 7]
    assert [json.loads(span) for span in outputs[4]["data"]] == [entry["span"] for entry in wanted()]
    binary = forms.v2_binary(COLUMNS, parameters={"binary_data_output": True, "steps": 1})
    values = forms.split_binary(ask(binary, Content.V2_BINARY).body)[1]
    assert np.ravel(values["prediction"]).tolist() == [5, 7]


def test_only_the_outputs_that_are_asked_for_are_answered() -> None:
    some = forms.v2(COLUMNS, outputs=[{"name": "prediction"}])
    assert [output["name"] for output in json.loads(ask(some, Content.V2).body)["outputs"]] == ["prediction"]
    refused = ask(forms.v2(COLUMNS, outputs=[{"name": "what"}]), Content.V2)
    assert refused.status == 422
    assert "The model answers series, after, step" in json.loads(refused.body)["error"]["message"]


def test_requests_are_never_joined() -> None:
    predictor = Last()
    of = held(predictor)
    bodies = [
        {"instances": ROWS[:1]}, {"instances": [{"at": "x"}]}, {"instances": ROWS, "parameters": {"steps": 1}}, ROWS[2:]
    ]  # fmt: skip
    found = of.answer([Request(json.dumps(body).encode(), 0) for body in bodies])
    assert [answer.status for answer in found] == [200, 422, 200, 200]
    assert [len(entries(answer)) for answer in found if answer.status == 200] == [2, 2, 2]
    assert [answer.rows for answer in found] == [2, 0, 3, 2]
    assert predictor.calls == 3
    assert of.answer([]) == []


@pytest.mark.parametrize(
    ("body", "content"),
    [
        ({"instances": [], "parameters": {"steps": 3}}, Content.JSON),
        ({"parameters": {"steps": 3}}, Content.JSON),
        ({"config": {"steps": 3}}, Content.JSON),
        ({"columns": {"at": [], "value": [], "shop": []}, "parameters": {"steps": 3}}, Content.JSON),
        ({"params": {"steps": 3}}, Content.MLFLOW),
        ({"instances": [], "params": {"steps": 3}}, Content.MLFLOW),
        ({"inputs": [], "parameters": {"steps": 3}}, Content.V2),
    ],
)
def test_no_rows_are_needed_where_a_series_is_known(body: Any, content: Content) -> None:
    answer = ask(body, content, Content.JSON)
    assert [entry["step"] for entry in entries(answer)] == [1, 2, 3]
    assert answer.rows == 3


def test_nothing_at_all_is_answered_with_what_is_usual() -> None:
    assert [entry["step"] for entry in entries(ask({}))] == [1, 2]
    assert [entry["step"] for entry in entries(ask([]))] == [1, 2]
    assert ask(b"").status == 400
    assert ask({"at": "2024-01-01"}).status == 422


def test_rows_without_their_value_are_to_be_predicted() -> None:
    ahead = [{"at": "2024-01-03", "shop": "north"}]
    assert entries(ask({"instances": ROWS + ahead}))[0] == {**wanted()[0], "after": "2024-01-03T00:00:00Z"}
    only = {name: values for name, values in COLUMNS.items() if name != "value"}
    for body, content in (
        ({"columns": only}, Content.JSON),
        (forms.rows_of(only), Content.JSON),
        (forms.v2(only), Content.V2),
        (forms.arrow(only), Content.ARROW),
        (b"at,shop\n2024-01-01,north\n", Content.CSV),
        ({"dataframe_split": forms.split(only)}, Content.MLFLOW),
    ):
        answer = ask(body, content)
        assert (answer.status, "no value at all" in answer.body.decode()) == (422, True), content


@pytest.mark.parametrize(
    ("at", "wanted"),
    [
        (1704153600, "2024-01-02T00:00:00Z"),
        (1704153600.5, "2024-01-02T00:00:00.500000Z"),
        ("2024-01-02T02:00:00+02:00", "2024-01-02T00:00:00Z"),
        ("2024-01-02T00:00:00Z", "2024-01-02T00:00:00Z"),
        ("2024-01-02", "2024-01-02T00:00:00Z"),
        (-86400, "1969-12-31T00:00:00Z"),
    ],
)
def test_a_time_is_text_or_seconds(at: Any, wanted: str) -> None:
    row = {"at": at, "value": 1, "shop": "north"}
    bodies = {
        Content.JSON: json.dumps({"instances": [row]}).encode(),
        Content.CSV: f"at,value,shop\n{at},1,north\n".encode(),
        Content.ARROW: forms.arrow({name: [value] for name, value in row.items()}),
        Content.V2: forms.v2({name: [value] for name, value in row.items()}),
    }
    for content, body in bodies.items():
        assert {entry["after"] for entry in entries(ask(body, content, Content.JSON))} == {wanted}


@pytest.mark.parametrize("at", [1704153600000, 1e40, True, "soon", "17041536000000000000"])
def test_what_is_no_time_is_named(at: Any) -> None:
    answer = ask({"instances": [{"at": at, "value": 1, "shop": "north"}]})
    error = json.loads(answer.body)["error"]
    assert (answer.status, error["fields"][0]["field"], error["fields"][0]["row"]) == (422, "at", 0)
    csv_answer = ask(f"at,value,shop\n{at},1,north\n".encode(), Content.CSV)
    assert (csv_answer.status, json.loads(csv_answer.body)["error"]["fields"][0]["field"]) == (422, "at")


def test_an_option_is_checked_and_a_predictor_s_own_reason_is_told() -> None:
    for steps, said in ((0, "expected a whole number >= 1"), ("x", "got a string")):
        answer = ask({"parameters": {"steps": steps}})
        assert (answer.status, said in answer.body.decode()) == (422, True)
    answer = ask({"instances": [{"at": "2024-01-01", "value": None, "shop": "north"}]})
    assert json.loads(answer.body)["error"]["message"] == "A series has no value at all."


@pytest.mark.parametrize("form", Content)
def test_numbers_that_are_none_are_never_answered(form: Content) -> None:
    class Odd(Last):
        def answer(self, batch: Batch, options: Any) -> list[dict[str, Any]]:
            return [{"prediction": 1.0, "span": [float("nan")]}]

    assert ask({}, answer=form, of=held(Odd())).status == 500


def test_missing_values_are_null_or_nothing() -> None:
    class Gaps(Last):
        def answer(self, batch: Batch, options: Any) -> list[dict[str, Any]]:
            kinds: list[dict[str, Any]] = [
                {"text": "a", "number": 1.5, "whole": 2, "truth": True, "none": None, "mixed": 1},
                {"text": None, "number": None, "whole": None, "truth": None, "none": None, "mixed": "b"},
            ]
            return kinds

    of = held(Gaps())
    wanted = Gaps().answer(Batch(np.empty((0, 1)), np.empty((0, 2), object)), None)
    assert entries(ask({}, of=of)) == wanted
    assert ask({}, answer=Content.CSV, of=of).body.decode().splitlines()[1:] == ["a,1.5,2,true,,1", ',,,,,"""b"""']
    table = ipc.open_stream(ask({}, answer=Content.ARROW, of=of).body).read_all()
    table.validate(full=True)
    assert table.to_pylist() == [{**wanted[0], "mixed": "1"}, {**wanted[1], "mixed": '"b"'}]
    outputs = json.loads(ask({"inputs": []}, Content.V2, of=of).body)["outputs"]
    assert {output["name"]: output["data"] for output in outputs} == {
        "text": ["a", ""], "number": [1.5, None], "whole": [2.0, None], "truth": [1.0, None], "none": [None, None],
        "mixed": ["1", '"b"'],
    }  # fmt: skip


def test_its_example_is_a_whole_request() -> None:
    body = {"instances": ROWS, "parameters": {"steps": 1}}
    answered = answer_example(Last(), body)
    assert answered == {"predictions": wanted(1)}
    schema = options_schema(Last())
    signature = {"example_request": body, "example_answer": answered, "options": schema}
    assert held(Last(**signature)).warm_up() > 0
    other = {"predictions": [{**entry, "prediction": 50.0} for entry in wanted(1)]}
    for wrong in (other, {"predictions": wanted(2)}):
        with pytest.raises(Broken, match="does not answer its own example"):
            held(Last(**{**signature, "example_answer": wrong})).warm_up()
    assert held(Last()).warm_up() == 0
    described = msgspec.structs.replace(SIGNATURE, **signature)
    assert answers.choices(described)["steps"]["maximum"] == 100
    assert [(member.name, member.kind) for member in answers.members(described)] == [
        ("series", "text"), ("after", "text"), ("step", "integer"), ("prediction", "number"), ("span", "other")
    ]  # fmt: skip
