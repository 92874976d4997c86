"""When two answers count as the same prediction, and what a shadow tells."""

import json

import pytest

from modelyard.core.errors import OutOfSpace, Unavailable
from modelyard.gateway.dialects import Dialect
from modelyard.gateway.exchange import Exchange
from modelyard.gateway.shadows import Shadow, agree
from modelyard.protocol.frames import Content


def answer(*predictions, version="v1"):
    return json.dumps({"predictions": list(predictions), "model": "m", "version": version}).encode()


def label(name, probability):
    return {"prediction": name, "probability": probability, "probabilities": {name: probability}}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (answer(label("Yes", 0.9)), answer(label("Yes", 0.6), version="v2"), True),
        (answer(label("Yes", 0.9)), answer(label("No", 0.9)), False),
        (answer({"prediction": 100.0}), answer({"prediction": 100.9}), True),
        (answer({"prediction": 100.0}), answer({"prediction": 102.0}), False),
        (answer({"prediction": 0.0}), answer({"prediction": 0.0}), True),
        (answer({"prediction": 1.0}), answer({"prediction": 1.0}, {"prediction": 1.0}), False),
    ],
)
def test_labels_have_to_be_equal_and_numbers_near(one, other, same):
    assert agree(Content.JSON, one, other) is same


def test_tensors_are_compared_by_their_prediction():
    def tensors(data, probability):
        outputs = [{"name": "prediction", "data": data}, {"name": "probability", "data": probability}]
        return json.dumps({"model_version": str(probability), "outputs": outputs}).encode()

    assert agree(Content.V2, tensors(["Yes"], [0.9]), tensors(["Yes"], [0.7]))
    assert not agree(Content.V2, tensors(["Yes"], [0.9]), tensors(["No"], [0.9]))


def test_other_forms_are_compared_byte_by_byte():
    assert agree(Content.CSV, b"prediction\n1\n", b"prediction\n1\n")
    assert not agree(Content.CSV, b"prediction\n1\n", b"prediction\n2\n")


class Nobody:
    def __init__(self):
        self.answers = []

    def answer(self, exchange, status, content, headers, body):
        self.answers.append((status, body))


@pytest.fixture
def pair():
    client, told = Nobody(), []
    exchange = Exchange(client, b"/models/a/b", {}, b"{}", request_id=b"r", keep_alive=True)
    return client, exchange, Shadow(exchange, None, told.append), told


@pytest.mark.parametrize("first", ["shadow", "client"])
def test_the_comparison_waits_for_both_and_the_client_gets_its_own_answer_once(pair, first):
    client, exchange, shadow, told = pair
    ours, theirs = answer({"prediction": 1.0}), answer({"prediction": 2.0})
    one, other = (shadow, exchange) if first == "shadow" else (exchange, shadow)
    one.answer(200, 0, 1, theirs if one is shadow else ours)
    assert told == []
    other.answer(200, 0, 1, ours if other is exchange else theirs)
    assert told == ["different"]
    assert client.answers == [(200, ours)]


def test_a_shadow_that_fails_is_told_and_harms_nobody(pair):
    client, exchange, shadow, told = pair
    shadow.refuse(Unavailable("gone", retry_after=1))
    exchange.answer(200, 0, 1, answer({"prediction": 1.0}))
    assert told == ["failed"]
    assert [status for status, _ in client.answers] == [200]


def test_a_request_that_was_refused_says_nothing_of_the_shadow(pair):
    _, exchange, shadow, told = pair
    exchange.refuse(Unavailable("full", retry_after=1))
    shadow.answer(200, 0, 1, answer({"prediction": 1.0}))
    assert told == []


def test_each_of_several_shadows_is_compared(pair):
    _, exchange, first, told = pair
    second_told = []
    second = Shadow(exchange, None, second_told.append)
    exchange.answer(200, 0, 1, answer({"prediction": 1.0}))
    first.answer(200, 0, 1, answer({"prediction": 1.0}))
    second.answer(200, 0, 1, answer({"prediction": 2.0}))
    assert (told, second_told) == (["same"], ["different"])


def test_an_answer_that_is_taken_back_is_an_error_in_the_words_of_who_asked(pair):
    client, exchange, _, _ = pair
    exchange.dialect = Dialect.V2
    exchange.take_back(OutOfSpace("The disk is full.", retry_after=30))
    assert client.answers == [(507, b'{"error":"The disk is full."}')]
