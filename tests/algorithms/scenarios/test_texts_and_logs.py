"""Texts and lines: what is learned from, what judges, and what refuses."""

import numpy as np
import pytest

from modelyard.algorithms.scenarios.base import Aim, Unfit
from modelyard.algorithms.scenarios.registry import names, scenario
from modelyard.algorithms.scoring import rightly_grouped, score

TEXTS, LOGS = scenario("text-classification"), scenario("log-clustering")


def texts(**more) -> Aim:
    return Aim(**{"scenario": "text-classification", "target": "label", "roles": {"text": "text"}, **more})


def logs(**more) -> Aim:
    return Aim(**{"scenario": "log-clustering", "roles": {"text": "line"}, **more})


def test_every_scenario_of_the_product_but_images_is_there() -> None:
    assert names() == [
        "anomaly-detection", "log-clustering", "tabular-classification", "tabular-regression", "text-classification",
        "time-series-prediction",
    ]  # fmt: skip


def test_the_same_text_is_never_on_both_sides(table) -> None:
    written = [f"text {number % 40}" for number in range(400)]
    given = table(text=written, label=["a" if number % 40 < 20 else "b" for number in range(400)], more=np.arange(400))
    prepared = TEXTS.prepare(texts(), {"training": given})
    sides = [set(part.rows.strings[:, 0].tolist()) for part in prepared.parts]
    assert all(sides)
    assert not sides[0] & sides[1]
    assert not (sides[0] | sides[1]) & sides[2]
    assert [field.name for field in prepared.signature.inputs] == ["text"]
    assert prepared.signature.classes == ("a", "b")
    assert prepared.dropped == {"more": "is neither the text nor the label"}


def test_a_text_without_a_label_is_left_out_and_counted(table) -> None:
    given = table(text=[f"text {number}" for number in range(60)], label=["a", "b", ""] * 20)
    prepared = TEXTS.prepare(texts(), {"training": given})
    assert sum(len(part.labels) for part in prepared.parts) == 40
    assert prepared.warnings[0].startswith("20 training rows were left out")


@pytest.mark.parametrize(("roles", "code"), [({}, "text_missing"), ({"text": "more"}, "text_type")])
def test_a_table_without_texts_says_what_to_name(table, roles, code: str) -> None:
    given = table(text=["t"] * 40, label=["a", "b"] * 20, more=np.arange(40))
    with pytest.raises(Unfit) as raised:
        TEXTS.prepare(texts(roles=roles), {"training": given})
    assert raised.value.code == code


def test_all_lines_are_learned_from_and_all_are_judged_where_none_are_set_apart(table) -> None:
    given = table(line=[f"line {number}" for number in range(100)], event=["E1", "E2"] * 50)
    prepared = LOGS.prepare(logs(target="event"), {"training": given})
    assert [len(part.labels) for part in prepared.parts] == [85, 15, 100]
    assert prepared.parts.test.labels.tolist() == [0, 1] * 50
    assert prepared.parts.training.rows.strings[0, 0] == "line 0"


def test_lines_that_are_set_apart_judge_alone(table) -> None:
    given = {"training": table(line=["a"] * 30), "test": table(line=["b"] * 5)}
    prepared = LOGS.prepare(logs(), given)
    assert prepared.parts.test.rows.strings[:, 0].tolist() == ["b"] * 5
    assert prepared.parts.test.labels.tolist() == [-1] * 5
    assert "nobody measured" in prepared.warnings[0]


@pytest.mark.parametrize(
    ("truth", "found", "right"),
    [
        ([0, 0, 1, 1], [5, 5, 7, 7], [1, 1, 1, 1]),
        ([0, 0, 1, 1], [5, 5, 5, 7], [0, 0, 0, 0]),
        ([0, 0, 1, 1], [5, 6, 7, 7], [0, 0, 1, 1]),
        ([0, 1, 2], [9, 9, 9], [0, 0, 0]),
        ([4], [-1], [1]),
    ],
)
def test_a_line_is_rightly_grouped_where_its_cluster_is_its_group(truth, found, right) -> None:
    assert rightly_grouped(np.array(truth), np.array(found)).tolist() == [bool(each) for each in right]


def test_lines_that_no_template_matches_are_counted(table) -> None:
    prepared = LOGS.prepare(logs(), {"training": table(line=[f"line {number}" for number in range(40)])})
    answers = np.array([[number % 4 - 1] for number in range(40)], np.float32)
    judge = LOGS.judge(prepared, "test")
    assert score("coverage", judge, prepared.parts.test.labels, answers) == 0.75
    assert np.isnan(score("grouping_accuracy", judge, prepared.parts.test.labels, answers))
    details = LOGS.details(prepared, answers, None)["templates"]
    assert details["unknown"] == 10
    assert [entry["test_lines"] for entry in details["templates"]] == [10, 10, 10]
