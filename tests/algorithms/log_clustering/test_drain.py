"""Log clustering finds the templates that wrote the lines, and goes on where a version before left off."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from modelyard.algorithms.base import Trained
from modelyard.algorithms.log_clustering._grouping import grouping_accuracy
from modelyard.algorithms.log_clustering.drain import Drain, DrainParameters
from modelyard.core.errors import Invalid
from modelyard.formats import folder
from modelyard.formats.log_templates import FILE
from modelyard.formats.registry import open_version
from modelyard.protocol.artifact import DESCRIPTION, SIGNATURE, Artifact


@pytest.fixture
def learn(report, data):
    def learned(lines, **parameters) -> Trained:
        return Drain().fit(data(lines), DrainParameters(**parameters), report)

    return learned


def saved(trained: Trained, target: Path):
    target.mkdir()
    form = trained.save(target)
    folder.write(target / SIGNATURE, trained.signature)
    folder.write(target / DESCRIPTION, Artifact(format=form, scenario="log-clustering", algorithm="any"))
    return open_version(target)


def groups(predictor, batch, lines) -> np.ndarray:
    return predictor.predict(batch(lines))[:, 0].astype(int)


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("count", [300, 3000])
def test_lines_are_grouped_by_the_template_that_wrote_them(learn, log, batch, header: bool, count: int) -> None:
    made = log(count, 1, header=header)
    assert grouping_accuracy(made.truth, groups(learn(made.lines), batch, made.lines)) >= 0.99


def test_lines_never_seen_find_their_template(learn, log, batch) -> None:
    predictor = learn(log(2000, 1).lines)
    later = log(1000, 2)
    found = groups(predictor, batch, later.lines)
    assert (found >= 0).all()
    assert grouping_accuracy(later.truth, found) >= 0.99


def test_a_parameter_never_seen_fits_and_another_message_does_not(learn, log, batch) -> None:
    predictor = learn(log(2000, 1).lines)
    lines = [
        "2022-05-04 11:00:00,123 INFO [pool-1] a.b.C: Gave user zacharias a seat at 10.1.2.3 row 17",
        "2022-05-04 11:00:00,123 INFO [pool-1] a.b.C: Nothing like this was ever written before by anything here",
    ]
    known, unknown = predictor.answer(batch(lines), predictor.Options())
    assert known["template"] == "Gave user <*> a seat at <ip> row <num>"
    assert known["parameters"] == ["zacharias", "10.1.2.3", "17"]
    assert unknown == {"cluster": None, "template": None, "parameters": []}
    assert groups(predictor, batch, lines).tolist() == [known["cluster"], -1]


def test_messages_that_differ_in_one_constant_word_stay_apart(learn, log, batch) -> None:
    predictor = learn(log(2000, 1).lines)
    templates = {entry["template"] for entry in predictor.templates()}
    assert {"Worker <num> entered state ready", "Worker <num> entered state stopped"} <= templates


def test_a_list_of_any_length_is_one_parameter(learn, log, batch) -> None:
    predictor = learn(log(2000, 1, header=False).lines)
    lines = [f"Rebalancing partitions [{items}] done" for items in ("1", "1, 2", "1, 2, 3, 4")]
    assert len(set(groups(predictor, batch, lines).tolist())) == 1
    for line, entry in zip(lines, predictor.answer(batch(lines), predictor.Options()), strict=True):
        assert filled(entry) == line


def filled(entry: dict) -> str:
    """The template with what its wildcards stand for."""
    text, rest = "", entry["template"]
    for value in entry["parameters"]:
        start = rest.index("<")
        text += rest[:start] + value
        rest = rest[rest.index(">", start) + 1 :]
    return text + rest


def test_a_template_filled_with_its_parameters_is_the_message(learn, log, batch) -> None:
    made = log(1500, 3)
    predictor = learn(made.lines)
    entries = predictor.answer(batch(made.lines), predictor.Options())
    for line, entry in zip(made.lines, entries, strict=True):
        assert filled(entry) == line.partition(": ")[2]


def test_the_clusters_say_what_they_hold(learn, log, batch) -> None:
    made = log(800, 4)
    predictor = learn(made.lines)
    listed = predictor.templates()
    found = groups(predictor, batch, made.lines)
    assert [entry["cluster"] for entry in listed] == list(range(len(listed)))
    assert [entry["count"] for entry in listed] == np.bincount(found).tolist()
    for entry in listed:
        assert 1 <= len(entry["samples"]) <= 5
        assert set(groups(predictor, batch, entry["samples"]).tolist()) == {entry["cluster"]}


def test_numbers_follow_the_order_in_which_templates_first_came(learn, log, batch) -> None:
    made = log(800, 5)
    found = groups(learn(made.lines), batch, made.lines)
    _, first = np.unique(found, return_index=True)
    assert first.tolist() == sorted(first.tolist())


def test_what_is_served_answers_as_what_was_trained(learn, log, batch, tmp_path: Path) -> None:
    made, later = log(1000, 6), log(300, 7)
    trained = learn(made.lines)
    served = saved(trained, tmp_path / "v")
    again = pickle.loads(pickle.dumps(trained))
    for lines in (made.lines, later.lines, ["", "other", "\0"]):
        expected = trained.answer(batch(lines), trained.Options())
        for other in (served, again):
            np.testing.assert_array_equal(other.predict(batch(lines)), trained.predict(batch(lines)))
            assert other.answer(batch(lines), other.Options()) == expected
    assert served.templates() == trained.templates()


def test_the_same_lines_give_the_same_file(learn, log, tmp_path: Path) -> None:
    made = log(600, 8)
    files = []
    for name in ("a", "b"):
        saved(learn(made.lines), tmp_path / name)
        files.append((tmp_path / name / FILE).read_bytes())
    assert files[0] == files[1]


def test_finishing_learns_from_the_validation_lines_too(report, data, log, batch) -> None:
    made = log(500, 9, header=False)
    extra = [f"Compaction of table {number} finished" for number in range(9)]
    everything = data(made.lines, extra)
    trained = Drain().fit(everything, DrainParameters(), report)
    assert set(groups(trained, batch, extra).tolist()) == {-1}
    finished = Drain().finish(everything, trained, DrainParameters(), report)
    assert len(set(groups(finished, batch, extra).tolist())) == 1
    assert groups(finished, batch, extra)[0] >= 0


def test_learning_goes_on_from_a_version_and_its_numbers_stay(learn, report, data, log, batch, tmp_path: Path) -> None:
    made = log(1000, 10, header=False)
    saved(learn(made.lines), tmp_path / "v")
    before = open_version(tmp_path / "v")
    fresh = [f"Compaction of table {number} finished" for number in range(20)]
    grown = Drain().fit(data([*fresh, *made.lines[:100]], previous=tmp_path / "v"), DrainParameters(), report)
    known = len(before.templates())
    np.testing.assert_array_equal(groups(grown, batch, made.lines), groups(before, batch, made.lines))
    assert set(groups(grown, batch, fresh).tolist()) == {known}
    assert [entry["template"] for entry in grown.templates()][:known] == [
        entry["template"] for entry in before.templates()
    ]
    assert sum(entry["count"] for entry in grown.templates()) == 1000 + 120


def test_a_damaged_version_before_is_refused_with_a_reason(report, data, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{}")
    with pytest.raises(Invalid, match="cannot go on"):
        Drain().fit(data(["one line"], previous=tmp_path), DrainParameters(), report)


def test_it_says_how_it_is_doing(learn, report, log) -> None:
    learn(log(1000, 11).lines)
    assert report.fractions == sorted(report.fractions)
    assert len(report.fractions) > 2
    assert report.fractions[-1] == 1
    templates = [(step, value) for name, step, value in report.metrics if name == "templates"]
    assert len({step for step, _ in templates}) > 2
    assert any("Header" in line for line in report.lines)
    assert any("Similarity" in line for line in report.lines)


ODD = [
    "", "   ", "\0\0\0", "\ud800 lone", "a" * 1_000_000, "x " * 300_000, "\ue004\ue000 private", "(((([[[[", "=" * 9000,
    "用户 张三 登录 成功", "пользователь вошёл", "tab\tand\vother\x85white", "<*> <num> <...>", "[" * 5000 + "]" * 5000,
    "\n\r\n",
]  # fmt: skip


def test_junk_does_no_harm(learn, log, batch, tmp_path: Path) -> None:
    made = log(300, 12)
    trained = learn([*made.lines, *(line for line in ODD if "\ud800" not in line)])
    served = saved(trained, tmp_path / "v")
    found = groups(served, batch, ODD)
    assert found[0] == found[1] == -1
    for line, entry in zip(ODD, served.answer(batch(ODD), served.Options()), strict=True):
        if entry["cluster"] is not None and "<" not in line and "\ue000" not in line:
            assert "".join(filled(entry).split()) == "".join(line.split())
    assert grouping_accuracy(made.truth, groups(served, batch, made.lines)) >= 0.95


def test_only_empty_lines_and_no_lines_give_no_clusters(learn, batch, tmp_path: Path) -> None:
    for number, lines in enumerate(([], ["", " "])):
        served = saved(learn(lines), tmp_path / str(number))
        assert served.templates() == []
        assert groups(served, batch, ["anything"]).tolist() == [-1]


def test_no_more_clusters_than_allowed(learn, report, log, batch) -> None:
    made = log(1000, 13)
    predictor = learn(made.lines, max_clusters=3)
    assert len(predictor.templates()) == 3
    assert (groups(predictor, batch, made.lines) == -1).any()
    assert any("left out" in line for line in report.lines)


def test_masks_can_be_left_out_and_added(learn, batch) -> None:
    lines = [f"order ORD-{letter}{letter} failed at 10.0.0.{number}" for number, letter in enumerate("abcdefgh")]
    predictor = learn(lines, own_masks=("order=ORD-[a-z]+",), masks=("num",))
    entry = predictor.answer(batch(lines[:1]), predictor.Options())[0]
    assert entry == {
        "cluster": 0,
        "template": "order <order> failed at <num>",
        "parameters": ["ORD-aa", "10.0.0.0"],
    }


def test_a_header_format_says_what_the_message_is(learn, batch) -> None:
    lines = [f"{number} # x{number} ## Disk {number} is full" for number in range(20)]
    predictor = learn(lines, header_format="<Number> # <Name> ## <Content>")
    assert [entry["template"] for entry in predictor.templates()] == ["Disk <num> is full"]
    whole = learn(lines, detect_header=False)
    assert [entry["template"] for entry in whole.templates()] == ["<num> # x<num> ## Disk <num> is full"]


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"own_masks": ["x=(a+)+b"]}, "very long"),
        ({"own_masks": ["x=["]}, "no regular expression"),
        ({"own_masks": ["no name"]}, "has no name"),
        ({"own_masks": ["ip=a"]}, "called like one of ours"),
        ({"own_masks": ["x=a*"]}, "empty text"),
        ({"masks": ["nope"]}, "there is no mask"),
        ({"header_format": "<Date>: "}, "is none"),
        ({"header_format": "<Date><Content>"}, "touch"),
    ],
)
def test_a_wrong_form_says_why(wrong: dict, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        DrainParameters(**wrong)


def test_many_different_shapes_are_learned_within_bounds(learn, batch, monkeypatch) -> None:
    monkeypatch.setattr("modelyard.algorithms.log_clustering._learning.MOST_SHAPES", 200)
    words = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in "bdfgklmnprst"]
    lines = [
        f"Deleted entry {word} from index of {other}" for word, other in zip(words, words[::-1], strict=True)
    ] * 130
    predictor = learn(lines)
    assert len(lines) > 80_000
    assert len(predictor.templates()) == 1
    assert predictor.templates()[0]["count"] == len(lines)


def test_the_file_can_be_read_by_people(learn, log, tmp_path: Path) -> None:
    saved(learn(log(500, 14).lines), tmp_path / "v")
    stored = json.loads((tmp_path / "v" / FILE).read_text())
    assert ["Shutting", " down", " now"] in [cluster["template"] for cluster in stored["clusters"]]
    assert not any(0xE000 <= ord(character) < 0xE080 for character in json.dumps(stored, ensure_ascii=False))


def test_a_text_behind_a_colon_or_in_quotes_is_one_parameter_however_long(learn, batch) -> None:
    reasons = ("gone", "too late", "no such seat", "all of them taken", "closed", "not on the list")
    titles = ("Light", "A garden in June", "Birds of the north", "The long way")
    lines = [f"Order {number} refused by desk: {reasons[number % 6]}" for number in range(60)]
    lines += [f'Order {number} is for "{titles[number % 4]}"' for number in range(60)]
    found = groups(learn(lines), batch, lines)
    assert len(set(found[:60].tolist())) == len(set(found[60:].tolist())) == 1
    assert found[0] != found[60]


def test_what_a_message_field_quotes_tells_templates_apart(learn, batch) -> None:
    lines = [f'msg="{("order paid", "order sent")[number % 2]}" order={number} by=desk' for number in range(60)]
    assert groups(learn(lines), batch, lines).tolist() == [0, 1] * 30


def test_a_word_that_is_a_value_elsewhere_is_one_in_a_rare_template(learn, batch) -> None:
    names = ("ann", "bert", "cleo", "dora", "emil", "fritz", "gerd")
    often = [f"Order {number} was packed by {names[number % 7]} on time" for number in range(140)]
    rare = ["Break of bert begins", "Break of emil begins"]
    found = groups(learn([*often, *rare]), batch, rare)
    assert found[0] == found[1] >= 0


def test_words_that_stand_for_each_other_in_two_templates_are_values(learn, batch) -> None:
    doors = ("front", "back", "side")
    lines = [f"Door {doors[number % 3]} {('opened', 'shut')[number // 3 % 2]}" for number in range(120)]
    found = groups(learn(lines), batch, lines)
    assert len(set(found.tolist())) == 2
    assert found[0] == found[1] == found[2] != found[3]
