"""One version asked in every form at once: each request gets its own answer, in its own form."""

import csv
import io
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import ipc

from fixtures import forms
from fixtures.serving import ROW, is_answer, make_version
from modelyard.core.errors import Unavailable
from modelyard.formats.base import Batch, Predictor
from modelyard.formats.registry import open_version
from modelyard.protocol.frames import Content, exchange
from modelyard.serving.held import Answer, Held, Request

PLAIN = exchange(Content.JSON, Content.JSON)


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Held:
    folder = tmp_path_factory.mktemp("version") / "v2"
    make_version(folder, 2)
    return Held(open_version(folder), model="sales/eu/churn", version="v2")


def rows(seed: int, count: int) -> list[dict[str, Any]]:
    dice = random.Random(seed)
    return [
        {
            "x": dice.randrange(-100, 100) / 8,
            "n": dice.randrange(-3, 4),
            "flag": dice.random() < 0.5,
            "plan": dice.choice(["pro", "basic", "ünseen"]),
        }
        for _ in range(count)
    ]


def body(table: list[dict[str, Any]], content: Content) -> bytes:
    columns = {name: [row[name] for row in table] for name in table[0]}
    match content:
        case Content.JSON:
            return json.dumps({"instances": table}).encode()
        case Content.CSV:
            text = io.StringIO()
            writer = csv.DictWriter(text, list(table[0]))
            writer.writeheader()
            writer.writerows(table)
            return text.getvalue().encode()
        case Content.ARROW:
            return forms.arrow(columns)
        case Content.V2:
            return forms.v2(columns, id=f"{len(table)} rows")
        case Content.V2_BINARY:
            return forms.v2_binary(columns, parameters={"binary_data_output": True})
        case Content.MLFLOW:
            return json.dumps({"dataframe_split": forms.split(columns)}).encode()


def predictions(answer: Answer) -> list[Any]:
    """What was answered, as far as the form says it: objects as in JSON, or labels."""
    assert answer.status == 200, answer.body
    classes = ("No", "Yes")
    match answer.content:
        case Content.JSON | Content.MLFLOW:
            found: list[Any] = json.loads(answer.body)["predictions"]
            return found
        case Content.CSV:
            table = list(csv.DictReader(io.StringIO(answer.body.decode())))
        case Content.ARROW:
            table = ipc.open_stream(answer.body).read_all().to_pylist()
        case Content.V2 | Content.V2_BINARY:
            if answer.content == Content.V2:
                values = {output["name"]: output["data"] for output in json.loads(answer.body)["outputs"]}
            else:
                values = forms.split_binary(answer.body)[1]
            pairs = np.reshape(values["probabilities"], (-1, 2)).tolist()
            return [
                {"prediction": label, "probability": most, "probabilities": dict(zip(classes, pair, strict=True))}
                for label, most, pair in zip(values["prediction"], values["probability"], pairs, strict=True)
            ]
    return [
        {
            "prediction": row["prediction"],
            "probability": float(row["probability"]),
            "probabilities": {label: float(row[f"probability_{label}"]) for label in classes},
        }
        for row in table
    ]


@pytest.mark.parametrize("form", Content)
@pytest.mark.parametrize("count", [1, 5, 40])
def test_every_form_is_answered_in_its_own_form_with_the_same_values(held: Held, form: Content, count: int) -> None:
    table = rows(count, count)
    plain = predictions(held.answer([Request(body(table, Content.JSON), PLAIN)])[0])
    for got, row in zip(plain, table, strict=True):
        assert is_answer(got, row, 2)
    answer = held.answer([Request(body(table, form), exchange(form, form))])[0]
    assert (answer.content, answer.rows) == (form, count)
    wanted = [each["prediction"] for each in plain] if form == Content.MLFLOW else plain
    assert predictions(answer) == wanted


@pytest.mark.parametrize("form", [Content.JSON, Content.CSV, Content.ARROW, Content.V2, Content.MLFLOW])
def test_an_answer_may_have_another_form_than_its_request(held: Held, form: Content) -> None:
    for asked in Content:
        sent = body([ROW], asked)
        plain = predictions(held.answer([Request(sent, exchange(asked, Content.JSON))])[0])
        assert is_answer(plain[0], ROW, 2)
        answer = held.answer([Request(sent, exchange(asked, form))])[0]
        # Which of its two forms a V2 answer has is said by its request.
        binary = (asked, form) == (Content.V2_BINARY, Content.V2)
        assert answer.content == (Content.V2_BINARY if binary else form)
        assert predictions(answer) == (["Yes"] if form == Content.MLFLOW else plain)


@pytest.mark.parametrize("seed", range(30))
def test_requests_of_all_forms_in_one_batch_each_get_their_own_answer(held: Held, seed: int) -> None:
    dice = random.Random(seed)
    requests, alone = [], []
    for number in range(dice.randrange(2, 24)):
        form = dice.choice(list(Content))
        sent = body(rows(1000 * seed + number, dice.choice([1, 2, 20, 33])), form)
        if dice.random() < 0.2:
            sent = dice.choice([b"", b"{}", sent[:-3], sent.replace(b"x", b"y"), b"\xff" + sent])
        request = Request(sent, exchange(form, form))
        requests.append(request)
        alone.append(held.answer([request])[0])
    together = held.answer(requests)
    assert [(answer.status, answer.content, answer.rows) for answer in together] == [
        (answer.status, answer.content, answer.rows) for answer in alone
    ]
    for got, wanted in zip(together, alone, strict=True):
        if got.status != 200 or got.content == Content.MLFLOW:
            assert got.body == wanted.body
            continue
        # Rounding may differ in the last bit where more rows share a call.
        for one, other in zip(predictions(got), predictions(wanted), strict=True):
            assert one["probabilities"] == pytest.approx(other["probabilities"], rel=1e-6)


def test_a_bad_request_is_refused_in_the_house_form_whatever_it_asked_for(held: Held) -> None:
    for form in Content:
        table = [ROW, {**ROW, "n": 1.5}]
        answer = held.answer([Request(body(table, form), exchange(form, form))])[0]
        assert (answer.status, answer.content, answer.rows) == (422, Content.JSON, 0)
        error = json.loads(answer.body)["error"]
        assert (error["fields"][0]["field"], error["fields"][0]["row"]) == ("n", 1)


def test_half_a_surrogate_pair_in_what_is_wrong_does_not_stop_the_answer(held: Held) -> None:
    wrong = json.dumps({**ROW, "x": "\ud800"}).encode()
    for requests in ([wrong], [wrong, json.dumps(ROW).encode()]):
        answers = held.answer([Request(sent, PLAIN) for sent in requests])
        assert answers[0].status == 422
        assert json.loads(answers[0].body)["error"]["fields"][0]["field"] == "x"
        assert [answer.status for answer in answers[1:]] == [200] * (len(requests) - 1)


class Broken(Predictor):
    """A model that answers its rows' first number, and fails where that is 13."""

    def __init__(self, held: Held, error: Exception) -> None:
        self.signature = held._codec.signature
        self.error = error
        self.calls = 0

    def predict(self, batch: Batch) -> np.ndarray:  # type: ignore[type-arg]
        self.calls += 1
        if 13 in batch.numbers[:, 0]:
            raise self.error
        return np.column_stack([batch.numbers[:, 0], 1 - batch.numbers[:, 0]])


@pytest.mark.parametrize("form", Content)
def test_an_answer_that_is_no_number_is_a_500_for_its_own_request_alone(held: Held, form: Content) -> None:
    class Odd(Broken):
        def predict(self, batch: Batch) -> np.ndarray:  # type: ignore[type-arg]
            return np.where(batch.numbers[:, :1] == 13, np.inf, np.float32([0.5, 0.5])).astype(np.float32)

    odd = Held(Odd(held, ValueError()), model="a/b", version="v1")
    sent = [Request(body([{**ROW, "x": x}], form), exchange(form, form)) for x in (1, 13, 2)]
    assert [answer.status for answer in odd.answer(sent)] == [200, 500, 200]
    assert odd.answer(sent[1:2])[0].status == 500


def test_a_model_that_fails_on_one_request_answers_the_others(held: Held) -> None:
    broken = Broken(held, ValueError("no"))
    sent = [Request(body([{**ROW, "x": x}], Content.JSON), PLAIN) for x in (1, 13, 0)]
    assert [answer.status for answer in Held(broken, model="a/b", version="v1").answer(sent)] == [200, 500, 200]
    assert broken.calls == 4


def test_a_model_that_is_not_there_now_is_asked_once_for_all(held: Held) -> None:
    broken = Broken(held, Unavailable("Try again.", retry_after=1))
    sent = [Request(body([{**ROW, "x": x}], Content.JSON), PLAIN) for x in (1, 13, 0)]
    assert [answer.status for answer in Held(broken, model="a/b", version="v1").answer(sent)] == [503] * 3
    assert broken.calls == 1


def test_no_requests_are_no_answers(held: Held) -> None:
    assert held.answer([]) == []


def test_an_example_is_answered_as_when_it_was_made(held: Held, tmp_path: Path) -> None:
    assert held.warm_up() > 0
