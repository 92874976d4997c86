"""The recipe over every kind of problem: the same steps, each with its own rows, answers and drawings."""

import shutil
import subprocess
import sys

import duckdb
import msgspec
import numpy as np
import pytest

from modelyard.formats.base import RequestPredictor
from modelyard.formats.codec import answer_example
from modelyard.formats.registry import open_version
from modelyard.protocol.evaluation import Evaluation
from modelyard.protocol.jobs import LogLine, MetricPoint, Progress
from modelyard.worker.failures import JobFailed

HOURS = """SELECT i, TIMESTAMP '2026-01-01' + INTERVAL (i) HOUR AS moment,
    20 + 5 * sin(i * pi() / 12) + hash(i) % 100 / 100 AS load FROM range(1000) t(i)"""
SERIES = f"SELECT moment, load FROM ({HOURS}) WHERE i < 600"
ODD = (
    f"SELECT moment, load + CASE WHEN i % 97 = 50 THEN 12 ELSE 0 END AS load, (i % 97 = 50)::INT AS odd FROM ({HOURS})"
)
ROWS = """SELECT sin(i) AS a, cos(i) + CASE WHEN i % 25 = 0 THEN 9 ELSE 0 END AS b, (i % 25 = 0)::INT AS odd
    FROM range(500) t(i)"""
TEXTS = """SELECT CASE WHEN i % 2 = 0 THEN 'the parcel number ' || i || ' has not arrived'
    ELSE 'invoice ' || i || ' was paid twice' END AS text,
    CASE WHEN i % 2 = 0 THEN 'delivery' ELSE 'billing' END AS topic FROM range(200) t(i)"""
LINES = """SELECT CASE i % 3 WHEN 0 THEN 'connection from 10.0.0.' || i % 250 || ' closed after ' || i || ' ms'
    WHEN 1 THEN 'user u' || i || ' logged in' ELSE 'cache miss for key ' || hash(i) END AS line, 'E' || i % 3 AS event
    FROM range(300) t(i)"""
MORE = """SELECT 'disk error on device sd' || chr((97 + i % 5)::INT) || ' at block ' || i AS line FROM range(90) t(i)"""
CASES = {
    "anomaly-detection/rank-average": (ROWS, {"target": "odd"}),
    "anomaly-detection/seasonal-residual": (
        ODD,
        {"target": "odd", "roles": {"time": "moment"}},
    ),
    "time-series-prediction/automatic": (SERIES, {"target": "load", "roles": {"time": "moment"}, "horizon": 12}),
    "text-classification/linear": (TEXTS, {"target": "topic", "roles": {"text": "text"}}),
    "log-clustering/drain": (LINES, {"target": "event", "roles": {"text": "line"}}),
}
DRAWN = {
    "anomaly-detection/rank-average": {"anomalies", "confusion", "curves", "scores"},
    "anomaly-detection/seasonal-residual": {"anomalies", "confusion", "curves", "scores", "timeline"},
    "time-series-prediction/automatic": {"errors_by_step", "forecasts"},
    "text-classification/linear": {"confusion", "curves"},
    "log-clustering/drain": {"templates"},
}


@pytest.fixture(scope="module", params=CASES)
def made(request, context_in, tmp_path_factory):
    """A version of each scenario: its context, its name, the recipe's result and the downloaded folder."""
    name = request.param
    context = context_in(tmp_path_factory.mktemp("scenario"))
    query, settings = CASES[name]
    scenario, _, algorithm = name.partition("/")
    result = context.train(context.table(query), scenario=scenario, algorithms=(algorithm,), **settings)
    return context, name, result, context.download(result, context.scratch / "downloaded")


def test_the_version_is_data_that_opens_and_answers_its_example_as_recorded(made) -> None:
    _, _, result, folder = made
    assert not result["artifact"]["isolated"]
    predictor = open_version(folder)
    signature = predictor.signature
    if isinstance(predictor, RequestPredictor):
        assert signature.example_request["instances"]
        assert msgspec.to_builtins(answer_example(predictor, signature.example_request)) == signature.example_answer
    else:
        assert set(signature.example) == {field.name for field in signature.inputs}
        assert signature.example_answer


def test_it_is_measured_on_what_it_did_not_see_and_beats_the_baseline(made) -> None:
    _, name, result, _ = made
    evaluation = msgspec.convert(result["evaluation"], Evaluation)
    headline = evaluation.headline
    assert headline.lower <= headline.value <= headline.upper
    assert (headline.value > headline.baseline) == (headline.direction == "higher"), (name, headline)
    assert evaluation.parity <= 1e-6
    assert min(evaluation.rows.values()) > 0


def test_its_drawings_are_there(made) -> None:
    _, name, _, folder = made
    assert {path.stem for path in (folder / "evaluation").iterdir()} - {"importance"} == DRAWN[name]


def test_the_card_says_what_it_does_and_how_good_it_is(made) -> None:
    _, name, result, folder = made
    card = (folder / "card.md").read_text()
    assert name in card
    evaluation = msgspec.convert(result["evaluation"], Evaluation)
    assert f"{evaluation.headline.value:g}" in card
    assert "None" not in card


def test_progress_lines_and_histories_are_told(made) -> None:
    context, _, _, _ = made
    fractions = [event.fraction for event in context.events if isinstance(event, Progress)]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert any(isinstance(event, MetricPoint) for event in context.events)
    assert any(isinstance(event, LogLine) and event.stream == "out" for event in context.events)


def test_train_py_makes_the_same_model_again(made, tmp_path) -> None:
    _, name, result, folder = made
    query, _ = CASES[name]
    duckdb.sql(query).write_csv(str(tmp_path / "training.csv"))
    ran = subprocess.run(
        [sys.executable, folder / "train.py", tmp_path / "training.csv", "--out", tmp_path / "model"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    evaluation = msgspec.convert(result["evaluation"], Evaluation)
    assert ran.stdout.splitlines()[-1].startswith(f"{evaluation.primary} on ")
    again = float(ran.stdout.split()[-1])
    assert again == pytest.approx(evaluation.headline.value, rel=1e-5)


def test_no_label_of_a_test_row_reaches_the_child(context) -> None:
    """A series' test values, which it is to predict, are nowhere in what the child was given."""
    marked = f"SELECT moment, CASE WHEN row_number() OVER () > 588 THEN 777.25 ELSE load END AS load FROM ({SERIES})"
    context.train(
        context.table(marked), scenario="time-series-prediction", algorithms=("seasonal-naive",), target="load",
        roles={"time": "moment"}, horizon=4,
    )  # fmt: skip
    (work,) = context.runs
    seen = [np.load(path) for path in (work / "in").rglob("*.npy")]
    assert len(seen) >= 4
    assert not any((array == 777.25).any() for array in seen)


def test_what_a_scenario_cannot_learn_from_ends_with_its_reason(context) -> None:
    with pytest.raises(JobFailed) as raised:
        context.train(
            context.table(TEXTS), scenario="text-classification", algorithms=("linear",), target="topic", roles={}
        )
    assert raised.value.failure.code == "text_missing"


def test_a_version_may_be_gone_on_from(context) -> None:
    settings = {"scenario": "log-clustering", "algorithms": ("drain",), "target": "", "roles": {"text": "line"}}
    first = context.train(context.table(LINES), **settings)
    shutil.rmtree(context.scratch / "candidates")
    second = context.train(context.table(MORE), previous=first["folder"], output="runs/run_2", **settings)
    before, after = (
        open_version(context.download(each, context.scratch / str(place))) for place, each in enumerate((first, second))
    )
    old = {entry["cluster"]: entry["template"] for entry in before.templates()}
    new = {entry["cluster"]: entry["template"] for entry in after.templates()}
    assert set(old) <= set(new)
    assert any("disk error" in template for template in new.values())
