"""What versions of each scenario answer, in every form, and what a request may choose of that."""

import csv
import io
import json
from typing import Any

import numpy as np
import pytest
from pyarrow import ipc

from fixtures import forms
from modelyard.formats._answers import schema_of, wording_of
from modelyard.formats.base import Batch, Predictor
from modelyard.protocol import answers
from modelyard.protocol.frames import Content, exchange
from modelyard.protocol.signature import Field, Signature
from modelyard.serving.held import Answer, Held, Request

X = Field(name="x", kind="number")
ANOMALY = Signature(scenario="anomaly-detection", target="", inputs=(X, Field(name="y", kind="number")))
REGRESSION = Signature(scenario="tabular-regression", target="price", inputs=(X,))
CLASSIFICATION = Signature(
    scenario="text-classification", target="topic", inputs=(Field(name="text", kind="text"),),
    classes=("sport", "politics", "weather"),
)  # fmt: skip


class Told(Predictor):
    """Answers what its function makes of a batch."""

    def __init__(self, signature: Signature, function: Any) -> None:
        self.signature, self._function = signature, function

    def predict(self, batch: Batch) -> Any:
        return np.asarray(self._function(batch), np.float32)


def anomalies() -> Held:
    """The score is x, its half the severity, the threshold 1."""
    values = lambda batch: np.column_stack([batch.numbers[:, 0], batch.numbers[:, 0] / 2, batch.numbers[:, 0] > 1])  # noqa: E731
    return Held(Told(ANOMALY, values), model="plant/pump", version="v1")


def spans(width: int) -> Held:
    values = lambda batch: batch.numbers[:, :1] + np.array([[0, -1, 1]])[:, :width]  # noqa: E731
    return Held(Told(REGRESSION, values), model="home/price", version="v1")


def topics() -> Held:
    """The longer the text, the more it is about the weather."""

    def values(batch: Batch) -> Any:
        share = np.array([min(len(text), 8) / 10 for text in batch.strings[:, 0]])
        return np.column_stack([(1 - share) * 0.75, (1 - share) * 0.25, share])

    return Held(Told(CLASSIFICATION, values), model="news/topic", version="v1")


def ask(held: Held, body: Any, content: Content = Content.JSON, answer: Content | None = None) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return held.answer([Request(raw, exchange(content, content if answer is None else answer))])[0]


def entries(answer: Answer) -> list[dict[str, Any]]:
    assert answer.status == 200, answer.body
    found: list[dict[str, Any]] = json.loads(answer.body)["predictions"]
    return found


ROWS = [{"x": 0.5, "y": 0}, {"x": 1.5, "y": None}]
ODD = [
    {"anomaly": False, "score": 0.5, "severity": 0.25},
    {"anomaly": True, "score": 1.5, "severity": 0.75},
]


def test_anomalies_are_answered_with_flag_score_and_severity_in_every_form() -> None:
    held, columns = anomalies(), {"x": [0.5, 1.5], "y": [0.0, 0.0]}
    assert entries(ask(held, {"instances": ROWS})) == ODD
    assert entries(ask(held, {"dataframe_split": forms.split(columns)}, Content.MLFLOW)) == ODD
    text = ask(held, b"x,y\n0.5,0\n1.5,\n", Content.CSV).body.decode()
    assert text == "anomaly,score,severity\nfalse,0.5,0.25\ntrue,1.5,0.75\n"
    table = ipc.open_stream(ask(held, forms.arrow(columns), Content.ARROW).body).read_all()
    table.validate(full=True)
    assert table.to_pylist() == ODD
    outputs = json.loads(ask(held, forms.v2(columns), Content.V2).body)["outputs"]
    assert [(output["name"], output["datatype"], output["shape"], output["data"]) for output in outputs] == [
        ("anomaly", "BOOL", [2, 1], [False, True]),
        ("score", "FP32", [2, 1], [0.5, 1.5]),
        ("severity", "FP32", [2, 1], [0.25, 0.75]),
    ]
    binary = ask(held, forms.v2_binary(columns, parameters={"binary_data_output": True}), Content.V2_BINARY)
    found = forms.split_binary(binary.body)[1]
    assert {name: np.ravel(values).tolist() for name, values in found.items()} == {
        "anomaly": [False, True], "score": [0.5, 1.5], "severity": [0.25, 0.75]
    }  # fmt: skip


def test_a_request_may_set_its_own_threshold_and_others_in_its_batch_keep_theirs() -> None:
    held = anomalies()
    bodies = [
        {"instances": ROWS},
        {"instances": ROWS, "parameters": {"threshold": 0.25}},
        {"columns": {"x": [0.5, 1.5], "y": [0, 0]}, "config": {"threshold": 2}},
        {**ROWS[1], "parameters": {"threshold": 1.5}},
        {"instances": ROWS, "parameters": None},
    ]
    found = held.answer([Request(json.dumps(body).encode(), 0) for body in bodies])
    flags = [[entry["anomaly"] for entry in entries(answer)] for answer in found]
    assert flags == [[False, True], [True, True], [False, False], [False], [False, True]]
    mlflow = {"dataframe_records": ROWS, "params": {"threshold": 0.25}}
    assert [entry["anomaly"] for entry in entries(ask(held, mlflow, Content.MLFLOW))] == [True, True]
    v2 = json.loads(forms.v2({"x": [0.5, 1.5], "y": [0.0, 0.0]})) | {"parameters": {"threshold": 0.25, "timeout": 5}}
    assert json.loads(ask(held, v2, Content.V2).body)["outputs"][0]["data"] == [True, True]


@pytest.mark.parametrize(("width", "members"), [(1, ["prediction"]), (3, ["prediction", "lower", "upper"])])
def test_regression_says_between_what_where_the_model_does(width: int, members: list[str]) -> None:
    held, wanted = spans(width), dict(zip(members, [2.0, 1.0, 3.0], strict=False))
    assert entries(ask(held, {"x": 2})) == [wanted]
    assert list(csv.DictReader(io.StringIO(ask(held, b"x\n2\n", Content.CSV).body.decode()))) == [
        {name: str(value) for name, value in wanted.items()}
    ]
    table = ipc.open_stream(ask(held, {"x": 2}, answer=Content.ARROW).body).read_all()
    assert table.to_pylist() == [wanted]
    outputs = json.loads(ask(held, forms.v2({"x": [2.0]}), Content.V2).body)["outputs"]
    assert {output["name"]: output["data"] for output in outputs} == {name: [each] for name, each in wanted.items()}
    assert entries(ask(held, {"inputs": {"x": [2]}}, Content.MLFLOW)) == [2.0]
    asked = ask(held, forms.v2({"x": [2.0]}, outputs=[{"name": "upper"}]), Content.V2)
    assert asked.status == (200 if width == 3 else 422)


def test_the_likeliest_classes_come_first() -> None:
    held = topics()
    (found,) = entries(ask(held, {"instances": [{"text": "a"}], "parameters": {"top_k": 2}}))
    assert found["prediction"] == "sport"
    assert list(found["probabilities"]) == ["sport", "politics"]
    (whole,) = entries(ask(held, {"instances": [{"text": "a"}]}))
    assert {name: whole["probabilities"][name] for name in found["probabilities"]} == found["probabilities"]
    assert found["probability"] == max(whole["probabilities"].values())
    many = entries(ask(held, {"instances": ["a", "a" * 9], "parameters": {"top_k": 50}}))
    assert [next(iter(entry["probabilities"])) for entry in many] == ["sport", "weather"]
    assert [len(entry["probabilities"]) for entry in many] == [3, 3]
    labels = ask(held, {"inputs": ["a", "aaaaaaaaa"]}, Content.MLFLOW)
    assert json.loads(labels.body) == {"predictions": ["sport", "weather"]}
    text = ask(held, {"instances": ["a"], "parameters": {"top_k": 1}}, answer=Content.CSV).body.decode()
    (row,) = csv.DictReader(io.StringIO(text))
    assert list(json.loads(row["probabilities"])) == ["sport"]


@pytest.mark.parametrize("key", ["instances", "data", "texts"])
def test_texts_may_come_bare(key: str) -> None:
    held = topics()
    bare = ask(held, {key: ["short", "a much longer text"]})
    assert entries(bare) == entries(ask(held, [{"text": "short"}, {"text": "a much longer text"}]))
    assert entries(ask(held, ["short"])) == entries(bare)[:1]
    assert ask(held, {key: ["good", 5]}).status == 422
    assert ask(anomalies(), {key: ["no text here"]}).status == 422


@pytest.mark.parametrize(
    ("held", "parameters", "field", "said"),
    [
        (topics, {"topk": 3}, "parameters.topk", "there is no such option. Choose from top_k."),
        (topics, {"top_k": 0}, "parameters.top_k", "expected a whole number >= 1"),
        (topics, {"top_k": "3"}, "parameters.top_k", "expected a whole number, got a string"),
        (anomalies, {"threshold": "high"}, "parameters.threshold", "expected a number, got a string"),
        (lambda: spans(1), {"steps": 3}, "parameters.steps", "lets nothing be chosen"),
    ],
)
def test_what_cannot_be_chosen_is_named_with_what_can(held: Any, parameters: Any, field: str, said: str) -> None:
    body = {"text": "a", "x": 1, "y": 1}
    v2 = {**json.loads(forms.v2({name: [value] for name, value in body.items()})), "parameters": parameters}
    for content, sent in (
        (Content.JSON, {"instances": [body], "parameters": parameters}),
        (Content.JSON, {"instances": [body], "config": parameters}),
        (Content.MLFLOW, {"inputs": [body], "params": parameters}),
        (Content.V2, v2),
    ):
        answer = ask(held(), sent, content)
        error = json.loads(answer.body)["error"]
        assert (answer.status, error["fields"][0]["field"]) == (422, field)
        assert said in error["message"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"instances": [{"x": 1}], "parameters": 5}, "`parameters` must be an object of options, got the number 5"),
        ({"instances": [{"x": 1}], "parameters": {}, "config": {}}, "both `parameters` and `config`"),
        ({"data": [{"x": 1}], "texts": [{"x": 1}]}, "both `data` and `texts`"),
        ({"instances": [{"x": 1}], "columns": {"x": [1]}}, "both `instances` and `columns`"),
    ],
)
def test_a_body_that_says_two_things_is_refused(body: Any, said: str) -> None:
    answer = ask(spans(1), body)
    assert (answer.status, said in json.loads(answer.body)["error"]["message"]) == (422, True)


def test_columns_may_be_called_like_the_parts_of_a_body() -> None:
    inputs = tuple(Field(name=name, kind="category") for name in ("parameters", "config", "data"))
    signature = Signature(scenario="tabular-regression", target="y", inputs=inputs)
    held = Held(Told(signature, lambda batch: np.ones((batch.rows, 1))), model="a/b", version="v1")
    row = {"parameters": "a", "config": "b", "data": "c"}
    assert len(entries(ask(held, row))) == 1
    assert len(entries(ask(held, {"instances": [row, row]}))) == 2
    assert len(entries(ask(spans(1), {"x": 1, "config": "ignored", "data": "ignored", "parameters": "ignored"}))) == 1


@pytest.mark.parametrize("signature", [ANOMALY, REGRESSION, CLASSIFICATION])
def test_what_a_version_says_of_its_answers_is_what_it_answers(signature: Signature) -> None:
    wording = wording_of(signature)
    told = answers.members(signature)
    assert tuple(member.name for member in told) == wording.members[: len(told)]
    assert set(answers.choices(signature)) == set(schema_of(wording.Options).get("properties", {}))
