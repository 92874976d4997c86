"""The contenders serve the same model: the graph, the pipeline and what is expected agree; every peer is pinned."""

import itertools
import re

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from benchmarks.serving import model, pipeline
from benchmarks.serving.__main__ import everyone
from benchmarks.serving.contender import Contender
from benchmarks.serving.environments import PEERS, NotThere
from benchmarks.serving.onnx_model import OnnxModel
from benchmarks.serving.ours import Ours
from benchmarks.serving.run import Found, compete, perform


@pytest.fixture(scope="module")
def fitted():
    return pipeline.fit()


@pytest.fixture(scope="module")
def graph(fitted, tmp_path_factory):
    file = tmp_path_factory.mktemp("model") / "model.onnx"
    file.write_bytes(model.graph(fitted))
    return file


def test_the_graph_answers_as_the_pipeline_does(fitted, graph):
    rows = [row for row, _ in model.asked(fitted)]
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    numbers = np.array([[row[name] for name in pipeline.NUMBERS] for row in rows], np.float32)
    strings = np.array([[row[name] for name in pipeline.CATEGORIES] for row in rows], object)
    answer = session.run(["answer"], {"numbers": numbers, "strings": strings})[0]
    np.testing.assert_allclose(answer, fitted.predict_proba(pd.DataFrame(rows)), atol=1e-6)


def test_rows_are_told_apart_by_their_answers(fitted):
    asked = model.asked(fitted)
    values = sorted(value for _, value in asked)
    assert len(asked) == model.QUESTIONS
    assert min(after - before for before, after in itertools.pairwise(values)) > model.APART


def test_several_requests_are_answered_by_one_call_each_with_its_own(fitted, graph):
    asked = model.asked(fitted)[:6]
    rows, values = [row for row, _ in asked], [value for _, value in asked]
    answers = OnnxModel(str(graph)).predict_each([rows[:1], rows[1:4], rows[4:]])
    assert [len(answer) for answer in answers] == [1, 3, 2]
    got = [row["probabilities"]["Yes"] for answer in answers for row in answer]
    np.testing.assert_allclose(got, values, atol=1e-6)


@pytest.mark.parametrize("requirements", sorted(PEERS.glob("*/requirements.txt")), ids=lambda path: path.parent.name)
def test_every_package_of_a_peer_is_pinned(requirements):
    lines = [line for line in requirements.read_text().splitlines() if not line.startswith("#")]
    assert lines
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+", line)] == []


def test_every_contender_has_a_name_of_its_own_and_its_version():
    found = everyone()
    assert len({one.name for one in found}) == len(found)
    assert all(one.version for one in found if one.name != "nginx")


class Absent(Contender):
    """Cannot be installed."""

    name, title, set_up, version = "absent", "Absent", "", "1"

    def install(self):
        raise NotThere("absent cannot be installed: no such package")

    def start(self, stage):
        raise AssertionError("it is not there")


class Mistaken(Contender):
    """Starts, says why it leaves, and leaves."""

    name, title, set_up, version = "mistaken", "Mistaken", "", "1"

    def start(self, stage):
        stage.start(["sh", "-c", "echo my last words; exit 3"])


def test_who_cannot_take_part_is_left_out_with_its_last_words(fitted, graph):
    found, left_out = compete([Absent(), Mistaken()], model.asked(fitted), graph, rounds=2, seconds=0.1, cores=1)
    assert found == {}
    assert "no such package" in left_out["absent"]
    assert "my last words" in left_out["mistaken"]


@pytest.mark.slow
@pytest.mark.parametrize("lane", ["embedded", "isolated"])
def test_our_data_plane_takes_part_and_is_right(lane, fitted, graph):
    found = Found()
    perform(Ours(lane, gateways=1, replicas=1), model.asked(fitted), graph, found, seconds=0.2, cores=1)
    assert all(results[0].acknowledged > 0 and results[0].failed == {} for results in found.loads.values())
    assert found.started[0] > 0
    assert found.memory[0] > 10
